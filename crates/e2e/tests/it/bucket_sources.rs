//! Audit events in the objects of a real S3 server: what is recorded equals the objects, each event
//! once, also when the reader is killed.

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use e2e::emulators::azurite::{ACCOUNT, Azurite};
use e2e::emulators::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use e2e::fixtures::Size;
use e2e::fixtures::standalone::{Standalone, send, wait};
use event::annotations::{SOURCE, SOURCE_DIGEST};
use event::{Event, EventRef, Stage, Timestamp};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt as _, TryStreamExt as _};
use objectstore::{Azure, Credentials, Destination, ObjectEntry, Provider};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::buckets::{destination, open, run};

const SOURCE_NAME: &str = "bucket-prod";
const BUCKET: &str = "audit-logs";
/// Objects of the test.
const OBJECTS: Size = Size { small: 1500, full: 10_000 };
/// Events in an object.
const EVENTS: usize = 4;
/// Times that the reader is killed while it reads them.
const KILLS: Size = Size { small: 8, full: 200 };

/// The audit ID of an event.
fn id(object: usize, number: usize) -> String {
    format!("{object}-{number}")
}

/// An event as Amazon EKS delivers it.
fn message(object: usize, number: usize) -> String {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": id(object, number), "stage": "ResponseComplete",
        "requestURI": "/apis/velero.io/v1/namespaces/shop/backups/b", "verb": "get",
        "user": {"username": "alice"}, "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-11-29T16:07:36.000000Z",
        "stageTimestamp": "2026-11-29T16:07:36.100000Z",
    })
    .to_string()
}

/// Writes objects into the folder of the S3 server, in one of the forms of Firehose: gzip members or
/// plain records, without separators.
fn write_objects(folder: &Path, objects: Range<usize>) {
    for object in objects {
        let hour = folder.join(format!("eks/2026/11/29/{:02}", object % 24));
        std::fs::create_dir_all(&hour).unwrap();
        let mut file = File::create(hour.join(format!("stream-1-{object:05}"))).unwrap();
        for part in 0..2 {
            let half = part * EVENTS / 2..(part + 1) * EVENTS / 2;
            let events: Vec<_> = half
                .map(|number| {
                    let message = message(object, number);
                    json!({"id": id(object, number), "timestamp": 1, "message": message})
                })
                .collect();
            let record = json!({
                "messageType": "DATA_MESSAGE", "owner": "111122223333",
                "logStream": "kube-apiserver-audit-0a1b", "logEvents": events,
            })
            .to_string();
            if object % 2 == 0 {
                let mut encoder = GzEncoder::new(&mut file, Compression::fast());
                encoder.write_all(record.as_bytes()).unwrap();
                encoder.finish().unwrap();
            } else {
                file.write_all(record.as_bytes()).unwrap();
            }
        }
    }
}

