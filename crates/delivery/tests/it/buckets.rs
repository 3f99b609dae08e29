//! Buckets are added, changed and removed: every event is in exactly one object, in order.

use std::time::Duration;

use delivery::DetachOutcome;
use event::{Event, InternalEvent, Stage, Status, UserInfo};
use objectstore::{Capabilities, Checksum, FileStore, Limits, Provider};
use sink::DeliveryHealth;
use testkit::page_cache;
use testkit::s3::{Fault, S3Double};

use super::fixture::{
    NOW, bucket, bucket_config, delivery, destination, event, events, files, journal_lines, lines,
    open_store, read_objects, record, s3, small_objects, unpack, wait_until_delivered,
};

const NAME: &str = "auditconfig/kasten-io/k10/uid-1";
const SOURCE: &str = "auditconfig.kasten-io.k10.uid-1";

fn file_store(bucket_dir: &tempfile::TempDir) -> Provider {
    let root = bucket_dir.path().to_owned();
    Provider::File(FileStore { root, path: std::path::PathBuf::new() })
}

fn numbers(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[tokio::test]
async fn events_arrive_once_in_order_as_sealed_objects_in_a_folder() {
    let (store_dir, bucket_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_store(store_dir.path());
    record(&store, 1..301).await;
    let delivery = delivery(&store);
    let provider = file_store(&bucket_dir);
    delivery.attach(NAME, bucket(provider, small_objects(50)), 0).await.unwrap();
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    let objects = read_objects(bucket_dir.path());
    assert!((5..12).contains(&objects.len()), "{:?}", objects.keys());
    assert_eq!(events(&objects, SOURCE), numbers(1..301));
    let key = objects.keys().next().unwrap();
    assert!(key.contains("/k10audit/cluster=test/source="), "{key}");
    assert!(key.contains("/date=2026-11-25/hour=00/") && key.ends_with(".json.gz"), "{key}");
    delivery.close().await;
}

/// Regression: the contents of a folder also stayed in the page cache.
#[tokio::test]
async fn objects_in_a_folder_leave_the_page_cache() {
    let store_dir = tempfile::tempdir().unwrap();
    let bucket_dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = open_store(store_dir.path());
    record(&store, 1..101).await;
    let delivery = delivery(&store);
    let provider = file_store(&bucket_dir);
    delivery.attach(NAME, bucket(provider, small_objects(50)), 0).await.unwrap();
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    delivery.close().await;
    let objects = files(bucket_dir.path());
    assert!(!objects.is_empty());
    for object in objects {
        assert!(!page_cache::is_cached(&object, 0).unwrap(), "{}", object.display());
    }
}

#[tokio::test]
async fn a_new_reader_starts_at_the_given_record_and_an_old_one_at_its_cursor() {
    let (store_dir, bucket_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let provider = || file_store(&bucket_dir);
    let store = open_store(store_dir.path());
    record(&store, 1..11).await;
    let first = delivery(&store);
    first.attach(NAME, bucket(provider(), small_objects(3)), 4).await.unwrap();
    wait_until_delivered(&first, &store.journal(), NAME).await;
    first.close().await;
    record(&store, 11..21).await;
    store.close().await;
    drop(store);
    let store = open_store(store_dir.path());
    let second = delivery(&store);
    second.attach(NAME, bucket(provider(), small_objects(3)), 0).await.unwrap();
    wait_until_delivered(&second, &store.journal(), NAME).await;
    assert_eq!(events(&read_objects(bucket_dir.path()), SOURCE), numbers(5..21));
    second.close().await;
}

#[tokio::test]
async fn an_object_waits_for_its_age_unless_the_server_stops() {
    let store_dir = tempfile::tempdir().unwrap();
    let bucket_dir = tempfile::tempdir().unwrap();
    let store = open_store(store_dir.path());
    record(&store, 1..4).await;
    let delivery = delivery(&store);
    let provider = file_store(&bucket_dir);
    delivery.attach(NAME, bucket(provider, Limits::default()), 0).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(read_objects(bucket_dir.path()).len(), 0);
    delivery.close().await;
    assert_eq!(events(&read_objects(bucket_dir.path()), SOURCE), numbers(1..4));
}

#[tokio::test]
async fn an_unreachable_bucket_blocks_no_other_and_gets_everything_later() {
    let store_dir = tempfile::tempdir().unwrap();
    let bucket_dir = tempfile::tempdir().unwrap();
    let dead = S3Double::start(Box::new(|_| Some(Fault::Error(503, "SlowDown")))).await.unwrap();
    let store = open_store(store_dir.path());
    record(&store, 1..101).await;
    let delivery = delivery(&store);
    delivery.attach("dead", bucket(s3(&dead.endpoint()), small_objects(10)), 0).await.unwrap();
    let provider = file_store(&bucket_dir);
    delivery.attach("well", bucket(provider, small_objects(10)), 0).await.unwrap();
    let journal = store.journal();
    while journal.cursor("well").unwrap().seq < 100 || dead.counts().0 < 2 {
        tokio::task::yield_now().await;
    }
    let health = delivery.health();
    assert_eq!((&*health[0].sink, health[0].lag), ("dead", 100), "{health:?}");
    assert!(matches!(&health[0].condition, DeliveryHealth::Failing { .. }), "{health:?}");
    assert!(health[1].last_success.is_some() && health[1].lag == 0, "{health:?}");
    dead.set_fault_plan(Box::new(|_| None));
    wait_until_delivered(&delivery, &journal, "dead").await;
    assert_eq!(events(&dead.objects(), "dead"), numbers(1..101));
    delivery.close().await;
}

#[tokio::test]
async fn another_bucket_continues_at_the_cursor_of_the_old_one() {
    let store_dir = tempfile::tempdir().unwrap();
    let old = S3Double::start(Box::new(|_| None)).await.unwrap();
    let new = S3Double::start(Box::new(|_| None)).await.unwrap();
    let store = open_store(store_dir.path());
    let delivery = delivery(&store);
    record(&store, 1..31).await;
    delivery.attach(NAME, bucket(s3(&old.endpoint()), small_objects(10)), 0).await.unwrap();
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    old.set_fault_plan(Box::new(|_| Some(Fault::Error(403, "AccessDenied"))));
    record(&store, 31..61).await;
    while old.counts().1 == 0 {
        tokio::task::yield_now().await;
    }
    // The range is fixed now, and its upload waits for the next attempt.
    assert!(delivery.retarget(NAME, bucket(s3(&new.endpoint()), small_objects(10))));
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    assert_eq!(events(&old.objects(), SOURCE), numbers(1..31));
    assert_eq!(events(&new.objects(), SOURCE), numbers(31..61));
    delivery.close().await;
}

#[tokio::test]
async fn a_detached_bucket_receives_earlier_records_and_is_removed() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| None)).await.unwrap();
    let store = open_store(store_dir.path());
    let delivery = delivery(&store);
    record(&store, 1..21).await;
    delivery.attach(NAME, bucket(s3(&double.endpoint()), Limits::default()), 0).await.unwrap();
    let outcome = delivery.detach(NAME, Duration::from_mins(1)).await.unwrap();
    assert_eq!(outcome, DetachOutcome { undelivered: 0 });
    assert_eq!(events(&double.objects(), SOURCE), numbers(1..21));
    assert_eq!(store.journal().cursor(NAME), None);
    assert!(delivery.health().is_empty());
    // The cursor has passed the last object, so no upload is pending.
    double.set_fault_plan(Box::new(|_| Some(Fault::CloseBeforeBody)));
    delivery.attach(NAME, bucket(s3(&double.endpoint()), small_objects(1)), 15).await.unwrap();
    let outcome = delivery.detach(NAME, Duration::from_millis(50)).await.unwrap();
    assert_eq!(outcome, DetachOutcome { undelivered: 5 });
    delivery.close().await;
}

