//! The kill tests and benchmarks as a separate program: a release build, so that the client is not
//! the bottleneck. `cargo xtask` starts it and passes the server in `KEEPWATCH_BIN`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use e2e::bench;
use e2e::chaos::{kill, outage, rotate};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kill the server under load, repeatedly
    Kill {
        /// Number of kills
        #[arg(long)]
        rounds: u32,
        /// Seed of a run to repeat
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Compare the API server with Go's sample-apiserver
    BenchApiserver {
        /// Seconds of load per case.
        #[arg(long)]
        seconds: u32,
        /// Run only Keepwatch, for profiling
        #[arg(long)]
        alone: bool,
        /// Compare with Keepwatch without the detector instead
        #[arg(long, conflicts_with = "alone")]
        detection: bool,
        /// Compare with a minimal durable server instead
        #[arg(long, conflicts_with_all = ["alone", "detection"])]
        bare: bool,
    },
    /// The minimal server of `bench-apiserver --bare`
    #[command(hide = true)]
    BareServer {
        /// Folder with the certificates, and for the database
        #[arg(long)]
        folder: PathBuf,
        /// Port on loopback
        #[arg(long)]
        port: u16,
    },
    /// Compare delivery to objects with the compressor alone
    BenchDelivery {
        /// Number of events in the journal
        #[arg(long)]
        events: u64,
    },
    /// The compressor of `bench-delivery`. It runs until stdin ends
    #[command(hide = true)]
    Compress,
    /// Kill the proxy under load, repeatedly
    KillProxy {
        /// Number of kills
        #[arg(long)]
        rounds: u32,
        /// Seed of a run to repeat
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Kill the uploading process during uploads
    KillUploads {
        /// Number of kills
        #[arg(long)]
        rounds: u32,
        /// Seed of a run to repeat
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Stop the bucket's server under load and start it again
    Outage {
        /// Number of outages
        #[arg(long)]
        turns: u32,
        /// Seconds of each outage
        #[arg(long)]
        seconds: u32,
        /// Requests per second
        #[arg(long)]
        rate: u32,
        /// Folder for the server's data
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// Rotate keys, CA and token of buckets under load
    Rotate {
        /// Number of rotations of each
        #[arg(long)]
        rounds: u32,
    },
    /// The process that `kill-uploads` kills.
    #[command(hide = true)]
    Upload {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        endpoint: String,
        #[arg(long)]
        finish: bool,
    },
    /// Measure the time from a response to its signal at a watcher
    BenchSignals {
        /// Requests per second of the concurrent load
        #[arg(long)]
        rate: u32,
    },
    /// Measure the index of events: its cost, and the first pages of a large journal
    BenchIndex {
        /// Number of events in the journal
        #[arg(long)]
        events: u64,
    },
    /// Measure an installed server without users: objects, heartbeats, CPU time
    BenchIdle {
        /// Duration in minutes
        #[arg(long)]
        minutes: u32,
    },
    /// Measure the audit webhook: CPU time of an event, and memory of a long request
    BenchIngestion {
        /// Number of requests of 400 events
        #[arg(long)]
        requests: usize,
        /// Number of events of the long request
        #[arg(long)]
        long: usize,
    },
    /// Compare sample-apiserver's own audit log with the proxy
    BenchProxy {
        /// Seconds of load per case.
        #[arg(long)]
        seconds: u32,
        /// Measure the proxy once, for profiling
        #[arg(long)]
        alone: bool,
    },
    /// Compare GET from an empty store with GET from a full one
    BenchWeight {
        /// Seconds of load per measurement.
        #[arg(long)]
        seconds: u32,
        /// Number of measurements of each
        #[arg(long)]
        rounds: u32,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Kill { rounds, seed } => kill::run(rounds, seed),
        Command::BenchWeight { seconds, rounds } => bench::weight(seconds, rounds),
        Command::BenchIdle { minutes } => bench::idle(minutes),
        Command::BenchIndex { events } => bench::index(events),
        Command::BenchIngestion { requests, long } => bench::ingestion(requests, long),
        Command::BenchProxy { seconds, alone } => bench::proxy(seconds, alone),
        Command::BenchSignals { rate } => bench::signals(rate),
        Command::BenchDelivery { events } => bench::delivery(events),
        Command::Compress => bench::compress(),
        Command::KillProxy { rounds, seed } => {
            let folder = tempfile::tempdir()?;
            kill::proxy::run(folder.path(), rounds, seed)
        }
        Command::KillUploads { rounds, seed } => {
            let myself = std::env::current_exe()?;
            runtime()?.block_on(kill::uploads::uploads(&myself, rounds, seed))
        }
        Command::Outage { turns, seconds, rate, data_dir } => {
            runtime()?.block_on(outage::run(turns, seconds, rate, data_dir.as_deref()))
        }
        Command::Rotate { rounds } => runtime()?.block_on(rotate::run(rounds)),
        Command::Upload { folder, endpoint, finish } => {
            runtime()?.block_on(kill::uploads::upload(&folder, &endpoint, finish))
        }
        Command::BenchApiserver { seconds, alone, detection, bare } => {
            let baseline = match (alone, detection, bare) {
                (true, ..) => bench::Baseline::Nothing,
                (_, true, _) => bench::Baseline::NoDetection,
                (.., true) => bench::Baseline::Bare,
                _ => bench::Baseline::SampleApiserver,
            };
            bench::apiserver(seconds, baseline)
        }
        Command::BareServer { folder, port } => bench::bare_server(&folder, port),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
