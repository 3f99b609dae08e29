//! A cluster with one `AuditConfig`, in which actions are executed immediately.

use std::fmt::Write as _;
use std::path::PathBuf;

use event::Timestamp;
use expect_test::Expect;
use kasten::config::audit_config::{AuditConfigStatus, FINALIZER, ProfileReference};
use objectstore::{
    Capabilities, Checksum, Credentials, Destination, FileStore, Limits, OpenError, Prefix,
    Provider,
};

use super::*;
use crate::objects::NamespacedName;

/// A cluster with one `AuditConfig`, a journal that always succeeds, and destinations.
pub(super) struct TestCluster {
    pub(super) config: AuditConfigView,
    pub(super) resolution: Resolution,
    pub(super) hash: i32,
    pub(super) state: State,
    pub(super) health: Option<DeliveryHealth>,
    pub(super) settings: Settings,
    pub(super) now: Timestamp,
    /// The outcome of a check.
    pub(super) check: Result<Capabilities, DestinationError>,
    pub(super) undelivered: u64,
    pub(super) trace: String,
}

pub(super) fn new() -> TestCluster {
    TestCluster {
        config: AuditConfigView {
            key: NamespacedName { namespace: "kasten-io".to_owned(), name: "siem".to_owned() },
            uid: "u1".to_owned(),
            created: Timestamp::UNSET,
            is_deleting: false,
            finalizers: Vec::new(),
            starts_at_oldest: false,
            retention: None,
            profile: Ok(ProfileReference::default()),
            status: AuditConfigStatus::default(),
        },
        resolution: Resolution::Pending("Profile kasten-io/p does not exist".to_owned()),
        hash: 1,
        state: State::default(),
        health: None,
        settings: Settings::default(),
        now: Timestamp::from_micros(1_000_000_000),
        check: Ok(WORKS),
        undelivered: 0,
        trace: String::new(),
    }
}

/// The check of a destination that supports everything.
pub(super) const WORKS: Capabilities =
    Capabilities { supports_conditional_put: true, checksum: Checksum::Sha256 };

/// Why a destination does not work.
pub(super) fn failure(description: &str) -> DestinationError {
    OpenError::Value { reason: description.to_owned() }.into()
}

/// A destination in a folder with this name. `key` represents its credentials.
pub(super) fn ready(name: &str, key: u8) -> Resolution {
    let destination = Destination {
        provider: Provider::File(FileStore { root: PathBuf::from(name), path: PathBuf::new() }),
        bucket: String::new(),
        prefix: Prefix::default(),
        skip_tls_verify: false,
        ca_pem: None,
        credentials: Credentials::None,
        retention: None,
        limits: Limits::default(),
    };
    let mut fingerprint = [key; 32];
    for (element, byte) in fingerprint.iter_mut().zip(name.bytes()) {
        *element = byte;
    }
    Resolution::Ready(Box::new(ResolvedDestination { destination, fingerprint }))
}

impl TestCluster {
    /// Applies a change and the resulting actions, and adds them to the trace.
    pub(super) fn then(mut self, description: &str, change: impl FnOnce(&mut Self)) -> Self {
        writeln!(self.trace, "{description}").unwrap();
        change(&mut self);
        self.reconcile();
        self
    }

    /// Restarts the controller. The object and the journal remain.
    pub(super) fn restart(self) -> Self {
        self.then("restart", |cluster| {
            cluster.state = State::default();
            cluster.health = None;
        })
    }

    fn reconcile(&mut self) {
        for _ in 0..20 {
            let actions = plan(Observed {
                config: &self.config,
                resolution: &self.resolution,
                hash: self.hash,
                state: &self.state,
                health: self.health.as_ref(),
                settings: &self.settings,
                now: self.now,
            });
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.apply(action);
            }
        }
        panic!("the actions do not end:\n{}", self.trace);
    }

    fn apply(&mut self, action: Action) {
        let line = match action {
            Action::AddFinalizer => {
                self.config.finalizers.push(FINALIZER.to_owned());
                "add finalizer".to_owned()
            }
            Action::RemoveFinalizer => {
                self.config.finalizers.clear();
                "remove finalizer".to_owned()
            }
            Action::ReserveCursor => {
                self.state.is_reserved = true;
                self.state.parked = None;
                "reserve cursor".to_owned()
            }
            Action::CheckDestination(resolved) => {
                let outcome = self.check.clone();
                let outcome_text = if outcome.is_ok() { "works" } else { "does not work" };
                self.state.checked = Some(LastCheck {
                    fingerprint: resolved.fingerprint,
                    outcome,
                    checked_at: self.now,
                });
                format!("check {}: {outcome_text}", resolved.description())
            }
            Action::Deliver(resolved) => {
                self.state.in_use = Some(resolved.fingerprint);
                let line = format!("deliver to {}", resolved.description());
                self.state.last = Some(*resolved);
                line
            }
            Action::Pause => {
                self.state.in_use = None;
                "pause".to_owned()
            }
            Action::Park(reason) => {
                (self.state.is_reserved, self.state.in_use) = (false, None);
                self.state.parked = Some(reason);
                format!("park, {reason:?}")
            }
            Action::Drain => {
                self.state.in_use = None;
                self.state.drained = Some(DrainOutcome { undelivered: self.undelivered });
                "drain".to_owned()
            }
            Action::WriteStatus(report) => {
                self.config.status = AuditConfigStatus {
                    validation: Some(report.validation.as_str().to_owned()),
                    error: (!report.errors.is_empty()).then(|| report.errors.clone()),
                    hash: Some(report.hash),
                };
                let outcome_text = format!("{}{}", report.errors.join("; "), report.remark);
                format!("{} {outcome_text}", report.validation.as_str())
            }
            Action::RecordDrained(outcome) => {
                format!("drained, {} undelivered", outcome.undelivered)
            }
        };
        writeln!(self.trace, "  {}", line.trim_end()).unwrap();
    }

    #[expect(clippy::needless_pass_by_value, reason = "as expect! makes it")]
    pub(super) fn check(self, expected: Expect) {
        expected.assert_eq(&self.trace);
    }
}