#[tokio::test]
async fn pausing_keeps_the_cursor() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| None)).await.unwrap();
    let store = open_store(store_dir.path());
    let delivery = delivery(&store);
    record(&store, 1..11).await;
    delivery.attach(NAME, bucket(s3(&double.endpoint()), small_objects(4)), 0).await.unwrap();
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    assert!(delivery.pause(NAME).await && !delivery.pause(NAME).await);
    record(&store, 11..21).await;
    assert_eq!(store.journal().cursor(NAME).unwrap().seq, 10);
    delivery.attach(NAME, bucket(s3(&double.endpoint()), small_objects(4)), 0).await.unwrap();
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    assert_eq!(events(&double.objects(), SOURCE), numbers(1..21));
    delivery.close().await;
}

/// The range is fixed and the upload succeeded, but the server died before it received the
/// response. Then the format of lines changes, so that the same range would get another key.
#[tokio::test]
async fn an_object_whose_response_was_lost_is_not_written_again_in_another_format() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| Some(Fault::StoreThenClose))).await.unwrap();
    let store = open_store(store_dir.path());
    record(&store, 1..11).await;
    let first = delivery(&store);
    first.attach(NAME, bucket(s3(&double.endpoint()), small_objects(100)), 0).await.unwrap();
    while double.objects().is_empty() {
        tokio::task::yield_now().await;
    }
    first.pause(NAME).await;
    drop(first);
    assert!(store.journal().cursor(NAME).unwrap().state.starts_with("fixed "));
    double.set_fault_plan(Box::new(|_| None));
    let second = delivery(&store);
    let other = Limits { line_bytes: 1500, ..small_objects(100) };
    second.attach(NAME, bucket(s3(&double.endpoint()), other), 0).await.unwrap();
    wait_until_delivered(&second, &store.journal(), NAME).await;
    record(&store, 11..21).await;
    wait_until_delivered(&second, &store.journal(), NAME).await;
    assert_eq!(events(&double.objects(), SOURCE), numbers(1..21));
    let last = double.objects().into_values().next_back().unwrap();
    assert!(unpack(&last)[0].contains("keepwatch.io/truncated"), "{:?}", unpack(&last));
    second.close().await;
}

