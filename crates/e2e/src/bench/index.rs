//! Measures the event index: its cost, and the latency of the first page of a selector.
//!
//! A journal of many events is written while the index follows it, in separate threads, so that
//! their CPU times can be distinguished. The writer's CPU time includes everything for a commit:
//! SQLite, its write-ahead log, and the checkpoints. Many events share a commit, which is the
//! cheapest case for a writer. The measurement is repeated with events of K10 clients with bodies,
//! and with the same kind of events at a constant rate, as a server gets them. Then the index is
//! deleted and rebuilt from the journal. Finally `keepwatch up` serves that journal, and a client
//! requests first pages like kubectl. Most selectors match common values, some match rare ones.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod events;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use delivery::Delivery;
use event::Event;
use prometheus_client::registry::Registry;
use store::Sqlite;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::interval;

use self::events::SELECTORS;
use super::machine::now;
use super::traffic;
use crate::fixtures::kubeconfig;
use crate::fixtures::load_client::{Connection, Endpoint, Protocol};
use crate::fixtures::process::Process;
use crate::fixtures::stopped_store::STORE_FILE;
use crate::fixtures::wait::until;

/// Maximum number of events in flight to the writer.
const IN_FLIGHT: usize = 512;
/// Number of events with bodies.
const EVENTS_WITH_BODIES: u64 = 500_000;
/// Number of events with bodies at a constant rate, and that rate per second.
const CONSTANT_RATE_EVENTS: u64 = 20_000;
const CONSTANT_RATE: u32 = 1_000;
/// Number of first pages per selector, each with a different value.
const PAGES: u64 = 40;
/// The threads of the store: the writer and the checkpointer.
const WRITERS: [&str; 2] = ["store", "checkpointer"];
/// The name of the index threads.
const INDEXER: &str = "indexer";
/// Keep-alive of the index threads, so that their CPU time can be read.
const THREAD_KEEP_ALIVE: Duration = Duration::from_hours(1);
/// Goals: index bytes per event, share of the writer's CPU, and milliseconds per page.
const GOALS: (f64, f64, f64, f64) = (10.0, 3.0, 150.0, 400.0);
const COLLECTION: &str = "/apis/siem.keepwatch.io/v1alpha1/auditevents";

/// Runs the benchmark with this many events.
pub fn index(events: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let home = folder.path().join("home");
    std::fs::create_dir(&home)?;
    // The server accepts a folder only if it contains this file.
    std::fs::write(home.join("keepwatch.txt"), "")?;
    let path = home.join(STORE_FILE);
    let without_bodies = write(&path, events, events::event, None)?;
    let with_bodies =
        write(&folder.path().join("with-bodies.db"), EVENTS_WITH_BODIES, traffic::event, None)?;
    let rate_path = folder.path().join("at-constant-rate.db");
    let at_constant_rate =
        write(&rate_path, CONSTANT_RATE_EVENTS, traffic::event, Some(CONSTANT_RATE))?;
    let file = path.with_file_name("keepwatch.db-events");
    let bytes = std::fs::metadata(&file)?.len() as f64;
    std::fs::remove_file(&file)?;
    let rebuild = fill(&path)?;
    println!(
        "| | {events} events | {EVENTS_WITH_BODIES} events with bodies | {CONSTANT_RATE} of those a second |"
    );
    println!("|---|---|---|---|");
    let row = |name: &str, value: fn(&WriteMeasurement) -> f64, digits: usize| {
        let [without_bodies, with_bodies, at_constant_rate] =
            [&without_bodies, &with_bodies, &at_constant_rate].map(value);
        println!(
            "| {name} | {without_bodies:.digits$} | {with_bodies:.digits$} | {at_constant_rate:.digits$} |"
        );
    };
    row("bytes of the journal an event", |run| run.journal_bytes / run.events, 0);
    row("µs of the writer an event", |run| run.per_event(run.writer), 2);
    row("µs of the index an event", |run| run.per_event(run.indexer), 2);
    let share = format!("share of the writer's CPU, % (goal {:.0})", GOALS.1);
    row(&share, |run| 100.0 * run.indexer.as_secs_f64() / run.writer.as_secs_f64(), 1);
    println!("\n| {events} events | |");
    println!("|---|---|");
    println!(
        "| bytes of the index an event (goal {:.0}) | {:.1} |",
        GOALS.0,
        bytes / events as f64
    );
    println!("| seconds to rebuild the index from the journal | {:.1} |", rebuild.0.as_secs_f64());
    println!("| µs of the rebuild an event | {:.2} |", without_bodies.per_event(rebuild.1));
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let arguments = [
        "up".to_owned(),
        format!("--dir={}", home.display()),
        "--listen=127.0.0.1:0".to_owned(),
        // Retention must not remove events during the measurement.
        "--journal-retention-size=1Ti".to_owned(),
        "--journal-limit=1Ti".to_owned(),
    ];
    let binary = crate::fixtures::keepwatch::binary()?;
    let mut process = Process::start("keepwatch", &binary, &arguments, folder.path())?;
    let endpoint = until("the server has checked the index", || {
        process.check()?;
        let Ok(endpoint) =
            kubeconfig::read(&home).and_then(|kubeconfig| kubeconfig.endpoint("admin"))
        else {
            return Ok(None);
        };
        Ok(runtime.block_on(is_ready(&endpoint)).unwrap_or(false).then_some(endpoint))
    })?;
    runtime.block_on(pages(&endpoint, events))
}

