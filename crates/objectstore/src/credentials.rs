//! The credentials of requests, of all providers.

use secrecy::{ExposeSecret as _, SecretString};

/// The credentials of requests. `Debug` shows no secret.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Requests are not authenticated.
    #[default]
    None,
    /// An access key of AWS or of a store that speaks its protocol.
    AwsAccessKey {
        /// Identifies the key; not secret.
        access_key_id: String,
        /// The secret key.
        secret_access_key: SecretString,
        /// Only temporary credentials have one.
        session_token: Option<SecretString>,
        /// The role to assume with the key.
        role: Option<Role>,
    },
    /// The default credential chain of AWS: the sources in
    /// [`WorkloadIdentity`](crate::WorkloadIdentity).
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

impl Credentials {
    /// Whether they are the server's own, from its environment, and not those of a user.
    pub fn are_own(&self) -> bool {
        match self {
            Self::AwsDefaultChain { .. }
            | Self::GcpMetadataServer
            | Self::AzureManagedIdentity { .. } => true,
            Self::None
            | Self::AwsAccessKey { .. }
            | Self::GcpServiceAccount { .. }
            | Self::AzureAccountKey { .. } => false,
        }
    }

    /// All secrets in them.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        match self {
            Self::AwsAccessKey { secret_access_key, session_token, .. } => {
                let secrets = [Some(secret_access_key), session_token.as_ref()];
                secrets.into_iter().flatten().map(SecretString::expose_secret).collect()
            }
            Self::GcpServiceAccount { json } => vec![json.expose_secret()],
            Self::AzureAccountKey { key, .. } => vec![key.expose_secret()],
            Self::None
            | Self::AwsDefaultChain { .. }
            | Self::GcpMetadataServer
            | Self::AzureManagedIdentity { .. } => Vec::new(),
        }
    }

    /// The public identification of the credentials: a key ID with its role, or an account.
    pub(crate) fn public_part(&self) -> String {
        match self {
            Self::None | Self::GcpMetadataServer | Self::GcpServiceAccount { .. } => String::new(),
            Self::AwsAccessKey { access_key_id, role, .. } => format!("{access_key_id}\n{role:?}"),
            Self::AwsDefaultChain { role } => format!("{role:?}"),
            Self::AzureAccountKey { account, .. } | Self::AzureManagedIdentity { account } => {
                account.clone()
            }
        }
    }

    /// The storage account; empty if they have none.
    pub(crate) fn account(&self) -> &str {
        match self {
            Self::AzureAccountKey { account, .. } | Self::AzureManagedIdentity { account } => {
                account
            }
            _ => "",
        }
    }

    /// A description of their origin.
    pub(crate) fn origin(&self) -> &'static str {
        if self.are_own() {
            "the identity that this server runs with"
        } else {
            "the profile's Secret"
        }
    }
}
