//! Looks after one `AuditConfig`: decides, carries the steps out, and looks again.
//!
//! Nothing here decides. A check of a destination that is not asked for any more is broken off, so
//! that a better one does not wait for it.

use std::sync::Arc;
use std::time::Duration;

use kasten::config::audit_config::Validation;
use kasten::domain::AUDIT_CONFIG;
use serde_json::json;
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::decide::{self, Checked, Facts, Left, Memory, Report, Step};
use crate::pen::{About, Saying};
use crate::resolve::{self, Resolution, Wish};
use crate::seen::{Config, Place};
use crate::{ParkReason, Parts, Start};

/// How often delivery is looked at when nothing else happens.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Looks after one `AuditConfig`.
pub(crate) struct Keeper {
    parts: Arc<Parts>,
    place: Place,
    uid: String,
    memory: Memory,
    news: watch::Receiver<u64>,
}

/// Why a round ended early.
struct Again;

impl Keeper {
    pub(crate) fn new(parts: Arc<Parts>, config: &Config) -> Self {
        let news = parts.mirror.news();
        let (place, uid) = (config.place.clone(), config.uid.clone());
        Self { parts, place, uid, memory: Memory::default(), news }
    }

    /// Runs until the object is gone.
    pub(crate) async fn run(mut self) {
        let (mut reader, mut backoff) = (String::new(), Backoff::default());
        while let Some(config) = self.config() {
            reader = config.reader();
            if self.round(&config).await.is_err() {
                tokio::time::sleep(backoff.failed()).await;
                continue;
            }
            backoff.succeeded();
            // The sender is in the mirror, which lives as long as this.
            drop(tokio::time::timeout(LOOK_PERIOD, self.news.changed()).await);
        }
        // Gone without asking: somebody took the finalizer away, or it never had one.
        if self.memory.left.is_none() && (self.memory.is_reserved || self.memory.parked.is_some()) {
            tracing::warn!(reader, "audit config is gone; its delivery ends at once");
            self.parts.corridors.leave(&reader, Duration::ZERO).await.ok();
        }
    }

    /// The object, unless another one has its name now.
    fn config(&self) -> Option<Config> {
        let config = Config::of(&self.parts.mirror.config(&self.place)?);
        (config.uid == self.uid).then_some(config)
    }

    fn resolution(&self, config: &Config) -> (Resolution, i32) {
        let (mirror, settings) = (&self.parts.mirror, &self.parts.settings);
        let place = config.profile_place().unwrap_or_default();
        let profile = mirror.profile_spec(&place);
        let secret = resolve::secret_of(&place, &profile);
        let secret = secret.map(|secret| mirror.secret(&secret)).unwrap_or_default();
        let asked = format!("{:?}{:?}{:?}", config.profile, config.retention, profile);
        let hash = crc32fast::hash(asked.as_bytes()).cast_signed();
        (resolve::of_config(config, &profile, &secret, settings), hash)
    }

    async fn round(&mut self, config: &Config) -> Result<(), Again> {
        let (resolution, hash) = self.resolution(config);
        let fare = self.parts.corridors.fare(&config.reader());
        let steps = decide::next(Facts {
            config,
            resolution: &resolution,
            hash,
            memory: &self.memory,
            fare: fare.as_ref(),
            settings: &self.parts.settings,
            now: (self.parts.clock)(),
        });
        let is_more =
            steps.iter().any(|step| matches!(step, Step::Check(_) | Step::Use(_) | Step::Leave));
        for step in steps {
            self.carry_out(config, step).await?;
        }
        if is_more {
            // What was found out asks for the next decision at once.
            self.news.mark_changed();
        }
        Ok(())
    }

    async fn carry_out(&mut self, config: &Config, step: Step) -> Result<(), Again> {
        let reader = config.reader();
        let parts = Arc::clone(&self.parts);
        match step {
            Step::Keep => parts.mirror.learn(again(parts.pen.finalizer(config, true).await)?),
            Step::Release => parts.mirror.learn(again(parts.pen.finalizer(config, false).await)?),
            Step::Reserve => {
                again(parts.corridors.reserve(&reader, start(config)).await)?;
                (self.memory.is_reserved, self.memory.parked) = (true, None);
            }
            Step::Park(reason) => self.park(config, reason).await?,
            Step::Check(wish) => self.check(&wish).await,
            Step::Use(wish) => match parts.corridors.go(&reader, &wish.destination).await {
                Ok(()) => {
                    self.memory.in_use = Some(wish.fingerprint);
                    self.memory.last = Some(*wish);
                }
                // Who is to go does not wait for what cannot be.
                Err(error) if config.is_going => {
                    tracing::warn!(reader, error, "the rest cannot be delivered");
                }
                Err(error) => again(Err(error))?,
            },
            Step::Pause => {
                parts.corridors.pause(&reader).await;
                self.memory.in_use = None;
            }
            Step::Leave => {
                let time = parts.settings.leave_time;
                let undelivered = again(parts.corridors.leave(&reader, time).await)?;
                self.memory.left = Some(Left { undelivered });
            }
            Step::Report(report) => self.report(config, &report).await?,
            Step::Farewell(left) => self.farewell(config, &left).await,
        }
        Ok(())
    }

