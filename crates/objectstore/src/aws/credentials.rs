//! The sources of AWS credentials, and when credentials are refreshed.
//!
//! Temporary credentials are refreshed well before they expire, and immediately if a store refuses
//! them. If that fails, the cached ones are used until they expire. No key is ever logged.

use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use object_store::client::HttpClient;
use rustls::ClientConfig;
use sink::error_chain;
use sink::http::{EgressPolicy, Network};
use tokio::sync::Mutex;

use super::keys::{AwsCredential, CredentialsError};
use super::{metadata, sts};
use crate::config::{BucketConfig, Clock, OpenError, WorkloadIdentity};
use crate::credentials::{Credentials, Role};
use crate::http::Transport;

/// Credentials are refreshed this long before they expire, or in the last quarter of their
/// lifetime.
const REFRESH_BEFORE: Duration = Duration::from_mins(5);
/// Credentials that are younger than this are not discarded when a store refuses them.
const REFRESH_PERIOD: Duration = Duration::from_secs(2);

/// The credentials of one destination.
pub(super) enum AwsCredentials {
    /// A permanent access key.
    Static(Arc<AwsCredential>),
    /// Credentials that expire.
    Temporary(Box<CredentialProvider>),
}

/// Fetches temporary credentials and caches them.
pub(super) struct CredentialProvider {
    source: CredentialSource,
    role: Option<Role>,
    region: String,
    clock: Clock,
    /// For STS, whose endpoint a profile may name: the egress policy of destinations applies.
    sts: HttpClient,
    /// For metadata services: no policy applies, because the server's environment names them, never
    /// a profile.
    metadata: HttpClient,
    cached: Mutex<Option<Cached>>,
}

/// The credentials that assume a role, or that sign requests directly.
enum CredentialSource {
    Static(Arc<AwsCredential>),
    Workload(WorkloadIdentity),
}

struct Cached {
    credential: Arc<AwsCredential>,
    fetched_at: Timestamp,
}

impl AwsCredentials {
    pub(super) fn open(
        credentials: &Credentials,
        config: &BucketConfig,
        region: &str,
        tls: &ClientConfig,
    ) -> Result<Self, OpenError> {
        let (source, role) = match credentials {
            Credentials::AwsAccessKey { access_key_id, secret_access_key, session_token, role } => {
                let credential = Arc::new(AwsCredential {
                    access_key_id: access_key_id.clone(),
                    secret_access_key: secret_access_key.clone(),
                    session_token: session_token.clone(),
                    expires: None,
                });
                if role.is_none() {
                    return Ok(Self::Static(credential));
                }
                (CredentialSource::Static(credential), role.clone())
            }
            Credentials::AwsDefaultChain { role } => {
                (CredentialSource::Workload(config.workload_identity.clone()), role.clone())
            }
            _ => return Err(OpenError::Credentials { provider: "S3" }),
        };
        let unrestricted = EgressPolicy {
            allowed: Network::ALL.to_vec(),
            denied: Vec::new(),
            plain_http: true,
            ..config.egress.clone()
        };
        Ok(Self::Temporary(Box::new(CredentialProvider {
            source,
            role,
            region: region.to_owned(),
            clock: Arc::clone(&config.clock),
            sts: Transport::new(config.egress.clone(), tls.clone(), None).client(),
            metadata: Transport::new(unrestricted, tls.clone(), None).client(),
            cached: Mutex::default(),
        })))
    }

    /// Credentials that have not expired.
    pub(super) async fn get(&self) -> Result<Arc<AwsCredential>, CredentialsError> {
        match self {
            Self::Static(credential) => Ok(Arc::clone(credential)),
            Self::Temporary(provider) => provider.get().await,
        }
    }

    /// Discards credentials that a store has refused. Returns whether the next may be others.
    pub(super) async fn refresh(&self) -> bool {
        match self {
            Self::Static(_) => false,
            Self::Temporary(provider) => provider.refresh().await,
        }
    }
}

impl CredentialProvider {
    async fn get(&self) -> Result<Arc<AwsCredential>, CredentialsError> {
        let now = (self.clock)();
        // Locked during the fetch, so that concurrent requests fetch once.
        let mut cached = self.cached.lock().await;
        if let Some(cached) = cached.as_ref().filter(|cached| !cached.is_due(now)) {
            return Ok(Arc::clone(&cached.credential));
        }
        match self.fetch().await {
            Ok(credential) => {
                let credential = Arc::new(credential);
                *cached = Some(Cached { credential: Arc::clone(&credential), fetched_at: now });
                Ok(credential)
            }
            Err(error) => match cached.as_ref().filter(|cached| cached.is_valid(now)) {
                Some(cached) => {
                    let reason = error_chain(&error);
                    tracing::warn!(
                        reason,
                        "cannot refresh credentials; the cached ones have not expired"
                    );
                    Ok(Arc::clone(&cached.credential))
                }
                None => Err(error),
            },
        }
    }

    async fn refresh(&self) -> bool {
        let now = (self.clock)();
        let mut cached = self.cached.lock().await;
        let was_just_fetched = cached.as_ref().is_some_and(|cached| {
            let age = now.as_micros().saturating_sub(cached.fetched_at.as_micros());
            (0..micros(REFRESH_PERIOD)).contains(&age)
        });
        if !was_just_fetched {
            *cached = None;
        }
        !was_just_fetched
    }

    async fn fetch(&self) -> Result<AwsCredential, CredentialsError> {
        let base = match &self.source {
            CredentialSource::Static(credential) => Arc::clone(credential),
            CredentialSource::Workload(identity) => Arc::new(self.default_chain(identity).await?),
        };
        match &self.role {
            Some(role) => {
                sts::assume_role(&self.sts, role, &base, &self.region, (self.clock)()).await
            }
            None => Arc::into_inner(base).ok_or(CredentialsError::Unavailable),
        }
    }

    /// The first issuer that the environment names, in the order of AWS's own libraries.
    async fn default_chain(
        &self,
        identity: &WorkloadIdentity,
    ) -> Result<AwsCredential, CredentialsError> {
        if let Some(identity) = &identity.web_identity {
            return sts::assume_role_with_web_identity(&self.sts, identity, &self.region).await;
        }
        if let Some(container) = &identity.container {
            return metadata::container(&self.metadata, container).await;
        }
        if let Some(endpoint) = &identity.instance {
            return metadata::instance(&self.metadata, endpoint).await;
        }
        Err(CredentialsError::Unavailable)
    }
}

impl Cached {
    /// Whether new credentials should be fetched.
    fn is_due(&self, now: Timestamp) -> bool {
        let Some(expires) = self.credential.expires else { return false };
        let lifetime = expires.as_micros().saturating_sub(self.fetched_at.as_micros());
        let lead_time = micros(REFRESH_BEFORE).min(lifetime / 4);
        now.as_micros() >= expires.as_micros().saturating_sub(lead_time)
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.credential.expires.is_none_or(|expires| now < expires)
    }
}

fn micros(period: Duration) -> i64 {
    i64::try_from(period.as_micros()).unwrap_or(i64::MAX)
}