#[tokio::test]
async fn every_upload_has_a_checksum_a_condition_and_a_signature_and_no_secret_is_shown() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| None)).await.unwrap();
    let store = open_store(store_dir.path());
    record(&store, 1..4).await;
    let mut destination_config = destination(s3(&double.endpoint()), small_objects(1));
    destination_config.retention = Some(objectstore::Retention {
        mode: objectstore::RetentionMode::Compliance,
        period: Duration::from_hours(24),
    });
    let bucket = objectstore::Bucket::open(&destination_config, bucket_config("test")).unwrap();
    assert!(!format!("{destination_config:?} {bucket:?}").contains("canary"));
    let delivery = delivery(&store);
    delivery.attach(NAME, bucket, 0).await.unwrap();
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    assert_eq!(double.upload_heads().len(), 3);
    for head in double.upload_heads() {
        for part in [
            "x-amz-checksum-sha256:",
            "if-none-match: *",
            "authorization: aws4-hmac-sha256",
            "x-amz-object-lock-mode: compliance",
            "x-amz-object-lock-retain-until-date: 2026-11-26t",
        ] {
            assert!(head.contains(part), "{part} in {head}");
        }
        assert!(!head.contains("canary"));
    }
    delivery.close().await;
}

#[tokio::test]
async fn a_heartbeat_is_delivered_with_the_position_of_each_destination() {
    let (store_dir, bucket_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_store(store_dir.path());
    record(&store, 1..6).await;
    let delivery = delivery(&store);
    let provider = file_store(&bucket_dir);
    delivery.attach(NAME, bucket(provider, small_objects(3)), 0).await.unwrap();
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    let clock = || event::Timestamp::from_micros(NOW);
    let second = async {
        while store.journal().last_seq() < 7 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = delivery.run_heartbeat(&store, Duration::from_millis(10), clock) => {}
        () = second => {}
    }
    // A third heartbeat may be queued at the store; no record follows this one.
    record(&store, 8..9).await;
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    let lines: Vec<_> =
        read_objects(bucket_dir.path()).values().flat_map(|bytes| unpack(bytes)).collect();
    let heartbeats: Vec<_> =
        lines.iter().filter(|line| line.contains(r#""verb":"heartbeat""#)).collect();
    let expected = format!(
        r#""keepwatch.io/heartbeat":"5","keepwatch.io/journal-seq":"6","keepwatch.io/sink/{NAME}":"delivered=5 backlog=0""#
    );
    assert!(heartbeats.len() >= 2 && heartbeats[0].contains(&expected), "{heartbeats:?}");
    delivery.close().await;
}

/// Like the previous test, but the upload failed, and the store returns 403 for a missing object.
#[tokio::test]
async fn a_missing_object_is_written_even_without_permission_to_list() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| Some(Fault::CloseInBody))).await.unwrap();
    double.answer_403_for_missing();
    let store = open_store(store_dir.path());
    record(&store, 1..11).await;
    let first = delivery(&store);
    first.attach(NAME, bucket(s3(&double.endpoint()), small_objects(100)), 0).await.unwrap();
    while double.counts().1 == 0 {
        tokio::task::yield_now().await;
    }
    first.pause(NAME).await;
    drop(first);
    assert!(store.journal().cursor(NAME).unwrap().state.starts_with("fixed "));
    double.set_fault_plan(Box::new(|_| None));
    let second = delivery(&store);
    let other = Limits { line_bytes: 1500, ..small_objects(100) };
    second.attach(NAME, bucket(s3(&double.endpoint()), other), 0).await.unwrap();
    wait_until_delivered(&second, &store.journal(), NAME).await;
    assert_eq!(events(&double.objects(), SOURCE), numbers(1..11));
    // It has the form of the second delivery.
    let lines = lines(&double.objects(), SOURCE);
    assert!(lines[0].contains("keepwatch.io/truncated"), "{}", lines[0]);
    second.close().await;
}