/// Starts the reader, or starts it again with the same store.
fn start(runtime: &Runtime, folder: &Path, server: &S3Server) -> Standalone {
    let flags = [
        format!("--bucket-source=prod=s3://{BUCKET}/eks/"),
        format!("--bucket-source-s3-endpoint={}", server.endpoint()),
        "--bucket-source-poll-period=1s".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    let keys = keys.map(|(name, value)| (name.to_owned(), value.to_owned()));
    runtime.block_on(Standalone::start_with(folder, &flags, &keys)).unwrap()
}

/// Waits until an object with this key and all others are read.
async fn wait_read(server: &Standalone, key: &str) {
    let path = format!("/apis/siem.keepwatch.io/v1alpha1/eventsources/{SOURCE_NAME}");
    let mut last = json!(null);
    let state = wait("the objects are read", async || {
        let (code, state) = send(&server.admin, "GET", &path, None).await?;
        assert_eq!(code, 200, "{state}");
        let objects = &state["status"]["objects"];
        let is_read = objects["lastKey"] == key && objects["waiting"] == 0;
        last = state.clone();
        Ok(is_read.then_some(state))
    });
    let state = state.await.unwrap_or_else(|error| panic!("{error}: {last}"));
    assert_eq!(state["spec"]["kind"], "Bucket");
    assert_eq!(state["status"]["quarantined"], 0, "{state}");
}

/// Lists a bucket with one object, and reads it from an offset on.
fn check_read(destination: &Destination) {
    run(async {
        let bucket = open(destination);
        let mut builder = bucket.object_builder("reader");
        let event = Event::internal(Stage::ResponseComplete, "get", Timestamp::from_micros(1));
        builder.push(1, Timestamp::from_micros(1), EventRef::from(&event));
        let object = builder.seal(1).unwrap();
        bucket.put(&object).await.unwrap();
        let listed: Vec<ObjectEntry> =
            bucket.listing("k10audit/clus").unwrap().try_collect().await.unwrap();
        let [entry] = listed.as_slice() else { panic!("{listed:?}") };
        assert!(!entry.etag.is_empty() && entry.modified > Timestamp::from_micros(1), "{entry:?}");
        let read = async |entry: &ObjectEntry, offset| {
            let body = bucket.read_from(entry, offset).await?;
            body.try_collect::<Vec<Bytes>>().await.map(|portions| portions.concat())
        };
        let full = read(entry, 0).await.unwrap();
        assert_eq!(full.len() as u64, entry.size);
        assert_eq!(read(entry, 7).await.unwrap(), full[7..]);
        let changed = ObjectEntry { etag: "\"0x1\"".to_owned(), ..entry.clone() };
        let error = read(&changed, 0).await.unwrap_err().to_string();
        assert!(error.ends_with("it was replaced meanwhile"), "{error}");
        assert_eq!(bucket.listing("k10audit/other").unwrap().count().await, 0);
    });
}

#[test]
fn an_object_is_listed_and_read_on_as_it_was_listed() {
    let server = S3Server::start(None).unwrap();
    server.create_bucket(BUCKET, false).unwrap();
    check_read(&destination(&server.endpoint(), BUCKET));
    let azurite = Azurite::start(&[BUCKET]).unwrap();
    let azure = Azure { endpoint: Some(azurite.endpoint()) };
    let credentials =
        Credentials::AzureAccountKey { account: ACCOUNT.to_owned(), key: Azurite::key().into() };
    let provider = Provider::Azure(azure);
    check_read(&Destination { provider, credentials, ..destination("", BUCKET) });
}

#[test]
fn each_event_of_a_bucket_is_recorded_once_also_when_the_reader_is_killed() {
    let server = S3Server::start(None).unwrap();
    server.create_bucket(BUCKET, false).unwrap();
    let bucket = server.folder().join("data").join(BUCKET);
    let (kills, objects) = (KILLS.get(), OBJECTS.get());
    // A part before each start, so that each kill interrupts reading.
    let part = |kill: usize| objects * kill / (kills + 1)..objects * (kill + 1) / (kills + 1);
    write_objects(&bucket, part(0));
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let mut keepwatch = start(&runtime, folder.path(), &server);
    for kill in 0..kills {
        // Different times, the same in each run.
        runtime.block_on(async { sleep(Duration::from_millis((kill as u64 * 137) % 300)).await });
        keepwatch.process.kill().unwrap();
        write_objects(&bucket, part(kill + 1));
        keepwatch = start(&runtime, folder.path(), &server);
    }
    // The newest object is the last one, although its key is the first.
    let key = "eks/0000/last";
    std::fs::create_dir_all(bucket.join("eks/0000")).unwrap();
    runtime.block_on(async { sleep(Duration::from_millis(1100)).await });
    std::fs::write(bucket.join(key), message(objects, 0)).unwrap();
    runtime.block_on(wait_read(&keepwatch, key));
    let events = runtime.block_on(keepwatch.stop_and_read()).unwrap();
    let is_from_bucket = |event: &Event| {
        let source = event.annotations.get(SOURCE).is_some_and(|source| source == SOURCE_NAME);
        // Receipts have no digest.
        source && event.annotations.contains_key(SOURCE_DIGEST)
    };
    let mut actual: Vec<String> =
        events.into_iter().filter(is_from_bucket).map(|event| event.audit_id).collect();
    actual.sort_unstable();
    let all = (0..objects).flat_map(|object| (0..EVENTS).map(move |number| id(object, number)));
    let mut expected: Vec<String> = all.chain([id(objects, 0)]).collect();
    expected.sort_unstable();
    assert_eq!(actual.len(), expected.len());
    assert_eq!(actual, expected);
    println!("{kills} kills, {} events of {objects} objects, each recorded once", actual.len());
}
