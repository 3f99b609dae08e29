//! Lives of an `AuditConfig`, as tables: what is done, step by step, until nothing is left to do.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use event::Timestamp;
use expect_test::expect;

use super::*;
use crate::decide::world::{World, new, ready};

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
              hold nothing, NoDestination
              Failed no bucket
            deleted
              DeleteRequested
              deliver the rest and forget
              finalizer off
              farewell, 0 undelivered
            others hold it
        "#]]);
}

/// An `AuditConfig` that can never be delivered held the journal until the API refused requests.
#[test]
fn a_profile_that_cannot_be_used_does_not_hold_the_journal() {
    delivering()
        .then("profile becomes invalid", |world| {
            world.resolution = Resolution::Wrong(vec!["VBR cannot take events".to_owned()]);
        })
        .restart()
        .then("put right", |world| world.resolution = ready("a", 1))
        .check(expect![[r#"
            profile becomes invalid
              hold nothing, NoDestination
              Failed VBR cannot take events
            restart
              hold nothing, NoDestination
            put right
              hold events
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
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
