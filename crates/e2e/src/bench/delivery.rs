//! Benchmarks delivery against the compressor alone, with the same lines and compression level.
//!
//! A journal of events is delivered to a folder as objects: its records are read, decoded, encoded,
//! checked for length, hashed, compressed and written. At the same time and on the same core,
//! another process compresses the same lines from memory in a loop, so that other load on the
//! machine slows down both. The CPU time of each process is measured.

#![expect(clippy::cast_precision_loss, reason = "rates for people")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use delivery::Delivery;
use event::EventRef;
use objectstore::{Bucket, CHUNK_BYTES, FileStore, Limits, Provider};
use prometheus_client::registry::Registry;
use sink::Encoding;
use store::Sqlite;

use super::{machine, traffic};
use crate::chaos::kill::uploads::{bucket_config, destination};
use crate::fixtures::{archive, proc_status};

/// Maximum number of appends that are not committed yet.
const IN_FLIGHT: u64 = 512;
/// Number of lines that the compressor repeats, few enough not to cause memory pressure.
const SAMPLE: u64 = 50_000;
/// Goals of delivery: minimum share of the bare compressor's speed, and minimum number of events
/// per core-second.
const GOALS: (f64, f64) = (0.70, 50_000.0);

/// Delivers this many events and prints the comparison.
pub fn delivery(events: u64) -> anyhow::Result<()> {
    machine::pin_to_one_core()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let (ours, compressor, rss) = runtime.block_on(upload(folder.path(), events))?;
    println!("| | events/s per core | MB/s per core | ratio |");
    println!("|---|---|---|---|");
    for (name, figures) in [("delivery", &ours), ("bare compressor", &compressor)] {
        println!(
            "| {name} | {:.0} | {:.0} | {:.1} |",
            figures.per_core(),
            figures.raw as f64 / 1e6 / figures.cpu.as_secs_f64(),
            figures.raw as f64 / figures.packed as f64,
        );
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "\n{events} events of {} bytes; share of the bare compressor: {:.0} % (goal {:.0} %); \
         goal {:.0} events per core-second; memory before {:.1} MiB, at most {:.1} MiB",
        ours.raw / events,
        100.0 * ours.per_core() / compressor.per_core(),
        100.0 * GOALS.0,
        GOALS.1,
        mib(rss.0),
        mib(rss.1),
    );
    Ok(())
}

struct Figures {
    events: u64,
    /// Bytes before compression.
    raw: u64,
    /// Bytes after compression.
    packed: u64,
    /// CPU time of the process.
    cpu: Duration,
}

impl Figures {
    /// Events per core-second.
    fn per_core(&self) -> f64 {
        self.events as f64 / self.cpu.as_secs_f64()
    }
}

/// Measures delivery, the concurrent compressor, and the resident memory of this process before
/// delivery and at its maximum, in bytes.
async fn upload(
    folder: &std::path::Path,
    events: u64,
) -> anyhow::Result<(Figures, Figures, (u64, u64))> {
    // Delivery starts after the whole journal is written, so the limits must not trim it
    // before.
    let settings = store::Settings {
        journal_retention_bytes: 1 << 40,
        limit_bytes: 1 << 40,
        ..store::Settings::default()
    };
    let store =
        Sqlite::open(&folder.join("store.db"), settings, Arc::new(|| 1_795_566_600_000_000))?;
    let mut pending = std::collections::VecDeque::new();
    for number in 1..=events {
        pending.push_back(store::append(&store, event::record::write(&traffic::event(number))));
        if pending.len() as u64 >= IN_FLIGHT {
            pending.pop_front().context("nothing pends")?.await?;
        }
    }
    for append in pending {
        append.await?;
    }
    let destination_dir = folder.join("destination");
    std::fs::create_dir(&destination_dir)?;
    let delivery = Delivery::new(store.journal(), &mut Registry::default());
    let own_pid = [std::process::id()];
    let before = proc_status::vm_rss(own_pid[0])?;
    let compressor = Compressor::start()?;
    let cpu = machine::cpu(&own_pid)?;
    let provider = Provider::File(FileStore {
        root: destination_dir.clone(),
        path: std::path::PathBuf::new(),
    });
    let bucket = Bucket::open(&destination(provider, Limits::default()), bucket_config()?)?;
    delivery.attach("bench", bucket, 0).await?;
    let mut peak_rss = before;
    let delivered = delivery.delivered();
    tokio::pin!(delivered);
    loop {
        tokio::select! {
            () = &mut delivered => break,
            () = tokio::time::sleep(Duration::from_millis(50)) => peak_rss = peak_rss.max(proc_status::vm_rss(own_pid[0])?),
        }
    }
    let cpu = machine::cpu(&own_pid)?.saturating_sub(cpu);
    let compressor = compressor.stop()?;
    delivery.close().await;
    store.close().await;
    let (mut raw, mut packed, mut lines) = (0, 0, 0);
    for bytes in archive::files(&destination_dir)?.values() {
        packed += bytes.len() as u64;
        for line in archive::lines(bytes)? {
            raw += line.len() as u64 + 1;
            lines += 1;
        }
    }
    ensure!(lines == events, "{lines} of {events} events arrived");
    Ok((Figures { events, raw, packed, cpu }, compressor, (before, peak_rss)))
}

/// The bare compressor, in a separate process.
struct Compressor {
    process: Child,
    stdout: BufReader<ChildStdout>,
}

impl Compressor {
    /// Starts the process, and waits until it has encoded its lines into memory.
    fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("compress")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdout = BufReader::new(process.stdout.take().context("no stdout")?);
        stdout.read_line(&mut String::new())?;
        Ok(Self { process, stdout })
    }

    fn stop(mut self) -> anyhow::Result<Figures> {
        drop(self.process.stdin.take());
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(self.process.wait()?.success(), "the compressor failed");
        let numbers = line.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        let [events, raw, packed, micros] = numbers[..] else { bail!("{line:?}") };
        Ok(Figures { events, raw, packed, cpu: Duration::from_micros(micros) })
    }
}

/// The main function of the [`Compressor`] process. Compresses the lines until its stdin ends, then
/// prints the number of events, bytes before, bytes after, and microseconds of CPU.
pub fn compress() -> anyhow::Result<()> {
    let encoding = Encoding::Kasten(event::k10::LineContext {
        service: "keepwatch".to_owned(),
        ..event::k10::LineContext::default()
    });
    let mut lines = Vec::new();
    for number in 1..=SAMPLE {
        encoding.write(&EventRef::from(&traffic::event(number)), &mut lines);
        lines.push(b'\n');
    }
    let should_stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&should_stop);
    let watch = std::thread::spawn(move || {
        let end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        flag.store(true, Ordering::Relaxed);
        end
    });
    println!("ready");
    let own_pid = [std::process::id()];
    let cpu = machine::cpu(&own_pid)?;
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let (mut rounds, mut packed, mut compressed) = (0, 0, Vec::new());
    while !should_stop.load(Ordering::Relaxed) {
        for chunk in lines.chunks(CHUNK_BYTES) {
            compressed.resize(compressor.gzip_compress_bound(chunk.len()), 0);
            packed += compressor.gzip_compress(chunk, &mut compressed).context("no room")? as u64;
        }
        rounds += 1;
    }
    let cpu = machine::cpu(&own_pid)?.saturating_sub(cpu);
    watch.join().map_err(|_panic| anyhow!("stdin"))??;
    println!("{} {} {packed} {}", rounds * SAMPLE, rounds * lines.len() as u64, cpu.as_micros());
    Ok(())
}
