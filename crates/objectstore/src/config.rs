//! The common configuration of the buckets of a server, and the error of opening one.
//!
//! Nothing here is read from a file or the environment; the caller fills it in.

use std::path::PathBuf;
use std::sync::Arc;

use event::Timestamp;
use sink::Encoding;
use sink::http::EgressPolicy;
use sink::http::tls::TlsError;

/// Returns the current time, for signatures, keys and retention.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The common configuration of all buckets of a server.
#[derive(Clone)]
pub struct BucketConfig {
    /// Name of the cluster, which is a part of each key.
    pub cluster: String,
    /// The encoding of a line.
    pub encoding: Encoding,
    /// The addresses that may be dialed.
    pub egress: EgressPolicy,
    /// Credentials that the server's environment offers.
    pub workload_identity: WorkloadIdentity,
    /// The current time.
    pub clock: Clock,
}

/// Credentials that the server's environment offers, in the order in which they are tried. These
/// are the steps of AWS's default credential chain that need no file of a user.
#[derive(Clone, Debug, Default)]
pub struct WorkloadIdentity {
    /// A projected token and its role (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`).
    pub web_identity: Option<WebIdentity>,
    /// The credentials endpoint of a pod or task (`AWS_CONTAINER_CREDENTIALS_FULL_URI` or
    /// `…RELATIVE_URI`).
    pub container: Option<ContainerCredentials>,
    /// The instance metadata service, if it may be used, such as `http://169.254.169.254`
    /// (`AWS_EC2_METADATA_SERVICE_ENDPOINT`).
    pub instance: Option<String>,
}

/// A token that is exchanged for the credentials of a role (`AssumeRoleWithWebIdentity`).
#[derive(Clone, Debug)]
pub struct WebIdentity {
    /// The file that holds the token.
    pub token_file: PathBuf,
    /// ARN of the role.
    pub role_arn: String,
    /// Endpoint of STS; AWS's in the destination's region if `None`.
    pub sts_endpoint: Option<String>,
}

/// The endpoint from which a pod (EKS Pod Identity) or a task (ECS) gets credentials.
#[derive(Clone, Debug)]
pub struct ContainerCredentials {
    /// Its URI.
    pub uri: String,
    /// The file with the token that authorizes the request.
    pub token_file: Option<PathBuf>,
}

/// Why a destination cannot be used as it is described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The endpoint must not be dialed.
    #[error("endpoint {endpoint:?} {reason}")]
    Endpoint {
        /// The configured value.
        endpoint: String,
        /// The error in the endpoint.
        reason: String,
    },
    /// A value is missing or malformed.
    #[error("{reason}")]
    Value {
        /// The name of the value, and its error.
        reason: String,
    },
    /// The provider does not support these credentials.
    #[error("these credentials cannot be used with {provider}")]
    Credentials {
        /// Name of the provider.
        provider: &'static str,
    },
    /// The certificates to trust cannot be read.
    #[error("the CA certificates cannot be read: {reason}")]
    Ca {
        /// The error.
        reason: String,
    },
}

impl From<TlsError> for OpenError {
    fn from(error: TlsError) -> Self {
        Self::Ca { reason: error.to_string() }
    }
}
