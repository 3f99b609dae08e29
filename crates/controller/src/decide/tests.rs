//! Lives of an `AuditConfig`, as tables: what is done, step by step, until nothing is left to do.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use std::fmt::Write as _;
use std::path::PathBuf;

use event::Timestamp;
use expect_test::{Expect, expect};
use kasten::config::audit_config::{AuditConfigStatus, FINALIZER, ProfileReference};
use sink::bucket::{Credentials, Destination, Limits, Prefix, Provider};

use super::*;
use crate::seen::Place;

/// A cluster with one `AuditConfig`, a journal that does what it is told, and destinations.
struct World {
    config: Config,
    resolution: Resolution,
    hash: i32,
    memory: Memory,
    fare: Option<Fare>,
    settings: Settings,
    now: Timestamp,
    /// What a check says.
    check: Result<String, String>,
    undelivered: u64,
    trace: String,
}

fn new() -> World {
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
fn ready(name: &str, key: u8) -> Resolution {
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
    fn then(mut self, what: &str, change: impl FnOnce(&mut Self)) -> Self {
        writeln!(self.trace, "{what}").unwrap();
        change(&mut self);
        self.settle();
        self
    }

    /// The controller starts anew; object and journal stay.
    fn restart(self) -> Self {
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
    fn check(self, expected: Expect) {
        expected.assert_eq(&self.trace);
    }
}

/// Its events go to folder `a`: where most stories begin.
fn delivering() -> World {
    let mut world = new().then("made", |world| world.resolution = ready("a", 1));
    expect![[r#"
        made
          finalizer on
          hold events
          Pending
          check folder a, below k10audit/: works
          deliver to folder a, below k10audit/
          Success
    "#]]
    .assert_eq(&world.trace);
    world.trace.clear();
    world
}

#[test]
fn made_before_its_profile_it_waits_then_delivers() {
    new()
        .then("made", |_| {})
        .then("profile comes", |world| world.resolution = ready("a", 1))
        .restart()
        .check(expect![[r#"
            made
              finalizer on
              hold nothing, NoDestination
              Pending Profile kasten-io/p does not exist
            profile comes
              hold events
              Pending
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
            restart
              hold events
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
        "#]]);
}

#[test]
fn another_profile_takes_over_only_when_it_works() {
    delivering()
        .then("switched to one that does not work", |world| {
            (world.resolution, world.hash) = (ready("b", 1), 2);
            world.check = Err("bucket `b` does not exist in region `y`".to_owned());
        })
        .then("a moment later", |world| {
            world.now = Timestamp::from_micros(world.now.as_micros() + 1_000_000);
        })
        .then("a while later it works", |world| {
            world.check = Ok(String::new());
            world.now = Timestamp::from_micros(world.now.as_micros() + RECHECK_MICROS);
        })
        .check(expect![[r#"
            switched to one that does not work
              UpdateRequested
              check folder b, below k10audit/: does not work
              pause
              Failed bucket `b` does not exist in region `y`
            a moment later
            a while later it works
              check folder b, below k10audit/: works
              deliver to folder b, below k10audit/
              Success
        "#]]);
}

#[test]
fn another_key_is_taken_up_and_a_missing_one_pauses() {
    delivering()
        .then("key changes", |world| world.resolution = ready("a", 2))
        .then("key goes", |world| {
            world.resolution = Resolution::Waiting("Secret kasten-io/s does not exist".to_owned());
        })
        .then("key comes back", |world| world.resolution = ready("a", 2))
        .check(expect![[r#"
            key changes
              UpdateRequested
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
            key goes
              hold nothing, NoDestination
              Pending Secret kasten-io/s does not exist
            key comes back
              hold events
              deliver to folder a, below k10audit/
              Success
        "#]]);
}

#[test]
fn a_destination_that_stops_taking_events_shows_in_the_status() {
    let failing =
        |attempts| Some(Fare::Failing { reason: "bucket `a` does not exist".to_owned(), attempts });
    delivering()
        .then("one failure", |world| world.fare = failing(1))
        .then("many failures", |world| world.fare = failing(9))
        .then("a new row of failures", |world| world.fare = failing(1))
        .then("all is well", |world| world.fare = Some(Fare::Delivering))
        .check(expect![[r#"
            one failure
            many failures
              Failed bucket `a` does not exist
            a new row of failures
            all is well
              Success
        "#]]);
}

/// The number of attempts is not asked: a closed port has met dozens by then, a silent one a single one.
#[test]
fn that_nobody_answers_shows_in_the_status_as_soon_as_it_may_be_told() {
    let silent = Some(Fare::Silent { reason: "no answer".to_owned() });
    let refused = Some(Fare::Failing { reason: "denied".to_owned(), attempts: 4 });
    delivering()
        .then("nobody answers", |world| world.fare = silent.clone())
        .then("still nobody", |_| {})
        .then("something is taken", |world| world.fare = Some(Fare::Delivering))
        .then("it refuses", |world| world.fare = refused)
        .then("nobody answers any more", |world| world.fare = silent)
        .check(expect![[r#"
            nobody answers
              Failed no answer
            still nobody
            something is taken
              Success
            it refuses
              Failed denied
            nobody answers any more
              Failed no answer
        "#]]);
}

#[test]
fn deleting_delivers_the_rest_first() {
    delivering().then("deleted", |world| world.config.is_going = true).check(expect![[r#"
            deleted
              DeleteRequested
              deliver the rest and forget
              finalizer off
              farewell, 0 undelivered
        "#]]);
}

#[test]
fn deleting_after_a_restart_or_without_the_profile_still_delivers_the_rest() {
    delivering()
        .restart()
        .then("all deleted at once", |world| {
            world.config.is_going = true;
            world.resolution = Resolution::Waiting("Profile kasten-io/p does not exist".to_owned());
        })
        .check(expect![[r#"
            restart
              hold events
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
            all deleted at once
              DeleteRequested
              deliver the rest and forget
              finalizer off
              farewell, 0 undelivered
        "#]]);
    delivering()
        .then("deleted while nobody looks", |world| {
            world.memory = Memory::default();
            world.config.is_going = true;
            world.undelivered = 3;
        })
        .check(expect![[r#"
            deleted while nobody looks
              DeleteRequested
              deliver to folder a, below k10audit/
              deliver the rest and forget
              finalizer off
              farewell, 3 undelivered
        "#]]);
}

#[test]
fn deleting_what_never_worked_ends_at_once() {
    new()
        .then("made", |world| {
            world.resolution = Resolution::Wrong(vec!["no bucket".to_owned()]);
        })
        .then("deleted", |world| world.config.is_going = true)
        .then("others hold it", |_| {})
        .check(expect![[r#"
            made
              finalizer on
              hold events
              Failed no bucket
            deleted
              DeleteRequested
              deliver the rest and forget
              finalizer off
              farewell, 0 undelivered
            others hold it
        "#]]);
}

#[test]
fn deleting_what_was_found_not_to_work_does_not_wait_for_it() {
    new()
        .then("made", |world| {
            world.resolution = ready("a", 1);
            world.check = Err("no bucket".to_owned());
        })
        .then("deleted", |world| world.config.is_going = true)
        .check(expect![[r#"
            made
              finalizer on
              hold events
              Pending
              check folder a, below k10audit/: does not work
              Failed no bucket
            deleted
              DeleteRequested
              deliver the rest and forget
              finalizer off
              farewell, 0 undelivered
        "#]]);
}

#[test]
fn in_a_namespace_that_does_not_count_nothing_is_held() {
    new()
        .then("made elsewhere", |world| {
            "shop".clone_into(&mut world.config.place.namespace);
            world.resolution = Resolution::Wrong(vec!["not here".to_owned()]);
        })
        .then("deleted", |world| world.config.is_going = true)
        .check(expect![[r#"
            made elsewhere
              Failed not here
            deleted
        "#]]);
}

#[test]
fn switched_off_nothing_is_uploaded_and_the_status_says_why() {
    let off = |world: &mut World| {
        world.settings.switched_off = Some("uploads are switched off".to_owned());
    };
    new()
        .then("made while off", |world| {
            world.resolution = ready("a", 1);
            off(world);
        })
        .then("on", |world| world.settings.switched_off = None)
        .then("off", off)
        .then("deleted", |world| world.config.is_going = true)
        .check(expect![[r#"
            made while off
              hold nothing, Off
              Failed uploads are switched off
            on
              finalizer on
              hold events
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
            off
              finalizer off
              hold nothing, Off
              Failed uploads are switched off
            deleted
              DeleteRequested
              deliver the rest and forget
        "#]]);
}

#[test]
fn where_the_server_keeps_no_hash_nothing_is_written_twice() {
    let world = delivering().then("the hash is pruned", |world| world.config.status.hash = None);
    world.restart().check(expect![[r#"
        the hash is pruned
        restart
          hold events
          check folder a, below k10audit/: works
          deliver to folder a, below k10audit/
    "#]]);
}

#[test]
fn what_a_check_remarks_is_told_with_success_only() {
    let world = new().then("made", |world| {
        world.resolution = ready("a", 1);
        world.check = Ok("it is slow".to_owned());
    });
    world
        .then("it fails", |world| {
            let reason = "denied".to_owned();
            world.fare = Some(Fare::Failing { reason, attempts: 9 });
        })
        .check(expect![[r#"
            made
              finalizer on
              hold events
              Pending
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success it is slow
            it fails
              Failed denied
        "#]]);
}
