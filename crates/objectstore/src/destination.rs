//! A destination for objects: provider, credentials, retention and limits.
//!
//! Plain data, valid as far as that can be checked without a request. `Debug` and `Display` show no
//! secret. Nothing here is read from a file or the environment; the caller fills it in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use secrecy::{ExposeSecret as _, SecretString};

use crate::key::Prefix;

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
    /// Certificates, PEM, that are trusted beside the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The credentials of requests.
    pub credentials: Credentials,
    /// The retention that is asked for with each object.
    pub retention: Option<Retention>,
    /// The limits on objects and lines.
    pub limits: Limits,
}

/// The object store.
#[derive(Clone, Debug)]
pub enum Provider {
    /// AWS S3, or a store that speaks its protocol.
    S3 {
        /// URL such as `https://minio.example.com:9000`; AWS if `None`.
        endpoint: Option<String>,
        /// The region in signatures; `us-east-1` if empty.
        region: String,
        /// The bucket is a part of the path instead of the host name.
        path_style: bool,
    },
    /// Google Cloud Storage.
    Gcs {
        /// URL of the server; Google if `None`.
        endpoint: Option<String>,
    },
    /// Azure Blob Storage.
    Azure {
        /// URL of the server; Azure's public cloud if `None`.
        endpoint: Option<String>,
    },
    /// A folder, usually on a mounted volume.
    File {
        /// The mount point of the volume.
        root: PathBuf,
        /// The folder in the volume. Symbolic links in it are not followed.
        path: PathBuf,
    },
}

/// Provider and bucket, for messages: without prefix and credentials.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = &self.bucket;
        match &self.provider {
            Provider::S3 { endpoint: Some(endpoint), .. } => {
                write!(f, "s3 bucket `{bucket}` at {endpoint}")
            }
            Provider::S3 { region, .. } => {
                write!(f, "s3 bucket `{bucket}` in region `{region}`")
            }
            Provider::Gcs { .. } => write!(f, "gcs bucket `{bucket}`"),
            Provider::Azure { .. } => write!(f, "azure container `{bucket}`"),
            Provider::File { root, path } => write!(f, "folder {}", folder_text(root, path)),
        }
    }
}

impl Destination {
    /// A hash that changes whenever a field changes, secrets included. It is only comparable within one
    /// process.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Context::new(&SHA256);
        // `Debug` shows all fields but the secrets.
        hash.update(format!("{self:?}").as_bytes());
        let mut secret = |secret: &SecretString| {
            hash.update(&[0]);
            hash.update(secret.expose_secret().as_bytes());
        };
        match &self.credentials {
            Credentials::AwsAccessKey { secret_access_key, session_token, .. } => {
                secret(secret_access_key);
                session_token.iter().for_each(secret);
            }
            Credentials::GcpServiceAccount { json } => secret(json),
            Credentials::AzureAccountKey { key, .. } => secret(key),
            Credentials::None
            | Credentials::AwsDefaultChain { .. }
            | Credentials::GcpMetadataServer
            | Credentials::AzureManagedIdentity { .. } => {}
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hash.finish().as_ref());
        fingerprint
    }
}

/// The path of a folder in a volume, for messages.
pub(crate) fn folder_text(root: &Path, path: &Path) -> String {
    // Joined with an empty path, a path gets a slash at its end; `components` drops it.
    root.join(path).components().collect::<PathBuf>().display().to_string()
}

/// The credentials of requests.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Requests are not authenticated.
    #[default]
    None,
    /// An access key of AWS or of a store that speaks its protocol.
    AwsAccessKey {
        /// Identifies the key; no secret.
        access_key_id: String,
        /// The secret key.
        secret_access_key: SecretString,
        /// Only temporary credentials have one.
        session_token: Option<SecretString>,
        /// The role to assume with the key.
        role: Option<Role>,
    },
    /// The default credential chain of AWS: what [`WorkloadIdentity`](crate::WorkloadIdentity) offers.
    AwsDefaultChain {
        /// The role to assume with these credentials.
        role: Option<Role>,
    },
    /// The JSON key of a Google service account.
    GcpServiceAccount {
        /// Content of the key file.
        json: SecretString,
    },
    /// The service account that Google's metadata server offers.
    GcpMetadataServer,
    /// The key of an Azure storage account.
    AzureAccountKey {
        /// Name of the account.
        account: String,
        /// Its key, base64.
        key: SecretString,
    },
    /// The managed identity that Azure's metadata service offers.
    AzureManagedIdentity {
        /// Name of the storage account.
        account: String,
    },
}

/// An AWS role that is assumed by STS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external ID that the role's trust policy requires.
    pub external_id: Option<String>,
    /// Endpoint of STS; AWS's in the destination's region if `None`.
    pub sts_endpoint: Option<String>,
}

/// Retention by S3 Object Lock: the store refuses to delete the object for a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Who may lift it.
    pub mode: RetentionMode,
    /// Its length, from the upload on.
    pub period: Duration,
}

/// Who may lift a retention.
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