struct WriteMeasurement {
    events: f64,
    writer: Duration,
    indexer: Duration,
    journal_bytes: f64,
}

impl WriteMeasurement {
    /// Microseconds per event.
    fn per_event(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.events
    }
}

/// Writes the journal while the index follows it, at full speed or at `rate` events per second.
fn write(
    path: &Path,
    events: u64,
    event: fn(u64) -> Event,
    rate: Option<u32>,
) -> anyhow::Result<WriteMeasurement> {
    let store = open(path)?;
    let (written, all) = oneshot::channel();
    let indexing = start_indexer(&store, all)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut pending = VecDeque::new();
        let mut load = rate.map(|rate| interval(Duration::from_secs(1) / rate));
        for number in 1..=events {
            if let Some(load) = &mut load {
                load.tick().await;
            }
            let record = event::record::write(&event(number));
            pending.push_back(store::append(&store, record));
            if pending.len() >= IN_FLIGHT {
                pending.pop_front().context("nothing pends")?.await?;
            }
        }
        for append in pending {
            append.await?;
        }
        // The readers of a server that serves this journal without delivery.
        let journal = store.journal();
        for reader in ["stdout", delivery::DETECTOR] {
            journal.register(reader, journal.last_seq()).await?;
        }
        journal.register("auditconfig/bench", 0).await?;
        anyhow::Ok(())
    })?;
    written.send(()).ok();
    let indexer = indexing.join().map_err(|_panic| anyhow!("the indexer failed"))??;
    let journal_bytes = store::Storage::health(&store).used_bytes as f64;
    let writer = cpu_of(&WRITERS)?;
    let figures = WriteMeasurement { events: events as f64, writer, indexer, journal_bytes };
    runtime.block_on(store.close());
    Ok(figures)
}

/// Rebuilds the index. Returns the elapsed time and the CPU time.
fn fill(path: &Path) -> anyhow::Result<(Duration, Duration)> {
    let store = open(path)?;
    let start = now();
    let (written, all) = oneshot::channel();
    written.send(()).ok();
    let cpu =
        start_indexer(&store, all)?.join().map_err(|_panic| anyhow!("the indexer failed"))??;
    let elapsed = start.elapsed();
    Builder::new_current_thread().build()?.block_on(store.close());
    Ok((elapsed, cpu))
}

/// Fills the index of a store in a separate thread. Once `written` completes, it indexes the rest
/// of the journal and returns the CPU time.
fn start_indexer(
    store: &Sqlite,
    written: oneshot::Receiver<()>,
) -> anyhow::Result<JoinHandle<anyhow::Result<Duration>>> {
    let store = store.clone();
    let work = move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name(INDEXER)
            .thread_keep_alive(THREAD_KEEP_ALIVE)
            .build()?;
        runtime.block_on(async {
            let mut delivery = Delivery::new(store.journal(), &mut Registry::default());
            let indexer = delivery.event_indexer(Arc::new(store.event_index()));
            tokio::select! {
                () = indexer.run() => anyhow::bail!("the indexer ended"),
                () = async {
                    written.await.ok();
                    delivery.indexed().await;
                } => {}
            }
            // Read the CPU time while the threads exist.
            cpu_of(&[INDEXER])
        })
    };
    Ok(thread::Builder::new().name(INDEXER.to_owned()).spawn(work)?)
}

