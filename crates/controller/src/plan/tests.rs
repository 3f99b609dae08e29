//! The reconciliation of an `AuditConfig`, as traces: each change of the cluster, and the actions
//! that follow until no action remains.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use event::Timestamp;
use expect_test::expect;
use objectstore::Checksum;

use super::*;
use crate::plan::test_cluster::{TestCluster, WORKS, failure, new, ready};

/// An `AuditConfig` whose events are delivered to folder `a`.
fn delivering() -> TestCluster {
    let mut cluster = new().then("created", |cluster| cluster.resolution = ready("a", 1));
    expect![[r#"
        created
          add finalizer
          reserve cursor
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
        .then("created", |_| {})
        .then("profile is created", |cluster| cluster.resolution = ready("a", 1))
        .restart()
        .check(expect![[r#"
            created
              add finalizer
              park, NoDestination
              Pending Profile kasten-io/p does not exist
            profile is created
              reserve cursor
              Pending
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
            restart
              reserve cursor
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
        "#]]);
}

#[test]
fn another_profile_is_used_only_when_it_works() {
    delivering()
        .then("another profile, which does not work", |cluster| {
            (cluster.resolution, cluster.hash) = (ready("b", 1), 2);
            cluster.check = Err(failure("bucket `b` does not exist in region `y`"));
        })
        .then("shortly after", |cluster| {
            cluster.now = Timestamp::from_micros(cluster.now.as_micros() + 1_000_000);
        })
        .then("later it works", |cluster| {
            cluster.check = Ok(WORKS);
            cluster.now = Timestamp::from_micros(cluster.now.as_micros() + RECHECK_MICROS);
        })
        .check(expect![[r#"
            another profile, which does not work
              UpdateRequested
              check folder b, below k10audit/: does not work
              pause
              Failed bucket `b` does not exist in region `y`
            shortly after
            later it works
              check folder b, below k10audit/: works
              deliver to folder b, below k10audit/
              Success
        "#]]);
}

#[test]
fn another_key_is_used_and_a_missing_one_pauses_delivery() {
    delivering()
        .then("key changes", |cluster| cluster.resolution = ready("a", 2))
        .then("key is deleted", |cluster| {
            cluster.resolution =
                Resolution::Pending("Secret kasten-io/s does not exist".to_owned());
        })
        .then("key is created again", |cluster| cluster.resolution = ready("a", 2))
        .check(expect![[r#"
            key changes
              UpdateRequested
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
            key is deleted
              park, NoDestination
              Pending Secret kasten-io/s does not exist
            key is created again
              reserve cursor
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
        .then("a new series of failures", |cluster| cluster.health = failing(1))
        .then("delivery works", |cluster| cluster.health = Some(DeliveryHealth::Delivering))
        .check(expect![[r#"
            one failure
            many failures
              Failed bucket `a` does not exist
            a new series of failures
            delivery works
              Success
        "#]]);
}

/// The number of attempts does not matter: in this time a closed port has dozens of attempts, and a
/// filtered port has one.
#[test]
fn a_missing_response_appears_in_the_status_after_its_delay() {
    let silent = Some(DeliveryHealth::NoResponse { reason: "no answer".to_owned() });
    let refused = Some(DeliveryHealth::Failing { reason: "denied".to_owned(), attempts: 4 });
    delivering()
        .then("no response", |cluster| cluster.health = silent.clone())
        .then("still no response", |_| {})
        .then("an upload succeeds", |cluster| cluster.health = Some(DeliveryHealth::Delivering))
        .then("the destination refuses", |cluster| cluster.health = refused)
        .then("no response again", |cluster| cluster.health = silent)
        .check(expect![[r#"
            no response
              Failed no answer
            still no response
            an upload succeeds
              Success
            the destination refuses
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
              drain
              remove finalizer
              drained, 0 undelivered
        "#]]);
}

#[test]
fn deletion_delivers_the_remaining_events_after_a_restart_or_without_the_profile() {
    delivering()
        .restart()
        .then("profile and AuditConfig are deleted", |cluster| {
            cluster.config.is_deleting = true;
            cluster.resolution =
                Resolution::Pending("Profile kasten-io/p does not exist".to_owned());
        })
        .check(expect![[r#"
            restart
              reserve cursor
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
            profile and AuditConfig are deleted
              DeleteRequested
              drain
              remove finalizer
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
              drain
              remove finalizer
              drained, 3 undelivered
        "#]]);
}

#[test]
fn deletion_without_a_working_destination_ends_at_once() {
    new()
        .then("created", |cluster| {
            cluster.resolution = Resolution::Invalid(vec!["no bucket".to_owned()]);
        })
        .then("deleted", |cluster| cluster.config.is_deleting = true)
        .then("other finalizers remain", |_| {})
        .check(expect![[r#"
            created
              add finalizer
              park, NoDestination
              Failed no bucket
            deleted
              DeleteRequested
              drain
              remove finalizer
              drained, 0 undelivered
            other finalizers remain
        "#]]);
}

/// Regression: an `AuditConfig` that can never be delivered retained records until the API refused
/// requests.
#[test]
fn an_unusable_profile_retains_no_records() {
    delivering()
        .then("profile becomes invalid", |cluster| {
            cluster.resolution = Resolution::Invalid(vec!["VBR cannot take events".to_owned()]);
        })
        .restart()
        .then("profile is corrected", |cluster| cluster.resolution = ready("a", 1))
        .check(expect![[r#"
            profile becomes invalid
              park, NoDestination
              Failed VBR cannot take events
            restart
              park, NoDestination
            profile is corrected
              reserve cursor
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
        "#]]);
}

#[test]
fn deletion_does_not_wait_for_a_failed_destination() {
    new()
        .then("created", |cluster| {
            cluster.resolution = ready("a", 1);
            cluster.check = Err(failure("no bucket"));
        })
        .then("deleted", |cluster| cluster.config.is_deleting = true)
        .check(expect![[r#"
            created
              add finalizer
              reserve cursor
              Pending
              check folder a, below k10audit/: does not work
              Failed no bucket
            deleted
              DeleteRequested
              drain
              remove finalizer
              drained, 0 undelivered
        "#]]);
}

#[test]
fn an_auditconfig_in_another_namespace_retains_no_records() {
    new()
        .then("created in another namespace", |cluster| {
            "shop".clone_into(&mut cluster.config.key.namespace);
            cluster.resolution = Resolution::Invalid(vec!["not here".to_owned()]);
        })
        .then("deleted", |cluster| cluster.config.is_deleting = true)
        .check(expect![[r#"
            created in another namespace
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
        .then("created while uploads are off", |cluster| {
            cluster.resolution = ready("a", 1);
            off(cluster);
        })
        .then("uploads are switched on", |cluster| cluster.settings.switched_off = None)
        .then("uploads are switched off", off)
        .then("deleted", |cluster| cluster.config.is_deleting = true)
        .check(expect![[r#"
            created while uploads are off
              park, Off
              Failed uploads are switched off
            uploads are switched on
              add finalizer
              reserve cursor
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success
            uploads are switched off
              remove finalizer
              park, Off
              Failed uploads are switched off
            deleted
              DeleteRequested
              drain
        "#]]);
}

#[test]
fn without_a_hash_in_the_status_nothing_is_written_twice() {
    let cluster =
        delivering().then("the hash is pruned", |cluster| cluster.config.status.hash = None);
    cluster.restart().check(expect![[r#"
        the hash is pruned
        restart
          reserve cursor
          check folder a, below k10audit/: works
          deliver to folder a, below k10audit/
    "#]]);
}

#[test]
fn a_reader_that_lost_its_cursor_appears_in_the_status() {
    let reason = "reader `a` was taken over by another task".to_owned();
    delivering()
        .then("cursor lost", |cluster| {
            cluster.health = Some(DeliveryHealth::CursorLost { reason });
        })
        .check(expect![[r#"
            cursor lost
              Failed reader `a` was taken over by another task; restart the server
        "#]]);
}

#[test]
fn a_note_of_a_check_appears_only_with_success() {
    let cluster = new().then("created", |cluster| {
        cluster.resolution = ready("a", 1);
        cluster.check = Ok(Capabilities { checksum: Checksum::Md5, ..WORKS });
    });
    cluster
        .then("delivery fails", |cluster| {
            let reason = "denied".to_owned();
            cluster.health = Some(DeliveryHealth::Failing { reason, attempts: 9 });
        })
        .check(expect![[r#"
            created
              add finalizer
              reserve cursor
              Pending
              check folder a, below k10audit/: works
              deliver to folder a, below k10audit/
              Success this store refuses x-amz-checksum-sha256, so uploads carry Content-MD5
            delivery fails
              Failed denied
        "#]]);
}
