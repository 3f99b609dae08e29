//! Rights to write to AWS and its like: where keys come from, and when they are renewed.
//!
//! Keys that are lent are renewed well before they end, and at once when a store refuses them. A
//! token file is read each time it is needed. No key is ever logged.

use std::sync::Arc;

use event::Timestamp;
use secrecy::SecretString;

use super::OpenError;
use super::destination::Credentials;

/// What the place where the server runs offers, as its environment names it.
#[derive(Clone, Debug, Default)]
pub struct Ambient {}

/// Keys of AWS.
pub(super) struct AwsKeys {
    pub(super) id: String,
    pub(super) secret: SecretString,
    pub(super) session_token: Option<SecretString>,
    pub(super) expires: Option<Timestamp>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    /// Something in a request or a key cannot stand in a header.
    #[error("the credentials contain characters that cannot be sent")]
    Malformed,
}

/// Where keys come from.
pub(super) enum Source {
    Fixed(Arc<AwsKeys>),
}

impl Source {
    pub(super) fn open(credentials: &Credentials) -> Result<Self, OpenError> {
        match credentials {
            Credentials::AwsKeys {
                access_key_id,
                secret_access_key,
                session_token,
                role: None,
            } => Ok(Self::Fixed(Arc::new(AwsKeys {
                id: access_key_id.clone(),
                secret: secret_access_key.clone(),
                session_token: session_token.clone(),
                expires: None,
            }))),
            _ => Err(OpenError::Credentials { provider: "S3" }),
        }
    }

    /// Keys that are good for now.
    pub(super) async fn keys(&self) -> Result<Arc<AwsKeys>, KeysError> {
        match self {
            Self::Fixed(keys) => Ok(Arc::clone(keys)),
        }
    }

    /// Other keys may help: whether there can be any.
    pub(super) async fn renew(&self) -> bool {
        false
    }
}
