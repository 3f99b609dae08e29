//! The outage test: the bucket's server stops under load and starts again.
//!
//! It fails only if the archive differs from the journal: an event is lost, duplicated or changed.
//! Latency, memory and the time to catch up are only printed with their goals, because other load
//! on the machine must not fail the test. Latency depends mostly on the disk, whose speed varies.
//! Therefore phases with and without the bucket alternate, and all requests of one kind of phase
//! are compared with all of the other. With the data folder in memory, only the server itself is
//! measured.

#![expect(clippy::print_stdout, reason = "reports results to the developer")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use crate::bench::constant_rate::ConstantRate;
use crate::bench::machine;
use crate::emulators::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use crate::fixtures::proc_status;
use crate::fixtures::standalone::{BUCKET, Progress, Standalone, keys, wait};

/// Load before the measurement, until caches are full.
const WARM_UP: Duration = Duration::from_secs(5);
/// Interval of memory measurements.
const MEASURE_PERIOD: Duration = Duration::from_millis(200);
/// Goals: p99 latency in the outage over p99 before; growth of memory, in MiB; events delivered per
/// recorded event while catching up.
const GOALS: (f64, f64, f64) = (1.2, 16.0, 10.0);

/// The measurements of all phases of one kind.
#[derive(Default)]
struct Phase {
    latencies: Vec<Duration>,
    elapsed: Duration,
    /// Peak resident set size, in bytes.
    rss: u64,
}

impl Phase {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
        self.elapsed += other.elapsed;
        self.rss = self.rss.max(other.rss);
    }

    /// A percentile of the latencies.
    fn quantile(&self, percent: usize) -> Duration {
        self.latencies.get(self.latencies.len() * percent / 100).copied().unwrap_or_default()
    }

    /// Requests per second.
    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// The backlog, over all outages.
#[derive(Default)]
struct CatchUp {
    /// Undelivered events.
    backlog: u64,
    /// Time until the first delivery.
    first_delivery: Duration,
    /// Time until the backlog is as small as before the outage.
    elapsed: Duration,
    delivered: u64,
}

impl CatchUp {
    fn add(&mut self, other: &Self) {
        self.backlog += other.backlog;
        self.first_delivery += other.first_delivery;
        self.elapsed += other.elapsed;
        self.delivered += other.delivered;
    }
}

/// Runs `count` outages of this many seconds at `rate` requests per second, each after an equally
/// long phase without one. The server's folder is created in `parent`, if given.
pub async fn run(count: u32, seconds: u32, rate: u32, parent: Option<&Path>) -> anyhow::Result<()> {
    let folder = parent.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let mut bucket = S3Server::start(None)?;
    bucket.create_bucket(BUCKET, false)?;
    let server = Standalone::start(folder.path()).await?;
    server.create_destination(&bucket.endpoint(), BUCKET, &keys(ACCESS_KEY, SECRET_KEY)).await?;
    server.wait_status("Success").await?;
    println!("outage: {count} x {seconds} s without the bucket at {rate} requests/s");
    let mut load = ConstantRate::start(&server.worker, &[], rate).await?;
    let outage_duration = Duration::from_secs(u64::from(seconds));
    phase(&server, &mut load, WARM_UP.min(outage_duration)).await?;

    let [mut healthy, mut outage, mut after] = <[Phase; 3]>::default();
    let mut total = CatchUp::default();
    for _ in 0..count {
        healthy.add(phase(&server, &mut load, outage_duration).await?);
        let normal_lag = server.progress().await?.lag.max(4 * u64::from(rate));
        bucket.kill()?;
        outage.add(phase(&server, &mut load, outage_duration).await?);
        let before = server.progress().await?;
        ensure!(before.lag > u64::from(rate) * u64::from(seconds) / 2, "no backlog: {before:?}");
        bucket.restart(None)?;
        total.add(&catch_up(&server, &mut load, before, normal_lag).await?);
        after.add(phase(&server, &mut load, WARM_UP.min(outage_duration)).await?);
    }
    load.stop().await?;

    report(&healthy, &outage, &after, &total);
    let (comparison, end) = server.stop_and_compare(|| bucket.objects(BUCKET)).await?;
    ensure!(
        comparison.last == end,
        "the archive ends at {}, the journal at {end}",
        comparison.last
    );
    println!(
        "outage passed: {} events from record {} on, in {} objects: each once, in order, equal to \
         the journal",
        comparison.events(),
        comparison.first,
        comparison.objects
    );
    Ok(())
}

async fn phase(
    server: &Standalone,
    load: &mut ConstantRate,
    length: Duration,
) -> anyhow::Result<Phase> {
    load.take_latencies();
    let start = machine::now();
    let mut rss = 0;
    while start.elapsed() < length {
        tokio::time::sleep(MEASURE_PERIOD).await;
        rss = rss.max(proc_status::vm_rss(server.process.id())?);
        load.check()?;
    }
    let elapsed = start.elapsed();
    let mut phase = Phase::default();
    phase.add(Phase { latencies: load.take_latencies(), elapsed, rss });
    Ok(phase)
}

/// Waits until the backlog is at most `normal_lag`.
async fn catch_up(
    server: &Standalone,
    load: &mut ConstantRate,
    before: Progress,
    normal_lag: u64,
) -> anyhow::Result<CatchUp> {
    let start = machine::now();
    let mut first_delivery = None;
    let last = wait("the backlog is small again", async || {
        load.check()?;
        let progress = server.progress().await?;
        if progress.delivered > before.delivered {
            first_delivery.get_or_insert_with(|| start.elapsed());
        }
        Ok((progress.lag <= normal_lag).then_some(progress))
    })
    .await?;
    Ok(CatchUp {
        backlog: before.lag,
        first_delivery: first_delivery.unwrap_or_default(),
        elapsed: start.elapsed(),
        delivered: last.delivered - before.delivered,
    })
}

fn report(healthy: &Phase, outage: &Phase, after: &Phase, catch_up: &CatchUp) {
    println!("\n| phase | requests/s | p50 ms | p99 ms | RSS at most, MiB |");
    println!("|---|---:|---:|---:|---:|");
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for (name, phase) in [("healthy", healthy), ("outage", outage), ("after it", after)] {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (p50, p99) = (ms(phase.quantile(50)), ms(phase.quantile(99)));
        println!("| {name} | {:.0} | {p50:.2} | {p99:.2} | {:.1} |", phase.rate(), mib(phase.rss));
    }
    let slower = outage.quantile(99).as_secs_f64() / healthy.quantile(99).as_secs_f64();
    let memory_increase = mib(outage.rss) - mib(healthy.rss);
    let rate = catch_up.delivered as f64 / catch_up.elapsed.as_secs_f64();
    let delivery_rate = (catch_up.delivered as f64)
        / catch_up.elapsed.saturating_sub(catch_up.first_delivery).as_secs_f64();
    println!("\np99 in the outage: {slower:.2} x (goal at most {:.1} x)", GOALS.0);
    println!(
        "growth of memory in the outage: {memory_increase:.1} MiB (goal at most {:.0} MiB)",
        GOALS.1
    );
    println!(
        "catch-up: {} events waited, the first was delivered after {:.1} s, all after {:.1} s: {rate:.0} \
         events/s, {:.1} x the arrival rate (goal at least {:.0} x); {delivery_rate:.0} events/s once begun",
        catch_up.backlog,
        catch_up.first_delivery.as_secs_f64(),
        catch_up.elapsed.as_secs_f64(),
        rate / healthy.rate(),
        GOALS.2
    );
}
