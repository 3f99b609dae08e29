//! Measures the CPU time of an event from the bytes of a request to the journal, and the memory of a
//! long request.
//!
//! `cargo bench -p source --bench recording [DIRECTORY]`; the default is the current directory. It
//! measures splitting, identities, decoding, encoding and commits, but no TLS and no HTTP.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use apiserver::Clock;
use event::Timestamp;
use source::splitter::Splitter;
use source::{Form, Recorder, SourceStatus};
use store::{Settings, Sqlite};

/// Events in a request: kube-apiserver's default.
const BATCH: usize = 400;
/// Requests of a measurement.
const REQUESTS: usize = 500;
/// Events of the long request: about 400 MB.
const LONG: usize = 300_000;
/// Bytes that are read from a connection at a time.
const FRAME_BYTES: usize = 16 << 10;
/// The size of a typical audit event, in bytes.
const EVENT_BYTES: usize = 1_300;
/// The clock ticks per second in `/proc/self/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(now())
    }
}

fn main() -> Result<(), Failure> {
    let location = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let directory = PathBuf::from(location.unwrap_or_else(|| ".".into())).join("bench.store");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let settings = Settings { limit_bytes: 64 << 30, ..Settings::default() };
    let store = Sqlite::open(&directory.join("bench.db"), settings, Arc::new(now))?;
    runtime.block_on(async {
        let storage = Arc::new(store.clone());
        let recorder =
            Recorder::open(storage, store.journal(), Arc::new(SystemClock), Form::Events).await?;
        println!("{:<26} {:>12} {:>16} {:>14}", "", "CPU µs/event", "events/CPU s", "peak MiB");
        for (name, first, step) in [("new events", 0, BATCH), ("events sent again", 0, 0)] {
            let before = cpu_seconds()?;
            for request in 0..REQUESTS {
                send(&recorder, first + request * step, BATCH).await?;
            }
            report(name, cpu_seconds()? - before, BATCH * REQUESTS)?;
        }
        let before = cpu_seconds()?;
        send(&recorder, 1 << 30, LONG).await?;
        report("one request of 390 MB", cpu_seconds()? - before, LONG)?;
        Ok::<_, Failure>(())
    })?;
    runtime.block_on(store.close());
    fs::remove_dir_all(&directory)?;
    Ok(())
}

/// Sends a list of events, which are made in parts, like the frames of a connection.
async fn send(recorder: &Recorder, first: usize, count: usize) -> Result<(), Failure> {
    let source = SourceStatus::new("audit-webhook-prod", "AuditWebhook", "prod");
    let mut splitter = Splitter::new(b"prod\0");
    let mut recording = recorder.begin(&source);
    let mut frame =
        br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#.to_vec();
    for number in first..first + count {
        frame.extend_from_slice(if number == first { b"" } else { b"," });
        event(number, &mut frame);
        if frame.len() >= FRAME_BYTES || number + 1 == first + count {
            let mut rest = frame.as_slice();
            while let Some(item) = splitter.next(&mut rest) {
                recording.add(item).await?;
            }
            frame.clear();
        }
    }
    splitter.next(&mut b"]}".as_slice());
    if splitter.finish().is_some() {
        return Err("the list is not complete".into());
    }
    let transfer = recording.finish().await?;
    if transfer.quarantined > 0 || transfer.received != count as u64 {
        return Err(format!("not as sent: {transfer:?}").into());
    }
    Ok(())
}

/// Appends an event of kube-apiserver with a request body.
fn event(number: usize, frame: &mut Vec<u8>) {
    let begin = frame.len();
    frame.extend_from_slice(
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"7d0f3a52-93d1-4b5e-8f3c-{number:012}","stage":"ResponseComplete","requestURI":"/apis/velero.io/v1/namespaces/shop/backups/nightly-{number}?fieldManager=kubectl","verb":"patch","user":{{"username":"alice@example.com","uid":"u-alice","groups":["devs","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI=5b1c"]}}}},"sourceIPs":["203.0.113.7"],"userAgent":"kubectl/v1.37.2 (linux/amd64) kubernetes/abcdef0","objectRef":{{"resource":"backups","namespace":"shop","name":"nightly-{number}","apiGroup":"velero.io","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"2026-11-23T09:29:57.000000Z","stageTimestamp":"2026-11-23T09:29:58.000000Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}},"requestObject":{{"spec":{{"ttl":"720h0m0s","text":""#
        )
        .as_bytes(),
    );
    let end = br#""}}}"#;
    let left = EVENT_BYTES.saturating_sub(frame.len() - begin + end.len());
    frame.extend((0..left).map(|at| b'a' + u8::try_from((at + number) % 26).unwrap_or_default()));
    frame.extend_from_slice(end);
}

fn report(name: &str, seconds: f64, events: usize) -> Result<(), Failure> {
    let events = f64::from(u32::try_from(events)?);
    let peak = peak_mebibytes()?;
    println!("{name:<26} {:>12.2} {:>16.0} {peak:>14}", seconds * 1e6 / events, events / seconds);
    Ok(())
}

fn cpu_seconds() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").ok_or("no name in /proc/self/stat")?.1;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

fn peak_mebibytes() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(peak.parse::<u64>()? >> 10)
}

#[expect(clippy::disallowed_methods, reason = "a measurement has no clock but the machine's")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
