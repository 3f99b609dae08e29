//! The serving certificate that the server makes itself, and how kube-apiserver learns to believe it.
//!
//! The certificate lives in a Secret: whoever comes first makes it, everybody else uses it, and two
//! who renew at once are told apart by the Secret's version, so replicas agree without a leader.
//! Each renewal has an authority of its own whose key is forgotten at once. The new authority is
//! published in the APIServices *beside* the old one before anybody serves with the new
//! certificate, so kube-apiserver never meets one that it does not believe.
//!
//! Only APIServices that name our Service are touched, and nothing of them but whom to believe.

mod objects;
mod serving_pair;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use apiserver::Clock as _;
use apiserver::health::{HealthCheck, Reach};
use apiserver::tls::ServingCertificate;

use crate::args::values::ServiceName;
use crate::clock::SystemClock;
use objects::{ApiServices, CertificateSecret, Registration};
use serving_pair::{PairState, ServingPair};

/// How often everything is looked at.
const RESYNC_PERIOD: Duration = Duration::from_secs(30);
/// The same while APIServices are missing, as they are early in an installation.
const EARLY_PERIOD: Duration = Duration::from_secs(5);
/// How many looks are early ones.
const EARLY_CHECKS_MAX: u32 = 24;
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Time for kube-apiserver to hear of a new authority, which it does by a watch.
const SPREAD_TIME: Duration = Duration::from_secs(10);
/// How often a write is tried again because somebody else was faster.
const RACES_MAX: usize = 5;

/// Keeps the certificate good.
pub(crate) struct CertificateRotator {
    service: ServiceName,
    secret: CertificateSecret,
    api_services: ApiServices,
    serving: Arc<ServingCertificate>,
    /// What `serving` serves.
    served: ServingPair,
}

impl CertificateRotator {
    /// Takes the certificate from the cluster, or makes it. `groups` are group and version of what
    /// is served.
    pub(crate) async fn open(
        client: kube::Client,
        service: ServiceName,
        groups: Vec<(&'static str, &'static str)>,
    ) -> Result<Self> {
        let secret = CertificateSecret::new(client.clone(), &service);
        let api_services = ApiServices::new(client, service.clone(), groups);
        let found = api_services.read().await;
        let served = ensure(&secret, &service, None)
            .await
            .with_context(|| format!("cannot keep a serving certificate in {secret}"))?;
        // Best before the first connection; if it cannot be, the first look does it.
        match found {
            Ok(found) => report(api_services.publish(&found, &served.bundle()).await),
            Err(error) => report(Err(error)),
        }
        let (origin, now) = (secret.to_string(), SystemClock.now());
        let serving = ServingCertificate::of_pem(&origin, &served.certificate, &served.key, now)?;
        Ok(Self { service, secret, api_services, serving, served })
    }

    /// What is served, now and after each renewal.
    pub(crate) fn serving(&self) -> Arc<ServingCertificate> {
        Arc::clone(&self.serving)
    }

    /// Not ready with a certificate that is over, which only happens when nobody renews it.
    pub(crate) fn check(&self) -> HealthCheck {
        let serving = self.serving();
        HealthCheck {
            name: "serving-certificate",
            reach: Reach::Readiness,
            probe: Arc::new(move || {
                if serving.is_over(SystemClock.now()) {
                    return Err("the serving certificate is over".to_owned());
                }
                Ok(())
            }),
        }
    }

    /// Looks for ever.
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

    /// Renews what must be renewed, publishes what must be published, serves what is new.
    async fn reconcile(&mut self) -> Result<Registration> {
        // The APIServices first: if somebody publishes after this, our own patch is refused, and
        // if somebody published before, the Secret read next is at least as new.
        let found = self.api_services.read().await?;
        let pair = ensure(&self.secret, &self.service, Some(&self.served)).await?;
        self.api_services.publish(&found, &pair.bundle()).await?;
        if pair.certificate != self.served.certificate {
            tokio::time::sleep(SPREAD_TIME).await;
            let found = self.api_services.read().await?;
            self.api_services.publish(&found, &pair.bundle()).await?;
            self.serving.replace(&pair.certificate, &pair.key, SystemClock.now())?;
            tracing::info!("a new serving certificate is served");
        }
        self.served = pair;
        Ok(found.extent())
    }
}

/// The pair in the Secret, once it is good.
async fn ensure(
    secret: &CertificateSecret,
    service: &ServiceName,
    served: Option<&ServingPair>,
) -> Result<ServingPair> {
    let host = service.host();
    for _ in 0..RACES_MAX {
        let now = SystemClock.now();
        let kept = secret.read().await?;
        let verdict = kept.pair.as_ref().map_or(PairState::Missing, |pair| pair.assess(&host, now));
        let next = match (verdict, kept.pair.as_ref()) {
            (PairState::Valid, Some(pair)) => return Ok(pair.clone()),
            (PairState::OverlapOver, Some(pair)) => pair.without_old_authorities(),
            (verdict, pair) => {
                tracing::info!(reason = verdict.reason(), "making a serving certificate");
                // Whoever is served now is to be believed until the new one has spread.
                ServingPair::make(&host, pair.or(served), now)?
            }
        };
        if secret.write(kept, &next).await? {
            return Ok(next);
        }
    }
    bail!("others change {secret} again and again")
}

fn report(outcome: Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(reason = format!("{error:#}"), "cannot keep the serving certificate");
    }
}