fn open(path: &Path) -> anyhow::Result<Sqlite> {
    let start = now();
    let settings = store::Settings {
        journal_retention_bytes: 1 << 40,
        limit_bytes: 1 << 40,
        ..store::Settings::default()
    };
    // The clock starts with this process, so no record exceeds the retention.
    let micros = move || i64::try_from(start.elapsed().as_micros()).unwrap_or_default();
    let start_time = std::fs::metadata("/proc/self")?.modified()?.duration_since(UNIX_EPOCH)?;
    let start_time = i64::try_from(start_time.as_micros())?;
    Ok(Sqlite::open(path, settings, Arc::new(move || start_time + micros()))?)
}

/// Total user and system time of this process's threads with these names.
fn cpu_of(names: &[&str]) -> anyhow::Result<Duration> {
    let mut all = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if names.contains(&std::fs::read_to_string(task.join("comm"))?.trim_end()) {
            // The first field is the CPU time in nanoseconds.
            let schedstat = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos = schedstat.split_whitespace().next().context("no schedstat")?;
            all += Duration::from_nanos(nanos.parse()?);
        }
    }
    Ok(all)
}

/// Whether the server has checked the index.
async fn is_ready(endpoint: &Endpoint) -> anyhow::Result<bool> {
    let mut connection = endpoint.connections(Protocol::Http1, 1).await?.remove(0);
    let reply = connection.send(endpoint, "GET", "/metrics", &[], Bytes::new()).await?;
    let text = String::from_utf8(reply.body.to_vec())?;
    let lag = text.lines().find_map(|line| {
        let (_, lag) = line.split_once(r#"lag_events{sink="event-index"} "#)?;
        lag.parse::<u64>().ok()
    });
    Ok(lag.is_some_and(|lag| lag < 2 * store::event_index::SEGMENT_RECORDS))
}

async fn pages(endpoint: &Endpoint, events: u64) -> anyhow::Result<()> {
    println!("\n| selector | order | limit | events | p50 ms | p99 ms | goal |");
    println!("|---|---|---|---|---|---|---|");
    let mut connection = endpoint.connections(Protocol::Http1, 1).await?.remove(0);
    let mut is_met = true;
    for selector in &SELECTORS {
        let goal = if selector.is_rare { GOALS.3 } else { GOALS.2 };
        for order in ["newest", "oldest"] {
            for limit in [50, 500] {
                let (mut times, mut events_found) = (Vec::new(), 0);
                for number in 0..PAGES {
                    let fields = (selector.fields)(events, number);
                    let path =
                        format!("{COLLECTION}?limit={limit}&fieldSelector={fields},order={order}");
                    let (elapsed, count) = page(endpoint, &mut connection, &path).await?;
                    times.push(elapsed);
                    events_found += count;
                }
                times.sort_unstable();
                let percentile = |share: usize| times.get((times.len() - 1) * share / 100).copied();
                let [p50, p99] = [percentile(50), percentile(99)]
                    .map(|time| time.unwrap_or_default().as_secs_f64() * 1e3);
                is_met &= p99 <= goal;
                println!(
                    "| {} | {order} | {limit} | {} | {p50:.1} | {p99:.1} | {goal:.0} |",
                    selector.name,
                    events_found as u64 / PAGES
                );
            }
        }
    }
    println!("\nevery first page within its goal: {is_met}");
    Ok(())
}

/// Requests a page. Returns its latency and its number of events.
async fn page(
    endpoint: &Endpoint,
    connection: &mut Connection,
    path: &str,
) -> anyhow::Result<(Duration, usize)> {
    let start = now();
    let reply = connection.send(endpoint, "GET", path, &[], Bytes::new()).await?;
    let elapsed = start.elapsed();
    ensure!(reply.code == 200, "{path}: {} {}", reply.code, String::from_utf8_lossy(&reply.body));
    Ok((elapsed, memchr::memmem::find_iter(&reply.body, br#""kind":"AuditEvent""#).count()))
}
