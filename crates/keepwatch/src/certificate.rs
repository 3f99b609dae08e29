//! The serving certificate that the server generates, and its rotation.
//!
//! The certificate is stored in a Secret that all replicas share. The first replica creates it; if
//! two replicas renew it concurrently, the Secret's resource version lets one of them win, so no
//! leader is needed. Each renewal creates a new authority, whose key is discarded immediately. The
//! new authority is added to the `caBundle` of the APIServices before a replica serves the new
//! certificate, and the old one remains for some time, so kube-apiserver always trusts the
//! presented certificate.
//!
//! Only `caBundle` is changed, and only in APIServices and webhook configurations that refer to
//! this server's Service.

mod objects;
mod serving_pair;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use apiserver::Clock as _;
use apiserver::health::{CheckScope, HealthCheck};
use apiserver::tls::ServingCertificate;

use crate::args::values::ServiceName;
use crate::clock::SystemClock;
use objects::{ApiServices, CertificateSecret, Registration};
use serving_pair::{PairState, ServingPair};

/// Time between two reconciliations.
const RESYNC_PERIOD: Duration = Duration::from_secs(30);
/// Time between two reconciliations while APIServices are missing, as during an installation.
const EARLY_PERIOD: Duration = Duration::from_secs(5);
/// Number of times that [`EARLY_PERIOD`] is used.
const EARLY_CHECKS_MAX: u32 = 24;
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Time for kube-apiserver, which watches APIServices, to load a new `caBundle`.
const SPREAD_TIME: Duration = Duration::from_secs(10);
/// Maximum number of retries of a write after a conflict.
const RACES_MAX: usize = 5;

/// Creates, renews and publishes the certificate.
pub(crate) struct CertificateRotator {
    service: ServiceName,
    secret: CertificateSecret,
    api_services: ApiServices,
    serving: Arc<ServingCertificate>,
    /// The pair in `serving`.
    served: ServingPair,
}

impl CertificateRotator {
    /// Reads the certificate from the cluster, or creates it. `groups` are the served groups and
    /// versions. `configuration` is the name of the webhook configuration whose `caBundle` is set
    /// too.
    pub(crate) async fn open(
        client: kube::Client,
        service: ServiceName,
        groups: Vec<(&'static str, &'static str)>,
        configuration: Option<String>,
    ) -> Result<Self> {
        let secret = CertificateSecret::new(client.clone(), &service);
        let api_services = ApiServices::new(client, service.clone(), groups, configuration);
        let registered = api_services.read().await;
        let served = ensure(&secret, &service, None)
            .await
            .with_context(|| format!("cannot store a serving certificate in {secret}"))?;
        // Publish before the first connection; if that fails, the first reconciliation publishes.
        match registered {
            Ok(registered) => report(api_services.publish(&registered, &served.bundle()).await),
            Err(error) => report(Err(error)),
        }
        let (origin, now) = (secret.to_string(), SystemClock.now());
        let serving = ServingCertificate::from_pem(&origin, &served.certificate, &served.key, now)?;
        Ok(Self { service, secret, api_services, serving, served })
    }

    /// The certificate that is served, updated by each renewal.
    pub(crate) fn serving(&self) -> Arc<ServingCertificate> {
        Arc::clone(&self.serving)
    }

    /// Readiness fails when the certificate has expired, which happens only if renewals fail.
    pub(crate) fn check(&self) -> HealthCheck {
        let serving = self.serving();
        HealthCheck {
            name: "serving-certificate",
            scope: CheckScope::ReadyzOnly,
            probe: Arc::new(move || {
                if serving.is_over(SystemClock.now()) {
                    return Err("the serving certificate has expired".to_owned());
                }
                Ok(())
            }),
        }
    }

    /// Reconciles forever.
    pub(crate) async fn run(mut self) {
        let mut early_checks = 0;
        loop {
            let pause = match self.reconcile().await {
                Ok(Registration::Partial) if early_checks < EARLY_CHECKS_MAX => {
                    early_checks += 1;
                    EARLY_PERIOD
                }
                Ok(_) => RESYNC_PERIOD,
                Err(error) => {
                    report(Err(error));
                    RETRY_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Renews the certificate if it is due, publishes its authorities, and serves it.
    async fn reconcile(&mut self) -> Result<Registration> {
        // Read the APIServices first: if another replica publishes later, the patch conflicts; if
        // it published earlier, the Secret that is read next is at least as new.
        let registered = self.api_services.read().await?;
        let pair = ensure(&self.secret, &self.service, Some(&self.served)).await?;
        self.api_services.publish(&registered, &pair.bundle()).await?;
        if pair.certificate != self.served.certificate {
            tokio::time::sleep(SPREAD_TIME).await;
            let registered = self.api_services.read().await?;
            self.api_services.publish(&registered, &pair.bundle()).await?;
            self.serving.replace(&pair.certificate, &pair.key, SystemClock.now())?;
            tracing::info!("a new serving certificate is served");
        }
        self.served = pair;
        Ok(registered.extent())
    }
}

/// The pair in the Secret, created or renewed if necessary.
async fn ensure(
    secret: &CertificateSecret,
    service: &ServiceName,
    served: Option<&ServingPair>,
) -> Result<ServingPair> {
    let host = service.host();
    for _ in 0..RACES_MAX {
        let now = SystemClock.now();
        let stored = secret.read().await?;
        let state = stored.pair.as_ref().map_or(PairState::Missing, |pair| pair.assess(&host, now));
        let next = match (state, stored.pair.as_ref()) {
            (PairState::Valid, Some(pair)) => return Ok(pair.clone()),
            (PairState::OverlapOver, Some(pair)) => pair.without_old_authorities(),
            (state, pair) => {
                tracing::info!(reason = state.reason(), "a serving certificate is created");
                // The current certificate must stay trusted until the new one is loaded.
                ServingPair::generate(&host, pair.or(served), now)?
            }
        };
        if secret.write(stored, &next).await? {
            return Ok(next);
        }
    }
    bail!("{secret} is changed by other writers too often")
}

fn report(outcome: Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(reason = format!("{error:#}"), "cannot rotate the serving certificate");
    }
}
