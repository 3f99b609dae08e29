//! An AWS access key, and the errors of its providers.

use std::io;
use std::path::PathBuf;

use event::Timestamp;
use secrecy::SecretString;

/// An AWS access key, permanent or temporary.
pub(super) struct AwsCredential {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: SecretString,
    /// Only temporary credentials have one.
    pub(super) session_token: Option<SecretString>,
    /// `None` if the key does not expire.
    pub(super) expires: Option<Timestamp>,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    /// A header cannot hold a part of a request or key.
    #[error("the credentials contain characters that cannot be sent")]
    Malformed,
    /// The file with a token cannot be read.
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The issuer refused.
    #[error("{issuer} returned no credentials: it responded with {status} {code}")]
    Refused { issuer: &'static str, status: u16, code: String },
    /// The issuer did not respond.
    #[error("{issuer} returned no credentials: {why}")]
    NoResponse { issuer: &'static str, why: String },
    /// The issuer's response cannot be read.
    #[error("{issuer} returned a response without credentials")]
    Response { issuer: &'static str },
    /// The environment of the server names no issuer.
    #[error("there are no credentials where this server runs")]
    Unavailable,
}
