//! A folder with objects that are written, replaced and appended to while they are read.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use event::annotations::{QUARANTINE, QUARANTINE_PLACE, SOURCE, SOURCE_EVENTS, SOURCE_KIND};
use event::{Event, Timestamp};
use flate2::Compression;
use flate2::write::GzEncoder;
use objectstore::{
    Bucket, BucketConfig, Credentials, Destination, FileStore, Limits, Prefix, Provider,
    WorkloadIdentity,
};
use sink::Encoding;
use sink::http::EgressPolicy;
use source::buckets::BucketSourceConfig;
use source::limits::{BUCKET_IDLE, BUCKETS_READS_MAX};
use source::{Buckets, EventSource, SourceSnapshot, SourceStatus, run_receipts};
use store::{Sqlite, Storage as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fixture::{TestStore, event, events};

/// Time in which everything that was written must be recorded.
const TIME_MAX: Duration = Duration::from_mins(1);

/// A folder with objects.
struct Objects {
    folder: PathBuf,
}

impl Objects {
    fn new(on: &TestStore) -> Self {
        let folder = on.folder.path().join("bucket");
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    /// Creates or replaces an object as a store does: at once.
    fn put(&self, key: &str, content: &[u8]) {
        let path = self.folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let temporary = path.with_file_name(".new");
        std::fs::write(&temporary, content).unwrap();
        std::fs::rename(temporary, path).unwrap();
    }

    /// Adds to an object.
    fn append(&self, key: &str, content: &str) {
        let path = self.folder.join(key);
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    fn bucket(&self) -> Bucket {
        let store = FileStore { root: self.folder.clone(), path: PathBuf::new() };
        let destination = Destination {
            provider: Provider::File(store),
            bucket: String::new(),
            prefix: Prefix::default(),
            skip_tls_verify: false,
            ca_pem: None,
            credentials: Credentials::None,
            retention: None,
            limits: Limits::default(),
        };
        let parts = BucketConfig {
            cluster: String::new(),
            encoding: Encoding::V1,
            egress: EgressPolicy::default(),
            workload_identity: WorkloadIdentity::default(),
            clock: Arc::new(|| Timestamp::from_micros(0)),
        };
        Bucket::open(&destination, parts).unwrap()
    }
}

/// A reader of a folder, which a test kills and starts again.
struct Reader {
    status: Arc<SourceStatus>,
    tasks: JoinSet<()>,
}

impl Reader {
    async fn start(on: &TestStore, store: &Sqlite, objects: &Objects) -> Self {
        // What a killed reader has submitted is committed first.
        store.submit(Box::new(|_| {})).await.unwrap();
        let source = Buckets::new(BucketSourceConfig {
            name: "bucket-prod".to_owned(),
            cluster: "prod".to_owned(),
            url: "/bucket".to_owned(),
            bucket: Arc::new(objects.bucket()),
            prefix: String::new(),
            poll_period: Duration::from_millis(5),
            quiet_period: Duration::from_hours(2),
            reads: Arc::new(Semaphore::new(BUCKETS_READS_MAX)),
        });
        let status = source.statuses().remove(0);
        let (recorder, stop) = (on.recorder(store).await, CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(Box::new(source).run(recorder, stop));
        Self { status, tasks }
    }

    async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }

    async fn wait(&self, what: &str, mut is_done: impl AsyncFnMut(&SourceSnapshot) -> bool) {
        let poll = async {
            while !is_done(&self.status.snapshot()).await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let is_in_time = tokio::time::timeout(TIME_MAX, poll).await.is_ok();
        assert!(is_in_time, "{what}: {:?}", self.status.snapshot());
    }

    async fn wait_recorded(&self, what: &str, store: &Sqlite, records: u64) {
        let journal = store.journal();
        self.wait(what, async |_| journal.last_seq() >= records).await;
    }
}

/// The lines of the events with these numbers.
fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| event(&format!("id-{number}")) + "\n").collect()
}

fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// How often the event with each number was recorded.
async fn counts(store: &Sqlite) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for event in events(store).await {
        if let Some(number) = event.audit_id.strip_prefix("id-") {
            *counts.entry(number.parse().unwrap()).or_default() += 1;
        }
    }
    counts
}

/// Each number below `end`, once.
fn each_once(end: usize) -> BTreeMap<usize, usize> {
    (0..end).map(|number| (number, 1)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_appears_late_grows_or_is_replaced_is_recorded_once() {
    let on = TestStore::new();
    let (store, objects) = (on.open(), Objects::new(&on));
    let mut reader = Reader::start(&on, &store, &objects).await;
    objects.put("b/2.json.gz", &gzip(&lines(0..3)));
    objects.append("grows.json", &lines(3..5));
    reader.wait_recorded("two objects", &store, 5).await;
    // Its key is smaller than that of an object that was read.
    objects.put("a/1.json.gz", &gzip(&lines(5..7)));
    reader.wait_recorded("a late one", &store, 7).await;
    objects.append("grows.json", &lines(7..9));
    reader.wait_recorded("one that grows", &store, 9).await;
    reader.kill().await;
    objects.append("grows.json", &lines(9..10));
    // The first two events are the same.
    objects.put("b/2.json.gz", &gzip(&lines(0..2)));
    let mut reader = Reader::start(&on, &store, &objects).await;
    reader.wait_recorded("one that grew meanwhile", &store, 10).await;
    objects.put("grows.json", lines(10..12).as_bytes());
    reader.wait_recorded("one that is replaced", &store, 12).await;
    reader.wait("all objects", async |state| state.objects.waiting == 0).await;
    assert_eq!(counts(&store).await, each_once(12));
    let event = events(&store).await.remove(0);
    assert_eq!(event.annotations[SOURCE], "bucket-prod");
    assert_eq!(event.annotations[SOURCE_KIND], "Bucket");
    let state = reader.status.snapshot();
    assert_eq!((state.quarantined, state.error), (0, None));
    reader.kill().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_written_line_waits_for_its_rest_and_is_recorded_when_none_comes() {
    let on = TestStore::new();
    let (store, objects) = (on.open(), Objects::new(&on));
    let reader = Reader::start(&on, &store, &objects).await;
    let line = lines(1..2);
    let (start, rest) = line.split_at(60);
    objects.append("PT1H.json", &(lines(0..1) + start));
    reader.wait_recorded("the first line", &store, 1).await;
    objects.append("PT1H.json", rest);
    reader.wait_recorded("the second line", &store, 2).await;
    objects.append("PT1H.json", start);
    reader.wait("the objects", async |state| state.objects.objects >= 3).await;
    assert_eq!(counts(&store).await, each_once(2));
    on.advance(BUCKET_IDLE.as_secs().cast_signed() + 30 * 86_400);
    reader.wait_recorded("the half line", &store, 3).await;
    let Event { annotations, .. } = events(&store).await.remove(2);
    assert_eq!(annotations[QUARANTINE], "the object ends within it");
    let location = format!("PT1H.json, byte {}", lines(0..2).len());
    assert_eq!(annotations[QUARANTINE_PLACE], location);
}

/// Regression: what `cp -p` copied was never read, because its time is that of the original.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_file_with_an_old_time_is_read() {
    let on = TestStore::new();
    let (store, objects) = (on.open(), Objects::new(&on));
    objects.put("new.json", lines(0..1).as_bytes());
    let reader = Reader::start(&on, &store, &objects).await;
    reader.wait_recorded("the new file", &store, 1).await;
    reader.wait("the new file", async |state| state.objects.objects == 1).await;
    objects.put(".copy", lines(1..2).as_bytes());
    let copy = objects.folder.join(".copy");
    let old = std::time::UNIX_EPOCH + Duration::from_hours(24 * 365);
    std::fs::File::options().write(true).open(&copy).unwrap().set_modified(old).unwrap();
    std::fs::rename(copy, objects.folder.join("copy.json")).unwrap();
    reader.wait_recorded("the copy", &store, 2).await;
    assert_eq!(counts(&store).await, each_once(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_cannot_be_listed_is_shown_until_it_can() {
    let on = TestStore::new();
    let (store, objects) = (on.open(), Objects::new(&on));
    objects.put("b.json", lines(0..1).as_bytes());
    let reader = Reader::start(&on, &store, &objects).await;
    reader.wait_recorded("the other object", &store, 1).await;
    reader.wait("the objects", async |state| state.objects.objects == 1).await;
    std::fs::rename(&objects.folder, objects.folder.with_extension("away")).unwrap();
    let is_shown = async |state: &SourceSnapshot| {
        state.error.as_ref().is_some_and(|error| error.starts_with("cannot list folder"))
    };
    reader.wait("the error", is_shown).await;
    std::fs::rename(objects.folder.with_extension("away"), &objects.folder).unwrap();
    reader.wait("the folder is back", async |state| state.error.is_none()).await;
    assert_eq!(counts(&store).await, each_once(1));
}

/// Records receipts for a while. Returns how many.
async fn receipts(on: &TestStore, store: &Sqlite, reader: &Reader) -> usize {
    let count = async || {
        let events = events(store).await;
        events.iter().filter(|event| event.annotations.contains_key(SOURCE_EVENTS)).count()
    };
    let before = count().await;
    let sources = vec![Arc::clone(&reader.status)];
    let period = Duration::from_millis(1);
    let run = run_receipts(sources, on.recorder(store).await, period, CancellationToken::new());
    let ended = tokio::time::timeout(Duration::from_millis(300), run).await;
    assert!(ended.is_err(), "it ends only when it is stopped");
    count().await - before
}

/// Regression: a source whose audit log was switched off did not seem silent, because its other logs
/// were still written; nor did one whose folder could no longer be listed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_other_logs_or_a_folder_that_is_away_leave_no_receipt() {
    let on = TestStore::new();
    let (store, objects) = (on.open(), Objects::new(&on));
    for number in 0..10 {
        objects.put(&format!("exportedlogs/task/authenticator-0a/00000{number}.gz"), b"other");
    }
    let mut reader = Reader::start(&on, &store, &objects).await;
    reader.wait("other logs", async |state| state.objects.objects == 10).await;
    assert_eq!(receipts(&on, &store, &reader).await, 0);
    reader.kill().await;
    let mut reader = Reader::start(&on, &store, &objects).await;
    assert_eq!(receipts(&on, &store, &reader).await, 0, "after a restart");
    objects.put("audit.json", lines(0..1).as_bytes());
    reader.wait("the event", async |state| state.objects.objects == 1).await;
    assert!(receipts(&on, &store, &reader).await > 1, "it is quiet");
    reader.kill().await;
    let reader = Reader::start(&on, &store, &objects).await;
    assert!(receipts(&on, &store, &reader).await > 1, "it is quiet after a restart");
    std::fs::rename(&objects.folder, objects.folder.with_extension("away")).unwrap();
    reader.wait("the error", async |state| state.error.is_some()).await;
    assert_eq!(receipts(&on, &store, &reader).await, 0, "the folder is away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_cannot_be_decoded_does_not_keep_others_from_being_read() {
    let on = TestStore::new();
    let (store, objects) = (on.open(), Objects::new(&on));
    let damaged = gzip(&lines(0..50));
    objects.put("a.json.gz", &damaged[..damaged.len() / 2]);
    objects.put("b.txt", b"no event\n");
    objects.put("c.json", lines(100..102).as_bytes());
    on.advance(BUCKET_IDLE.as_secs().cast_signed() + 30 * 86_400);
    let reader = Reader::start(&on, &store, &objects).await;
    let is_read = async |state: &SourceSnapshot| state.objects.objects == 3;
    reader.wait("all objects", is_read).await;
    let mut reasons: Vec<(String, String)> = Vec::new();
    for mut event in events(&store).await {
        if let Some(reason) = event.annotations.remove(QUARANTINE) {
            let location = event.annotations.remove(QUARANTINE_PLACE).unwrap();
            reasons.push((location.split_once(',').unwrap().0.to_owned(), reason));
        }
    }
    reasons.sort();
    let expected = [
        ("a.json.gz", "the rest of the file cannot be decompressed"),
        ("b.txt", "not a JSON object"),
    ];
    let expected = expected.map(|(key, reason)| (key.to_owned(), reason.to_owned()));
    assert_eq!(reasons, expected);
    assert_eq!(counts(&store).await.range(100..).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_recorded_once_also_when_the_reader_is_killed() {
    const OBJECTS: usize = 120;
    const EVENTS: usize = 5;
    const LONG: usize = 700;
    let on = TestStore::new();
    let (store, objects) = (on.open(), Objects::new(&on));
    let mut random = fastrand::Rng::with_seed(7);
    for object in 0..OBJECTS {
        let text = lines(object * EVENTS..(object + 1) * EVENTS);
        let key = format!("{:03}/{object}", random.u16(..1000));
        if object % 2 == 0 {
            objects.put(&key, &gzip(&text));
        } else {
            objects.put(&key, text.as_bytes());
        }
    }
    // More than one transaction each.
    let start = OBJECTS * EVENTS;
    objects.put("long.gz", &gzip(&lines(start..start + LONG)));
    objects.put("long.json", lines(start + LONG..start + 2 * LONG).as_bytes());
    let all = start + 2 * LONG;
    let mut kills: u64 = 0;
    loop {
        let mut reader = Reader::start(&on, &store, &objects).await;
        // Longer each time, so that a slow machine makes progress and a fast one is killed often.
        let time = Duration::from_micros(random.u64(1000..10_000) + kills * 500);
        tokio::time::sleep(time).await;
        if store.journal().last_seq() >= all as u64 {
            reader.wait("all objects", async |state| state.objects.waiting == 0).await;
            reader.kill().await;
            break;
        }
        reader.kill().await;
        kills += 1;
        assert!(kills < 1000, "no progress");
    }
    assert!(kills >= 5, "{kills} kills");
    assert_eq!(counts(&store).await, each_once(all));
    assert_eq!(events(&store).await.len(), all);
    store.close().await;
}