/// Delivers to a store that rejects these headers of uploads, each with a status and a code. Checks
/// what was detected, and the number of requests.
async fn check_refused(
    refused: &[(&'static str, u16, &'static str)],
    expected: Option<Capabilities>,
) {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| None)).await.unwrap();
    for (name, code, code_name) in refused {
        double.reject_header(name, *code, code_name);
    }
    let bucket = bucket(s3(&double.endpoint()), small_objects(1));
    let result = bucket.check().await;
    assert_eq!(result.as_ref().ok(), expected.as_ref(), "{refused:?} {result:?}");
    let Some(expected) = expected else {
        let message = result.unwrap_err().to_string();
        assert!(message.contains("accepts no form of an upload (Weird)"), "{message}");
        let requests_before = double.counts().0;
        assert!(
            bucket.check().await.is_err() && double.counts().0 > requests_before + 1,
            "the check is not cached"
        );
        return;
    };
    let (store, requests_before) = (open_store(store_dir.path()), double.counts().0);
    record(&store, 1..11).await;
    let delivery = delivery(&store);
    delivery.attach(NAME, bucket, 0).await.unwrap();
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    let objects = double.objects();
    assert_eq!(events(&objects, SOURCE), numbers(1..11), "{refused:?}");
    // The first upload does not detect it again.
    let uploads = u64::try_from(objects.len()).unwrap() - 1;
    let existence_checks = if expected.supports_conditional_put { 0 } else { uploads };
    assert_eq!(double.counts().0 - requests_before, uploads + existence_checks, "{refused:?}");
    delivery.close().await;
}

/// Regression: delivery to such stores failed permanently.
#[tokio::test]
async fn uploads_omit_a_header_that_the_store_rejects() {
    const SHA256: &str = "x-amz-checksum-sha256";
    const MD5: &str = "content-md5";
    const CONDITION: &str = "if-none-match";
    let capabilities = |checksum, supports_conditional_put| {
        Some(Capabilities { supports_conditional_put, checksum })
    };
    check_refused(&[], capabilities(Checksum::Sha256, true)).await;
    for (code, code_name) in
        [(400, "InvalidArgument"), (400, "InvalidRequest"), (400, ""), (501, "NotImplemented")]
    {
        check_refused(&[(SHA256, code, code_name)], capabilities(Checksum::Md5, true)).await;
        check_refused(&[(CONDITION, code, code_name)], capabilities(Checksum::Sha256, false)).await;
        check_refused(
            &[(SHA256, code, code_name), (MD5, 400, code_name)],
            capabilities(Checksum::None, true),
        )
        .await;
        check_refused(
            &[(SHA256, code, code_name), (CONDITION, 501, "")],
            capabilities(Checksum::Md5, false),
        )
        .await;
        let all = [(SHA256, code, code_name), (MD5, code, code_name), (CONDITION, code, code_name)];
        check_refused(&all, capabilities(Checksum::None, false)).await;
    }
    check_refused(&[("host", 400, "Weird")], None).await;
}

