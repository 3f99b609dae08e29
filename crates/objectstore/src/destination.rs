//! A destination for objects: provider, bucket, credentials, retention and limits.
//!
//! Plain data that is validated without a request. `Debug` and `Display` show no secret. Nothing
//! here is read from a file or the environment; the caller fills it in.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use crate::credentials::Credentials;
use crate::key::Prefix;
use crate::provider::Provider;

/// A bucket, container or folder, and how to write to it.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The object store.
    pub provider: Provider,
    /// Bucket or container; ignored for [`Provider::File`].
    pub bucket: String,
    /// The beginning of every key.
    pub prefix: Prefix,
    /// Skip verification of the server's TLS certificate.
    pub skip_tls_verify: bool,
    /// Certificates, PEM, that are trusted in addition to the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The credentials of requests.
    pub credentials: Credentials,
    /// The retention that is set on each object.
    pub retention: Option<Retention>,
    /// The limits on objects and lines.
    pub limits: Limits,
}

/// Provider and bucket, for messages: without prefix and credentials.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provider.get().describe(&self.bucket))
    }
}

impl Destination {
    /// A hash that changes whenever a field changes, secrets included. It is only comparable within
    /// one process.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Context::new(&SHA256);
        // `Debug` shows all fields except the secrets.
        hash.update(format!("{self:?}").as_bytes());
        for secret in self.credentials.secrets() {
            hash.update(&[0]);
            hash.update(secret.as_bytes());
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hash.finish().as_ref());
        fingerprint
    }
}

/// Retention by S3 Object Lock: the store refuses to delete the object for a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The users who may remove the lock.
    pub mode: RetentionMode,
    /// Its duration from the upload.
    pub period: Duration,
}

/// The mode of a retention lock, which decides who may remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionMode {
    /// Users with the right `s3:BypassGovernanceRetention`.
    Governance,
    /// No user.
    Compliance,
}

impl RetentionMode {
    /// The value of the header `x-amz-object-lock-mode`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

/// The limits on objects and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An object is sealed before its lines exceed this many bytes, unless it has a single line.
    pub seal_bytes: usize,
    /// An object is sealed when its first event has waited this long.
    pub seal_age: Duration,
    /// Bytes of a line, as the Datadog Forwarder counts them; a longer one is truncated.
    pub line_bytes: usize,
}

/// Default of [`Limits::seal_bytes`]. The Datadog Forwarder holds a whole object in memory.
pub const SEAL_BYTES: usize = 16 << 20;
/// Default of [`Limits::seal_age`].
pub const SEAL_AGE: Duration = Duration::from_mins(1);
/// Default of [`Limits::line_bytes`]. The Datadog Forwarder drops longer lines without an error.
pub const LINE_BYTES: usize = 512_000;

impl Default for Limits {
    fn default() -> Self {
        Self { seal_bytes: SEAL_BYTES, seal_age: SEAL_AGE, line_bytes: LINE_BYTES }
    }
}