    async fn park(&mut self, config: &Config, reason: ParkReason) -> Result<(), Again> {
        let corridors = Arc::clone(&self.parts.corridors);
        let waiting = again(corridors.park(&config.reader(), start(config), reason).await)?;
        (self.memory.is_reserved, self.memory.in_use) = (false, None);
        self.memory.parked = Some(reason);
        let Some(waiting) = waiting else { return Ok(()) };
        let message = match reason {
            ParkReason::Off => format!(
                "delivery is switched off, and {waiting} events recorded before are not there; the \
                 journal holds nothing for it any more"
            ),
            ParkReason::NoDestination => format!(
                "there is nowhere to deliver to; {waiting} events recorded before, and those to come, \
                 wait only as long as the journal keeps them anyway"
            ),
        };
        self.tell(config, Saying { is_warning: true, reason: "Released", message }).await;
        Ok(())
    }

    /// Checks a destination, unless another one is asked for meanwhile.
    async fn check(&mut self, wish: &Wish) {
        let parts = Arc::clone(&self.parts);
        let mut news = self.news.clone();
        let overtaken = async {
            loop {
                let same = self.config().is_some_and(|config| {
                    !config.is_going
                        && matches!(self.resolution(&config).0, Resolution::Ready(now)
                            if now.fingerprint == wish.fingerprint)
                });
                if !same || news.changed().await.is_err() {
                    return;
                }
            }
        };
        let outcome = tokio::select! {
            outcome = parts.corridors.check(&wish.destination) => outcome,
            () = overtaken => return,
        };
        let at = (parts.clock)();
        self.memory.checked = Some(Checked { fingerprint: wish.fingerprint, outcome, at });
    }

    async fn report(&self, config: &Config, report: &Report) -> Result<(), Again> {
        let errors = (!report.errors.is_empty()).then_some(&report.errors);
        let status = json!({
            "validation": report.validation.as_str(),
            "error": errors,
            "hash": report.hash,
        });
        let written = self.parts.pen.status(AUDIT_CONFIG, &config.place, status).await;
        self.parts.mirror.learn(again(written)?);
        self.tell(config, saying(report)).await;
        Ok(())
    }

    async fn farewell(&self, config: &Config, left: &Left) {
        let undelivered = left.undelivered;
        let message = if undelivered == 0 {
            "everything recorded before was delivered; delivery has ended".to_owned()
        } else {
            format!("delivery has ended, and {undelivered} events recorded before are not there")
        };
        let is_warning = undelivered > 0;
        self.tell(config, Saying { is_warning, reason: "Stopped", message }).await;
    }

    async fn tell(&self, config: &Config, saying: Saying) {
        let about = About { names: AUDIT_CONFIG, place: &config.place, uid: &config.uid };
        self.parts.pen.tell(&about, &saying, (self.parts.clock)()).await;
    }
}

/// Where its events begin.
fn start(config: &Config) -> Start {
    if config.wants_oldest { Start::Oldest } else { Start::Since(config.created) }
}

/// A status in a sentence.
fn saying(report: &Report) -> Saying {
    let errors = report.errors.join("; ");
    let (is_warning, reason, message) = match report.validation {
        Validation::Pending if errors.is_empty() => {
            (false, "Pending", format!("checks {}", report.place))
        }
        Validation::Pending => (false, "Pending", format!("waits: {errors}")),
        Validation::UpdateRequested => {
            (false, "UpdateRequested", format!("changed; checks {}", report.place))
        }
        Validation::DeleteRequested => {
            (false, "DeleteRequested", "delivers what was recorded before, then ends".to_owned())
        }
        Validation::Success if report.remark.is_empty() => {
            (false, "Delivering", format!("events go to {}", report.place))
        }
        Validation::Success => {
            (false, "Delivering", format!("events go to {}; {}", report.place, report.remark))
        }
        Validation::Failed => (true, "Failed", errors),
    };
    Saying { is_warning, reason, message }
}

/// What went wrong is logged, and tried again.
fn again<T, E: std::fmt::Display>(outcome: Result<T, E>) -> Result<T, Again> {
    outcome.map_err(|error| {
        tracing::debug!(%error, "a step of the controller fails");
        Again
    })
}
