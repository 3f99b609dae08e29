//! The outage: the bucket's server goes away under load and comes back.
//!
//! Fails only if the archive is not the journal: an event is lost, repeated or another one. What
//! requests and memory suffer meanwhile, and how fast the backlog goes, is printed beside the goals:
//! a machine that does other work at the same time must not make it fail. Latency is mostly the
//! disk's, which has good minutes and bad ones: health and outage come in turns, and what is compared
//! is all requests of the one and all of the other. With the server's folder in memory only the server
//! is left of it.

#![expect(clippy::print_stdout, reason = "tells whoever runs it how it went")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use crate::bench::constant_rate::Pace;
use crate::bench::machine;
use crate::emulators::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use crate::fixtures::proc_status;
use crate::fixtures::standalone::{BUCKET, Progress, Standalone, keys, wait};

/// Load that is not measured, until caches are full.
const WARM_UP: Duration = Duration::from_secs(5);
/// How often memory is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(200);
/// p99 in the outage over p99 before; growth of memory; events delivered per event that arrives.
const GOALS: (f64, f64, f64) = (1.2, 16.0, 10.0);

/// What became of the requests of one kind of time.
#[derive(Default)]
struct Phase {
    latencies: Vec<Duration>,
    took: Duration,
    /// Resident memory at most.
    resident: u64,
}

impl Phase {
    fn add(&mut self, more: Self) {
        self.latencies.extend(more.latencies);
        self.latencies.sort_unstable();
        self.took += more.took;
        self.resident = self.resident.max(more.resident);
    }

    /// The latency that this share of the requests, in percent, stays below.
    fn quantile(&self, percent: usize) -> Duration {
        self.latencies.get(self.latencies.len() * percent / 100).copied().unwrap_or_default()
    }

    /// Requests a second.
    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }
}

/// How the backlog went, over all outages.
#[derive(Default)]
struct Return {
    /// Events that waited.
    backlog: u64,
    /// Until the first one was there.
    noticed: Duration,
    /// Until no more waited than before the outage.
    took: Duration,
    delivered: u64,
}

impl Return {
    fn add(&mut self, more: &Self) {
        self.backlog += more.backlog;
        self.noticed += more.noticed;
        self.took += more.took;
        self.delivered += more.delivered;
    }
}

/// Runs it: `turns` outages of so many seconds at `rate` requests a second, each after as long a time
/// of health, with the server's folder below `below` if it matters.
pub async fn run(turns: u32, seconds: u32, rate: u32, below: Option<&Path>) -> anyhow::Result<()> {
    let folder = below.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let mut bucket = S3Server::start(None)?;
    bucket.make_bucket(BUCKET, false)?;
    let server = Standalone::start(folder.path()).await?;
    server.deliver_to(&bucket.endpoint(), BUCKET, &keys(ACCESS_KEY, SECRET_KEY)).await?;
    server.wait_status("Success").await?;
    println!("outage: {turns} x {seconds} s without the bucket at {rate} requests/s");
    let mut pace = Pace::start(&server.worker, &[], rate).await?;
    let away = Duration::from_secs(u64::from(seconds));
    phase(&server, &mut pace, WARM_UP.min(away)).await?;

    let [mut healthy, mut outage, mut after] = <[Phase; 3]>::default();
    let mut back = Return::default();
    for _ in 0..turns {
        healthy.add(phase(&server, &mut pace, away).await?);
        let usual = server.progress().await?.lag.max(4 * u64::from(rate));
        bucket.kill()?;
        outage.add(phase(&server, &mut pace, away).await?);
        let before = server.progress().await?;
        ensure!(before.lag > u64::from(rate) * u64::from(seconds) / 2, "no backlog: {before:?}");
        bucket.start_again(None)?;
        back.add(&catch_up(&server, &mut pace, before, usual).await?);
        after.add(phase(&server, &mut pace, WARM_UP.min(away)).await?);
    }
    pace.stop().await?;

    report(&healthy, &outage, &after, &back);
    let (compared, end) = server.stop_and_compare(|| bucket.objects(BUCKET)).await?;
    ensure!(compared.last == end, "the archive ends at {}, the journal at {end}", compared.last);
    println!(
        "outage passed: {} events from record {} on, in {} objects: each once, in order, equal to \
         the journal",
        compared.events(),
        compared.first,
        compared.objects
    );
    Ok(())
}

async fn phase(server: &Standalone, pace: &mut Pace, length: Duration) -> anyhow::Result<Phase> {
    pace.take();
    let start = machine::now();
    let mut resident = 0;
    while start.elapsed() < length {
        tokio::time::sleep(LOOK_PERIOD).await;
        resident = resident.max(proc_status::vm_rss(server.process.id())?);
        pace.check()?;
    }
    let took = start.elapsed();
    let mut phase = Phase::default();
    phase.add(Phase { latencies: pace.take(), took, resident });
    Ok(phase)
}

/// Waits until no more events wait than `usual`.
async fn catch_up(
    server: &Standalone,
    pace: &mut Pace,
    before: Progress,
    usual: u64,
) -> anyhow::Result<Return> {
    let start = machine::now();
    let mut noticed = None;
    let last = wait("the backlog goes", async || {
        pace.check()?;
        let progress = server.progress().await?;
        if progress.delivered > before.delivered {
            noticed.get_or_insert_with(|| start.elapsed());
        }
        Ok((progress.lag <= usual).then_some(progress))
    })
    .await?;
    Ok(Return {
        backlog: before.lag,
        noticed: noticed.unwrap_or_default(),
        took: start.elapsed(),
        delivered: last.delivered - before.delivered,
    })
}

fn report(healthy: &Phase, outage: &Phase, after: &Phase, back: &Return) {
    println!("\n| phase | requests/s | p50 ms | p99 ms | RSS at most, MiB |");
    println!("|---|---:|---:|---:|---:|");
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for (name, phase) in [("healthy", healthy), ("outage", outage), ("after it", after)] {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (p50, p99) = (ms(phase.quantile(50)), ms(phase.quantile(99)));
        println!(
            "| {name} | {:.0} | {p50:.2} | {p99:.2} | {:.1} |",
            phase.rate(),
            mib(phase.resident)
        );
    }
    let slower = outage.quantile(99).as_secs_f64() / healthy.quantile(99).as_secs_f64();
    let growth = mib(outage.resident) - mib(healthy.resident);
    let rate = back.delivered as f64 / back.took.as_secs_f64();
    let swift = (back.delivered as f64) / back.took.saturating_sub(back.noticed).as_secs_f64();
    println!("\np99 in the outage: {slower:.2} x (goal at most {:.1} x)", GOALS.0);
    println!("growth of memory in the outage: {growth:.1} MiB (goal at most {:.0} MiB)", GOALS.1);
    println!(
        "catch-up: {} events waited, the first were there after {:.1} s, none after {:.1} s: {rate:.0} \
         events/s, {:.1} x the arrival rate (goal at least {:.0} x); {swift:.0} events/s once begun",
        back.backlog,
        back.noticed.as_secs_f64(),
        back.took.as_secs_f64(),
        rate / healthy.rate(),
        GOALS.2
    );
}