/// Some S3-compatible stores respond 501 to `If-None-Match`. This is detected, and they still get
/// every event exactly once, also when a response is lost.
#[tokio::test]
async fn uploads_omit_conditions_that_the_store_does_not_support() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| None)).await.unwrap();
    let capabilities = bucket(s3(&double.endpoint()), small_objects(1)).check().await.unwrap();
    assert!(capabilities.supports_conditional_put);
    double.reject_conditional_puts();
    let bucket = bucket(s3(&double.endpoint()), small_objects(1));
    let capabilities = bucket.check().await.unwrap();
    assert!(!capabilities.supports_conditional_put);
    let written_by_checks = double.overwritten();
    let before = double.counts().0;
    let store = open_store(store_dir.path());
    record(&store, 1..31).await;
    let delivery = delivery(&store);
    double.set_fault_plan(Box::new(|number| (number % 5 == 0).then_some(Fault::StoreThenClose)));
    delivery.attach(NAME, bucket, 0).await.unwrap();
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    let objects = double.objects();
    assert_eq!(events(&objects, SOURCE), numbers(1..31));
    assert_eq!(lines(&objects, SOURCE), journal_lines(&store.journal()).await);
    // It is not detected again, and existing objects are not written again.
    assert!(double.upload_heads().iter().skip(1).all(|head| !head.contains("if-none-match")));
    assert_eq!(double.overwritten(), written_by_checks);
    let (after, faults) = double.counts();
    assert!(after - before <= 60 + 2 * faults, "{before} {after} {faults}");
    delivery.close().await;
}

/// Regression: a deletion reached the bucket after up to a minute, an idle cluster wrote 60 objects
/// per hour, also because kube-apiserver reads discovery and OpenAPI all the time, and an idle `up`
/// 12.4: its own watches end every 290 seconds.
#[tokio::test(start_paused = true)]
async fn a_deletion_seals_within_seconds_and_heartbeats_alone_wait_for_minutes() {
    let time = event::Timestamp::from_micros(NOW);
    let beat = || InternalEvent::Heartbeat.event(Stage::ResponseComplete, "", time);
    let verb = |verb: &str| Event { verb: verb.to_owned(), ..event("x") };
    let by = |user: &str, verb: &str, code: u16| Event {
        verb: verb.to_owned(),
        user: UserInfo { username: user.to_owned(), ..UserInfo::default() },
        response_status: Some(Status { code, ..Status::default() }),
        ..event("x")
    };
    let of_path = |event| Event { request_uri: "/openapi/v2".to_owned(), ..event };
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    let controller = "system:serviceaccount:keepwatch:controller";
    let k10 = "system:serviceaccount:kasten-io:k10-k10";
    for (name, event, min, max) in [
        ("a heartbeat", beat(), 299, 302),
        ("a watch of the garbage collector", by(collector, "watch", 200), 299, 302),
        ("a list of the controllers", by("system:kube-controller-manager", "list", 200), 299, 302),
        ("a watch of `up`'s controller", by(controller, "watch", 200), 299, 302),
        ("a watch of K10", by(k10, "watch", 200), 299, 302),
        ("discovery", of_path(by("system:kube-aggregator", "get", 200)), 299, 302),
        ("a health check", of_path(by("system:anonymous", "get", 200)), 299, 302),
        ("refused discovery", of_path(by("system:anonymous", "get", 403)), 59, 62),
        ("a list of K10", by(k10, "list", 200), 59, 62),
        ("a refused list", by(collector, "list", 403), 59, 62),
        ("a read of the garbage collector", by(collector, "get", 200), 59, 62),
        ("a list of a user", by("alice", "list", 200), 59, 62),
        ("an event", verb("get"), 59, 62),
        ("a deletion", verb("delete"), 2, 5),
        ("many deletions", verb("deletecollection"), 2, 5),
    ] {
        let (store_dir, bucket_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = open_store(store_dir.path());
        for event in [beat(), event] {
            store::append(&store, event::record::write(&event)).await.unwrap();
        }
        let delivery = delivery(&store);
        let start = tokio::time::Instant::now();
        delivery.attach(NAME, bucket(file_store(&bucket_dir), Limits::default()), 0).await.unwrap();
        wait_until_delivered(&delivery, &store.journal(), NAME).await;
        let elapsed = start.elapsed().as_secs();
        assert!((min..=max).contains(&elapsed), "{name}: {elapsed} s");
        delivery.close().await;
    }
}
