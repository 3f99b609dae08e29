//! Test fixture: a journal, buckets that receive it, and the contents of archives.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use delivery::Delivery;
use event::signal::{ChangeKind, Signal, SignalSpec, SignalState};
use event::{Event, Json, Level, Severity, Stage, Timestamp};
use objectstore::{
    Bucket, BucketConfig, Credentials, Destination, Limits, Prefix, Provider, S3, WorkloadIdentity,
};
use prometheus_client::registry::Registry;
use sink::Encoding;
use sink::http::EgressPolicy;
use store::{Journal, Sqlite};

/// Half past midnight, because objects end with the hour. Microseconds since the Unix epoch.
pub(super) const NOW: i64 = 1_795_566_600_000_000;

pub(super) fn open_store(folder: &Path) -> Sqlite {
    let settings = store::Settings::default();
    Sqlite::open(&folder.join("store.db"), settings, Arc::new(|| NOW)).unwrap()
}

pub(super) fn delivery(store: &Sqlite) -> Delivery {
    Delivery::new(store.journal(), &mut Registry::default())
}

pub(super) fn event(name: &str) -> Event {
    Event {
        level: Level::RequestResponse,
        audit_id: name.to_owned(),
        response_object: Some(Json::serialize(&"x".repeat(200)).unwrap()),
        ..Event::internal(Stage::ResponseComplete, "get", Timestamp::from_micros(NOW))
    }
}

/// The record of a change of a signal of this severity.
pub(super) fn signal(severity: Severity, change: ChangeKind) -> Bytes {
    let spec =
        SignalSpec { severity, title: "7 backups are gone".to_owned(), ..SignalSpec::default() };
    let signal = Signal { id: "signal-1".to_owned(), spec, state: SignalState::Open };
    event::record::write_signal(change, Timestamp::from_micros(NOW), &signal)
}

/// Records events `from` to `to`, numbered as in the journal.
pub(super) async fn record(store: &Sqlite, numbers: std::ops::Range<u64>) {
    let records = numbers
        .map(|number| store::append(store, event::record::write(&event(&number.to_string()))));
    for record in records.collect::<Vec<_>>() {
        record.await.unwrap();
    }
}

pub(super) fn destination(provider: Provider, limits: Limits) -> Destination {
    Destination {
        provider,
        bucket: "archive".to_owned(),
        prefix: Prefix::default(),
        skip_tls_verify: false,
        ca_pem: None,
        credentials: Credentials::AwsAccessKey {
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: "canary-4711".into(),
            session_token: None,
            role: None,
        },
        retention: None,
        limits,
    }
}

pub(super) fn s3(endpoint: &str) -> Provider {
    let endpoint = Some(endpoint.to_owned());
    Provider::S3(S3 { endpoint, region: String::new(), path_style: true })
}

pub(super) fn bucket_config(cluster: &str) -> BucketConfig {
    BucketConfig {
        cluster: cluster.to_owned(),
        encoding: Encoding::V1,
        egress: EgressPolicy {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            denied: Vec::new(),
            plain_http: true,
            ..EgressPolicy::default()
        },
        workload_identity: WorkloadIdentity::default(),
        clock: Arc::new(|| Timestamp::from_micros(NOW)),
    }
}

pub(super) fn bucket(provider: Provider, limits: Limits) -> Bucket {
    Bucket::open(&destination(provider, limits), bucket_config("test")).unwrap()
}

/// Limits for objects of about this many events, sealed at once.
pub(super) fn small_objects(events: usize) -> Limits {
    Limits { seal_bytes: 450 * events, seal_age: Duration::ZERO, ..Limits::default() }
}

/// Waits until `name` has delivered the whole journal, and checks its cursor.
pub(super) async fn wait_until_delivered(
    delivery: &Delivery,
    journal: &Arc<dyn Journal>,
    name: &str,
) {
    delivery.delivered().await;
    assert_eq!(journal.cursor(name).unwrap().seq, journal.last_seq());
}

/// The event numbers in an archive below a source, in the order of the keys. Panics if ranges
/// overlap or have a gap.
pub(super) fn events(objects: &BTreeMap<String, Vec<u8>>, source: &str) -> Vec<u64> {
    let mut all = Vec::new();
    let mut next = None;
    for (key, bytes) in
        objects.iter().filter(|(key, _)| key.contains(&format!("/source={source}/")))
    {
        let name = key.rsplit('/').next().unwrap();
        let numbers: Vec<u64> = name.split('-').take(3).map(|part| part.parse().unwrap()).collect();
        assert!(next.is_none_or(|next| next == numbers[1]), "{key} does not continue at {next:?}");
        next = Some(numbers[2] + 1);
        let lines = unpack(bytes);
        assert_eq!(lines.len() as u64, numbers[2] + 1 - numbers[1], "{key}");
        all.extend(lines.iter().map(|line| number(line)));
    }
    all
}

/// The lines of all objects of a source, in the order of the keys.
pub(super) fn lines(objects: &BTreeMap<String, Vec<u8>>, source: &str) -> Vec<String> {
    let source = format!("/source={source}/");
    let own = objects.iter().filter(|(key, _)| key.contains(&source));
    own.flat_map(|(_, bytes)| unpack(bytes)).collect()
}

/// The lines that must be delivered for the journal.
pub(super) async fn journal_lines(journal: &Arc<dyn Journal>) -> Vec<String> {
    let records = journal.read(0, 1 << 20, 1 << 30).await.unwrap();
    assert_eq!(records.len() as u64, journal.last_seq());
    let line = |record: store::Record| {
        let mut line = Vec::new();
        if let Some(signal) = event::record::signal_of(&record.bytes) {
            event::signal_line::v1(&signal.unwrap().with_seq(record.seq), "", &mut line);
        } else {
            let event = event::EventRef::parse(&record.bytes).unwrap();
            event::v1::write(&event.with_seq(record.seq), &mut line);
        }
        String::from_utf8(line).unwrap()
    };
    records.into_iter().map(line).collect()
}

pub(super) fn read_objects(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |path: PathBuf| (path.to_str().unwrap().to_owned(), std::fs::read(&path).unwrap());
    files(root).into_iter().map(read).collect()
}

/// Every file below a folder.
pub(super) fn files(root: &Path) -> Vec<PathBuf> {
    let (mut paths, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                paths.push(path);
            }
        }
    }
    paths
}

/// The lines of all gzip members of an object.
pub(super) fn unpack(bytes: &[u8]) -> Vec<String> {
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

fn number(line: &str) -> u64 {
    let after = line.split_once(r#""auditID":""#).unwrap().1;
    after.split_once('"').unwrap().0.parse().unwrap()
}
