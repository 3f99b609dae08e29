//! A cluster with one `AuditConfig`, in which steps are carried out at once.

use std::fmt::Write as _;
use std::path::PathBuf;

use event::Timestamp;
use expect_test::Expect;
use kasten::config::audit_config::{AuditConfigStatus, FINALIZER, ProfileReference};
use objectstore::{Credentials, Destination, Limits, Prefix, Provider};

use super::*;
use crate::seen::Place;

/// A cluster with one `AuditConfig`, a journal that does what it is told, and destinations.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) resolution: Resolution,
    pub(super) hash: i32,
    pub(super) memory: Memory,
    pub(super) fare: Option<Fare>,
    pub(super) settings: Settings,
    pub(super) now: Timestamp,
    /// What a check says.
    pub(super) check: Result<String, String>,
    pub(super) undelivered: u64,
    pub(super) trace: String,
}

pub(super) fn new() -> World {
    World {
        config: Config {
            place: Place { namespace: "kasten-io".to_owned(), name: "siem".to_owned() },
            uid: "u1".to_owned(),
            created: Timestamp::UNSET,
            is_going: false,
            finalizers: Vec::new(),
            wants_oldest: false,
            retention: None,
            profile: Ok(ProfileReference::default()),
            status: AuditConfigStatus::default(),
        },
        resolution: Resolution::Waiting("Profile kasten-io/p does not exist".to_owned()),
        hash: 1,
        memory: Memory::default(),
        fare: None,
        settings: Settings::default(),
        now: Timestamp::from_micros(1_000_000_000),
        check: Ok(String::new()),
        undelivered: 0,
        trace: String::new(),
    }
}

/// A destination in a folder of this name, opened by a key of this number.
pub(super) fn ready(name: &str, key: u8) -> Resolution {
    let destination = Destination {
        provider: Provider::File { root: PathBuf::from(name), path: PathBuf::new() },
        bucket: String::new(),
        prefix: Prefix::default(),
        skip_tls_verify: false,
        ca_pem: None,
        credentials: Credentials::None,
        retention: None,
        limits: Limits::default(),
    };
    let mut fingerprint = [key; 32];
    for (place, byte) in fingerprint.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    Resolution::Ready(Box::new(Wish { destination, fingerprint }))
}

impl World {
    /// Changes something, lets everything settle, and says what was done.
    pub(super) fn then(mut self, what: &str, change: impl FnOnce(&mut Self)) -> Self {
        writeln!(self.trace, "{what}").unwrap();
        change(&mut self);
        self.settle();
        self
    }

    /// The controller starts anew; object and journal stay.
    pub(super) fn restart(self) -> Self {
        self.then("restart", |world| {
            world.memory = Memory::default();
            world.fare = None;
        })
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            let steps = next(Facts {
                config: &self.config,
                resolution: &self.resolution,
                hash: self.hash,
                memory: &self.memory,
                fare: self.fare.as_ref(),
                settings: &self.settings,
                now: self.now,
            });
            if steps.is_empty() {
                return;
            }
            for step in steps {
                self.carry_out(step);
            }
        }
        panic!("no end in sight:\n{}", self.trace);
    }

    fn carry_out(&mut self, step: Step) {
        let line = match step {
            Step::Keep => {
                self.config.finalizers.push(FINALIZER.to_owned());
                "finalizer on".to_owned()
            }
            Step::Release => {
                self.config.finalizers.clear();
                "finalizer off".to_owned()
            }
            Step::Reserve => {
                self.memory.is_reserved = true;
                self.memory.parked = None;
                "hold events".to_owned()
            }
            Step::Check(wish) => {
                let outcome = self.check.clone();
                let said = if outcome.is_ok() { "works" } else { "does not work" };
                self.memory.checked =
                    Some(Checked { fingerprint: wish.fingerprint, outcome, at: self.now });
                format!("check {}: {said}", wish.place())
            }
            Step::Use(wish) => {
                self.memory.in_use = Some(wish.fingerprint);
                let line = format!("deliver to {}", wish.place());
                self.memory.last = Some(*wish);
                line
            }
            Step::Pause => {
                self.memory.in_use = None;
                "pause".to_owned()
            }
            Step::Park(reason) => {
                (self.memory.is_reserved, self.memory.in_use) = (false, None);
                self.memory.parked = Some(reason);
                format!("hold nothing, {reason:?}")
            }
            Step::Leave => {
                self.memory.in_use = None;
                self.memory.left = Some(Left { undelivered: self.undelivered });
                "deliver the rest and forget".to_owned()
            }
            Step::Report(report) => {
                self.config.status = AuditConfigStatus {
                    validation: Some(report.validation.as_str().to_owned()),
                    error: (!report.errors.is_empty()).then(|| report.errors.clone()),
                    hash: Some(report.hash),
                };
                let said = format!("{}{}", report.errors.join("; "), report.remark);
                format!("{} {said}", report.validation.as_str())
            }
            Step::Farewell(left) => format!("farewell, {} undelivered", left.undelivered),
        };
        writeln!(self.trace, "  {}", line.trim_end()).unwrap();
    }

    #[expect(clippy::needless_pass_by_value, reason = "as expect! makes it")]
    pub(super) fn check(self, expected: Expect) {
        expected.assert_eq(&self.trace);
    }
}
