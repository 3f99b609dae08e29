//! Measurements of processes and disks.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Interval in which processes are checked for idleness; [`IDLE_MAX`] bounds the wait.
const IDLE_STEP: Duration = Duration::from_millis(250);
const IDLE_MAX: Duration = Duration::from_secs(20);

/// The monotonic clock of latencies.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Total user and system time of the processes.
pub(super) fn cpu(pids: &[u32]) -> anyhow::Result<Duration> {
    let hertz = rustix::param::clock_ticks_per_second();
    let mut ticks = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is the name in parentheses, which may contain any character.
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        for index in [11, 12] {
            ticks += fields.get(index).context("stat is short")?.parse::<u64>()?;
        }
    }
    Ok(Duration::from_micros(ticks * 1_000_000 / hertz))
}

/// The CPU time once the processes are idle, or after [`IDLE_MAX`].
pub(super) async fn cpu_when_idle(pids: &[u32]) -> anyhow::Result<Duration> {
    let start = now();
    let mut before = cpu(pids)?;
    loop {
        tokio::time::sleep(IDLE_STEP).await;
        let after = cpu(pids)?;
        // An idle etcd or garbage collector still uses 2 %.
        if after.saturating_sub(before) <= IDLE_STEP / 25 || start.elapsed() > IDLE_MAX {
            return Ok(after);
        }
        before = after;
    }
}

/// Pins this thread, and every thread and process that it starts, to one core: on a shared machine
/// cores differ in speed.
pub(super) fn pin_to_one_core() -> anyhow::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let core = (0..CpuSet::MAX_CPU).rfind(|core| allowed.is_set(*core)).context("no core")?;
    let mut cpu_set = CpuSet::new();
    cpu_set.set(core);
    Ok(sched_setaffinity(None, &cpu_set)?)
}

/// Median time of an fdatasync after a write of 4 KiB in `folder`.
pub(super) fn fsync(folder: &Path) -> anyhow::Result<Duration> {
    let mut file = fs::File::create(folder.join("fsync"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[0; 4096])?;
        let start = now();
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times.get(100).copied().context("no times")
}
