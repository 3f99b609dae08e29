//! Where objects go, with what rights, and in which portions: everything an operator can say.
//!
//! Plain data, already valid as far as that can be told without asking anybody. `Debug` shows no
//! secret. Nothing here is read from a file or the environment; the caller fills it in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::prefix::Prefix;

/// One place for objects, and how to get in.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Who keeps the objects.
    pub provider: Provider,
    /// Bucket or container; without meaning for [`Provider::File`].
    pub bucket: String,
    /// Stands before every key.
    pub prefix: Prefix,
    /// Whoever answers is believed to be the one that was asked for.
    pub skip_tls_verify: bool,
    /// Certificates, PEM, that are trusted beside the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The rights to write.
    pub credentials: Credentials,
    /// How long the store is asked to refuse deletion.
    pub retention: Option<Retention>,
    /// The portions.
    pub limits: Limits,
}

/// Who keeps the objects.
#[derive(Clone, Debug)]
pub enum Provider {
    /// AWS S3, or whoever speaks its protocol.
    S3 {
        /// Where it listens, such as `https://minio.example.com:9000`; AWS if `None`.
        endpoint: Option<String>,
        /// The region to sign for; `us-east-1` if empty.
        region: String,
        /// The bucket stands in the path instead of the host name.
        path_style: bool,
    },
    /// Google Cloud Storage.
    Gcs {
        /// Where it listens; Google if `None`.
        endpoint: Option<String>,
    },
    /// Azure Blob Storage.
    Azure {
        /// Where it listens; Azure's public cloud if `None`.
        endpoint: Option<String>,
    },
    /// A folder, usually a mounted share.
    File {
        /// The volume, which the operator has mounted.
        root: PathBuf,
        /// The folder in it; no link is followed on the way to it.
        path: PathBuf,
    },
}

/// A folder in a volume, as people write it.
pub fn folder_text(root: &Path, path: &Path) -> String {
    // Joined with nothing, a path gets a slash at its end.
    root.join(path).components().collect::<PathBuf>().display().to_string()
}

/// The rights to write.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// None are needed.
    #[default]
    None,
    /// A key of AWS or of a store that speaks its protocol.
    AwsKeys {
        /// Names the key; no secret.
        access_key_id: String,
        /// The key.
        secret_access_key: SecretString,
        /// For keys that are lent.
        session_token: Option<SecretString>,
        /// The role to assume with it.
        role: Option<Role>,
    },
    /// What the place where the server runs gives it: a projected token, the agent of the node.
    AwsAmbient {
        /// The role to assume with it.
        role: Option<Role>,
    },
    /// The JSON key of a Google service account.
    GcpServiceAccount {
        /// The file's content.
        json: SecretString,
    },
    /// What Google's metadata service gives.
    GcpAmbient,
    /// The key of an Azure storage account.
    AzureKey {
        /// The account.
        account: String,
        /// Its key, base64.
        key: SecretString,
    },
    /// What Azure's metadata service gives.
    AzureAmbient {
        /// The account.
        account: String,
    },
}

/// An AWS role that is assumed by STS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What the role's owner wants to hear.
    pub external_id: Option<String>,
    /// Where STS listens; AWS's in the destination's region if `None`.
    pub sts_endpoint: Option<String>,
}

/// How long the store is asked to refuse deletion, by S3's Object Lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Who may lift it.
    pub mode: RetentionMode,
    /// From the upload on.
    pub period: Duration,
}

/// Who may lift a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionMode {
    /// Whoever has the right to.
    Governance,
    /// Nobody.
    Compliance,
}

impl RetentionMode {
    /// The word of S3's protocol.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

/// The portions in which events leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An object is sealed before its lines pass so many bytes, unless a single one is longer.
    pub seal_bytes: usize,
    /// An object is sealed when its first event has waited this long.
    pub seal_age: Duration,
    /// A line may be so long, as the Datadog Forwarder counts it; a longer one is shed.
    pub line_bytes: usize,
}

/// Bytes of lines in an object. The Forwarder holds a whole object in memory.
pub const SEAL_BYTES: usize = 16 << 20;
/// How long an event waits for company.
pub const SEAL_AGE: Duration = Duration::from_mins(1);
/// The Forwarder drops what is longer, and says it was forwarded.
pub const LINE_BYTES: usize = 512_000;

impl Default for Limits {
    fn default() -> Self {
        Self { seal_bytes: SEAL_BYTES, seal_age: SEAL_AGE, line_bytes: LINE_BYTES }
    }
}
