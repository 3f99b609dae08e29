//! Lives of an `AuditConfig`, as tables: what is done, action by action, until nothing is left to do.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use event::Timestamp;
use expect_test::expect;
use objectstore::Checksum;

use super::*;
use crate::plan::test_cluster::{TestCluster, WORKS, failure, new, ready};

/// Its events go to folder `a`: where most stories begin.
fn delivering() -> TestCluster {
    let mut cluster = new().then("made", |cluster| cluster.resolution = ready("a", 1));
    expect![[r#"
        made
          finalizer on
          keep events
          Pending
          check folder a, below k10audit/: works
          deliver to folder a, below k10audit/
          Success
    "#]]
    .assert_eq(&cluster.trace);
    cluster.trace.clear();
    cluster
}

#[test]
fn an_auditconfig_created_before_its_profile_waits_then_delivers() {
    new()
        .then("made", |_| {})
        .then("profile comes", |cluster| cluster.resolution = ready("a", 1))
        .restart()
        .check(expect![[r#"
            made
              finalizer on
              keep nothing, NoDestination
              Pending Profile kasten-io/p does not exist
            profile comes
              keep events
              Pending
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
            restart
              keep events
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
        "#]]);
}

#[test]
fn another_profile_is_used_only_when_it_works() {
    delivering()
        .then("switched to one that does not work", |cluster| {
            (cluster.resolution, cluster.hash) = (ready("b", 1), 2);
            cluster.check = Err(failure("bucket `b` does not exist in region `y`"));
        })
        .then("a moment later", |cluster| {
            cluster.now = Timestamp::from_micros(cluster.now.as_micros() + 1_000_000);
        })
        .then("a while later it works", |cluster| {
            cluster.check = Ok(WORKS);
            cluster.now = Timestamp::from_micros(cluster.now.as_micros() + RECHECK_MICROS);
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
fn another_key_is_used_and_a_missing_one_pauses_delivery() {
    delivering()
        .then("key changes", |cluster| cluster.resolution = ready("a", 2))
        .then("key goes", |cluster| {
            cluster.resolution =
                Resolution::Pending("Secret kasten-io/s does not exist".to_owned());
        })
        .then("key comes back", |cluster| cluster.resolution = ready("a", 2))
        .check(expect![[r#"
            key changes
              UpdateRequested
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
            key goes
              keep nothing, NoDestination
              Pending Secret kasten-io/s does not exist
            key comes back
              keep events
              deliver to folder a, below k10audit/
              Success
        "#]]);
}

#[test]
fn a_destination_that_stops_taking_events_shows_in_the_status() {
    let failing = |attempts| {
        Some(DeliveryHealth::Failing { reason: "bucket `a` does not exist".to_owned(), attempts })
    };
    delivering()
        .then("one failure", |cluster| cluster.health = failing(1))
        .then("many failures", |cluster| cluster.health = failing(9))
        .then("a new row of failures", |cluster| cluster.health = failing(1))
        .then("all is well", |cluster| cluster.health = Some(DeliveryHealth::Delivering))
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
fn a_missing_response_appears_in_the_status_after_its_delay() {
    let silent = Some(DeliveryHealth::NoResponse { reason: "no answer".to_owned() });
    let refused = Some(DeliveryHealth::Failing { reason: "denied".to_owned(), attempts: 4 });
    delivering()
        .then("no response", |cluster| cluster.health = silent.clone())
        .then("still no response", |_| {})
        .then("something is taken", |cluster| cluster.health = Some(DeliveryHealth::Delivering))
        .then("it refuses", |cluster| cluster.health = refused)
        .then("no response again", |cluster| cluster.health = silent)
        .check(expect![[r#"
            no response
              Failed no answer
            still no response
            something is taken
              Success
            it refuses
              Failed denied
            no response again
              Failed no answer
        "#]]);
}

#[test]
fn deletion_delivers_the_remaining_events_first() {
    delivering().then("deleted", |cluster| cluster.config.is_deleting = true).check(expect![[r#"
            deleted
              DeleteRequested
              deliver the rest and forget
              finalizer off
              drained, 0 undelivered
        "#]]);
}

#[test]
fn deletion_delivers_the_remaining_events_after_a_restart_or_without_the_profile() {
    delivering()
        .restart()
        .then("all deleted at once", |cluster| {
            cluster.config.is_deleting = true;
            cluster.resolution =
                Resolution::Pending("Profile kasten-io/p does not exist".to_owned());
        })
        .check(expect![[r#"
            restart
              keep events
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
            all deleted at once
              DeleteRequested
              deliver the rest and forget
              finalizer off
              drained, 0 undelivered
        "#]]);
    delivering()
        .then("deleted while the controller is down", |cluster| {
            cluster.state = State::default();
            cluster.config.is_deleting = true;
            cluster.undelivered = 3;
        })
        .check(expect![[r#"
            deleted while the controller is down
              DeleteRequested
              deliver to folder a, below k10audit/
              deliver the rest and forget
              finalizer off
              drained, 3 undelivered
        "#]]);
}

#[test]
fn deletion_without_a_working_destination_ends_at_once() {
    new()
        .then("made", |cluster| {
            cluster.resolution = Resolution::Invalid(vec!["no bucket".to_owned()]);
        })
        .then("deleted", |cluster| cluster.config.is_deleting = true)
        .then("others hold it", |_| {})
        .check(expect![[r#"
            made
              finalizer on
              keep nothing, NoDestination
              Failed no bucket
            deleted
              DeleteRequested
              deliver the rest and forget
              finalizer off
              drained, 0 undelivered
            others hold it
        "#]]);
}

/// An `AuditConfig` that can never be delivered held the journal until the API refused requests.
#[test]
fn an_unusable_profile_retains_no_records() {
    delivering()
        .then("profile becomes invalid", |cluster| {
            cluster.resolution = Resolution::Invalid(vec!["VBR cannot take events".to_owned()]);
        })
        .restart()
        .then("put right", |cluster| cluster.resolution = ready("a", 1))
        .check(expect![[r#"
            profile becomes invalid
              keep nothing, NoDestination
              Failed VBR cannot take events
            restart
              keep nothing, NoDestination
            put right
              keep events
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
        "#]]);
}

#[test]
fn deletion_does_not_wait_for_a_failed_destination() {
    new()
        .then("made", |cluster| {
            cluster.resolution = ready("a", 1);
            cluster.check = Err(failure("no bucket"));
        })
        .then("deleted", |cluster| cluster.config.is_deleting = true)
        .check(expect![[r#"
            made
              finalizer on
              keep events
              Pending
              check folder a, below k10audit/: does not work
              Failed no bucket
            deleted
              DeleteRequested
              deliver the rest and forget
              finalizer off
              drained, 0 undelivered
        "#]]);
}

#[test]
fn an_auditconfig_in_another_namespace_retains_no_records() {
    new()
        .then("made elsewhere", |cluster| {
            "shop".clone_into(&mut cluster.config.place.namespace);
            cluster.resolution = Resolution::Invalid(vec!["not here".to_owned()]);
        })
        .then("deleted", |cluster| cluster.config.is_deleting = true)
        .check(expect![[r#"
            made elsewhere
              Failed not here
            deleted
        "#]]);
}

#[test]
fn with_uploads_disabled_nothing_is_uploaded_and_the_status_says_why() {
    let off = |cluster: &mut TestCluster| {
        cluster.settings.switched_off = Some("uploads are switched off".to_owned());
    };
    new()
        .then("made while off", |cluster| {
            cluster.resolution = ready("a", 1);
            off(cluster);
        })
        .then("on", |cluster| cluster.settings.switched_off = None)
        .then("off", off)
        .then("deleted", |cluster| cluster.config.is_deleting = true)
        .check(expect![[r#"
            made while off
              keep nothing, Off
              Failed uploads are switched off
            on
              finalizer on
              keep events
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
            off
              finalizer off
              keep nothing, Off
              Failed uploads are switched off
            deleted
              DeleteRequested
              deliver the rest and forget
        "#]]);
}

#[test]
fn without_a_hash_in_the_status_nothing_is_written_twice() {
    let cluster =
        delivering().then("the hash is pruned", |cluster| cluster.config.status.hash = None);
    cluster.restart().check(expect![[r#"
        the hash is pruned
        restart
          keep events
          check folder a, below k10audit/: works
          deliver to folder a, below k10audit/
    "#]]);
}

#[test]
fn a_note_of_a_check_appears_only_with_success() {
    let cluster = new().then("made", |cluster| {
        cluster.resolution = ready("a", 1);
        cluster.check = Ok(Checked { checksum: Checksum::Md5, ..WORKS });
    });
    cluster
        .then("it fails", |cluster| {
            let reason = "denied".to_owned();
            cluster.health = Some(DeliveryHealth::Failing { reason, attempts: 9 });
        })
        .check(expect![[r#"
            made
              finalizer on
              keep events
              Pending
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success this store refuses x-amz-checksum-sha256, so uploads carry Content-MD5
            it fails
              Failed denied
        "#]]);
}
