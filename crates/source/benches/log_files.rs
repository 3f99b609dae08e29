//! Measures the CPU time of an event from a line of a log file to the journal, as an event and as it
//! is, for a forwarder.
//!
//! `cargo bench -p source --bench log_files [DIRECTORY]`; the default is the current directory. It
//! writes a log of 390 MB, and a store of more than that.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apiserver::Clock;
use event::Timestamp;
use source::log_files::LogFilesConfig;
use source::{EventSource, Form, LogFiles, Recorder};
use store::{Settings, Sqlite};
use tokio_util::sync::CancellationToken;

/// Lines of the log.
const LINES: usize = 300_000;
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
    let directory = PathBuf::from(location.unwrap_or_else(|| ".".into())).join("bench.log-files");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    let log = directory.join("audit.log");
    write_log(&log)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    println!(
        "{:<10} {:>12} {:>14} {:>10} {:>10}",
        "", "CPU µs/event", "events/CPU s", "events/s", "peak MiB"
    );
    for (name, form) in [("raw", Form::Raw), ("events", Form::Events)] {
        runtime.block_on(read(name, form, &directory.join(name), &log))?;
    }
    fs::remove_dir_all(&directory)?;
    Ok(())
}

async fn read(name: &str, form: Form, folder: &Path, log: &Path) -> Result<(), Failure> {
    let settings = Settings { limit_bytes: 64 << 30, ..Settings::default() };
    let store = Sqlite::open(&folder.join("bench.db"), settings, Arc::new(now))?;
    let storage = Arc::new(store.clone());
    let recorder = Recorder::open(storage, store.journal(), Arc::new(SystemClock), form).await?;
    let source = LogFiles::new(LogFilesConfig {
        name: "audit-log-prod".to_owned(),
        cluster: "prod".to_owned(),
        path: log.to_owned(),
        poll_period: Duration::from_millis(10),
    });
    let status = source.statuses().remove(0);
    let (stop, before, started) = (CancellationToken::new(), cpu_seconds()?, now());
    let reading = Box::new(source).run(recorder, stop.clone());
    let waiting = async {
        while status.snapshot().recorded < LINES as u64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    tokio::join!(reading, waiting);
    let cpu = cpu_seconds()? - before;
    let wall = f64::from(u32::try_from((now() - started) / 1000)?) / 1000.0;
    let (lines, peak) = (f64::from(u32::try_from(LINES)?), peak_mebibytes()?);
    println!(
        "{name:<10} {:>12.2} {:>14.0} {:>10.0} {peak:>10}",
        cpu * 1e6 / lines,
        lines / cpu,
        lines / wall
    );
    store.close().await;
    Ok(())
}

/// Writes lines as kube-apiserver does, with a request body.
fn write_log(path: &Path) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..LINES {
        let line = format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"7d0f3a52-93d1-4b5e-8f3c-{number:012}","stage":"ResponseComplete","requestURI":"/apis/velero.io/v1/namespaces/shop/backups/nightly-{number}?fieldManager=kubectl","verb":"patch","user":{{"username":"alice@example.com","uid":"u-alice","groups":["devs","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI=5b1c"]}}}},"sourceIPs":["203.0.113.7"],"userAgent":"kubectl/v1.37.2 (linux/amd64) kubernetes/abcdef0","objectRef":{{"resource":"backups","namespace":"shop","name":"nightly-{number}","apiGroup":"velero.io","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestObject":{{"spec":{{"ttl":"720h0m0s","text":"{{text}}"}}}},"requestReceivedTimestamp":"2026-11-23T09:29:57.000000Z","stageTimestamp":"2026-11-23T09:29:58.000000Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}}}"#
        );
        let text = "x".repeat(EVENT_BYTES.saturating_sub(line.len()));
        writeln!(file, "{}", line.replace("{text}", &text))?;
    }
    file.flush()?;
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
