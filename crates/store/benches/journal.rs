//! Measures how many records per second become durable, with latency and CPU time, compared with
//! the disk alone.
//!
//! `cargo bench -p store --bench journal [DIRECTORY]`; the default is the current directory. It
//! measures only the store: no TLS, no HTTP, no encoding of events.

#![expect(clippy::print_stdout, reason = "it prints measurements")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use store::{Settings, Sqlite, Storage, append, write};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// The duration of the measurement for each row of the table.
const SPAN: Duration = Duration::from_secs(3);
/// The size of a typical audit event, in bytes.
const RECORD_BYTES: usize = 1_300;
/// The size of an event with a list in its body, in bytes.
const LARGE_BYTES: usize = 70 << 10;
/// The clock ticks per second in `/proc/self/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let argument = std::env::args().skip(1).find(|value| !value.starts_with('-'));
    let directory = PathBuf::from(argument.unwrap_or_else(|| ".".into())).join("bench.store");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    println!("{:<34} {:>8.0} µs", "fdatasync of 4 KiB, median", sync_latency(&directory)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "", "1/s", "p50 µs", "p99 µs", "CPU µs", "group"
    );
    for (name, callers, bytes, kind) in [
        ("records, 1 caller", 1, RECORD_BYTES, Kind::Record),
        ("records, 16 callers", 16, RECORD_BYTES, Kind::Record),
        ("records, 32 callers", 32, RECORD_BYTES, Kind::Record),
        ("records, 128 callers", 128, RECORD_BYTES, Kind::Record),
        ("records of 70 KiB, 32 callers", 32, LARGE_BYTES, Kind::Record),
        ("creates with record, 32 callers", 32, RECORD_BYTES, Kind::Create),
        ("updates with record, 32 callers", 32, RECORD_BYTES, Kind::Update),
    ] {
        measure(&runtime, &directory.join(name), name, &Load { callers, bytes, kind })?;
    }
    fs::remove_dir_all(&directory)?;
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Record,
    Create,
    Update,
}

struct Load {
    callers: usize,
    bytes: usize,
    kind: Kind,
}

fn measure(runtime: &Runtime, directory: &Path, name: &str, load: &Load) -> Result<(), Failure> {
    let store =
        Sqlite::open(&directory.join("bench.db"), Settings::default(), Arc::new(wall_clock))?;
    let (cpu_before, begin) = (cpu_seconds()?, now());
    let mut latencies = runtime.block_on(async {
        let mut callers = JoinSet::new();
        for caller in 0..load.callers {
            callers.spawn(call(store.clone(), caller, load.bytes, load.kind));
        }
        let mut all = Vec::new();
        while let Some(latencies) = callers.join_next().await {
            all.extend(latencies??);
        }
        Ok::<_, Failure>(all)
    })?;
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
    latencies.sort_unstable();
    let at = |share: usize| latencies.get(latencies.len() * share / 100).copied().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "rounded for display")]
    let (count, commits) = (latencies.len() as f64, store.health().commits as f64);
    println!(
        "{name:<34} {:>9.0} {:>9} {:>9} {:>9.1} {:>7.1}",
        count / seconds,
        at(50),
        at(99),
        cpu * 1e6 / count,
        count / commits
    );
    runtime.block_on(store.close());
    Ok(())
}

/// One caller, which sends its next request when the previous one is durable.
async fn call(
    store: Sqlite,
    caller: usize,
    bytes: usize,
    kind: Kind,
) -> Result<Vec<u128>, Failure> {
    let body = Bytes::from(vec![b'x'; bytes]);
    let mut latencies = Vec::new();
    let end = now() + SPAN;
    for number in 0_u64.. {
        let begin = now();
        if begin > end {
            break;
        }
        let body = body.clone();
        let key = match kind {
            Kind::Record => None,
            Kind::Create => Some(format!("bench/objects/{caller}/{number}")),
            Kind::Update => Some(format!("bench/objects/{caller}/{}", number % 100)),
        };
        match key {
            None => drop(append(&store, body).await?),
            Some(key) => {
                write(&store, move |transaction| {
                    let revision = transaction.next_revision();
                    transaction.put(&key, revision, body.slice(..700));
                    transaction.append(body);
                })
                .await?;
            }
        }
        latencies.push(begin.elapsed().as_micros());
    }
    Ok(latencies)
}

fn sync_latency(directory: &Path) -> Result<f64, Failure> {
    let mut file = File::create(directory.join("sync"))?;
    let mut spans = Vec::new();
    file.write_all(&vec![0; 4 << 20])?;
    file.sync_all()?;
    for _ in 0..200 {
        use std::os::unix::fs::FileExt;
        file.write_all_at(&[1; 4096], 4096 * (spans.len() as u64))?;
        let begin = now();
        file.sync_data()?;
        spans.push(begin.elapsed());
    }
    spans.sort_unstable();
    Ok(spans.get(spans.len() / 2).map_or(0.0, |span| span.as_secs_f64() * 1e6))
}

/// The user and system time of this process, in seconds.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
