//! The kill tests and benchmarks, as a separate program: a release build of the client, so that the client is
//! not what is measured. `cargo xtask` starts it and passes the server in `KEEPWATCH_BIN`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use e2e::bench;
use e2e::chaos::{kill, outage, rotate};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// SIGKILL under load, again and again.
    Kill {
        /// How often.
        #[arg(long)]
        rounds: u32,
        /// Repeat a run.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// The API server beside Go's sample-apiserver.
    BenchApiserver {
        /// Seconds of load per case.
        #[arg(long)]
        seconds: u32,
        /// Without the peer, to look at ours with a profiler.
        #[arg(long)]
        alone: bool,
        /// Beside itself without the detector, instead of the peer.
        #[arg(long, conflicts_with = "alone")]
        detection: bool,
        /// Beside the least that a durable server costs, instead of the peer.
        #[arg(long, conflicts_with_all = ["alone", "detection"])]
        bare: bool,
    },
    /// What `bench-apiserver --bare` runs beside the server.
    #[command(hide = true)]
    BareServer {
        /// Certificates and database.
        #[arg(long)]
        folder: PathBuf,
        /// On loopback.
        #[arg(long)]
        port: u16,
    },
    /// Delivery to objects beside the bare compressor.
    BenchDelivery {
        /// Events in the journal.
        #[arg(long)]
        events: u64,
    },
    /// The bare compressor, until stdin ends: what `bench-delivery` runs beside it.
    #[command(hide = true)]
    Compress,
    /// SIGKILL the uploading process during uploads.
    KillUploads {
        /// How often.
        #[arg(long)]
        rounds: u32,
        /// Repeat a run.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Stop the bucket's server under load and start it again.
    Outage {
        /// How often.
        #[arg(long)]
        turns: u32,
        /// For how long.
        #[arg(long)]
        seconds: u32,
        /// Requests a second.
        #[arg(long)]
        rate: u32,
        /// Where the server keeps everything.
        #[arg(long)]
        place: Option<PathBuf>,
    },
    /// Rotate keys, authority and token of buckets under load.
    Rotate {
        /// How often, each.
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
    /// From an answer to the signal that a watcher sees.
    BenchSignals {
        /// Requests a second beside.
        #[arg(long)]
        rate: u32,
    },
    /// The index of events: its cost, and first pages of a large journal.
    BenchIndex {
        /// Events in the journal.
        #[arg(long)]
        events: u64,
    },
    /// GET from an empty store beside a full one.
    BenchWeight {
        /// Seconds of load per measurement.
        #[arg(long)]
        seconds: u32,
        /// Measurements of each.
        #[arg(long)]
        rounds: u32,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().what {
        What::Kill { rounds, seed } => kill::run(rounds, seed),
        What::BenchWeight { seconds, rounds } => bench::weight(seconds, rounds),
        What::BenchIndex { events } => bench::index(events),
        What::BenchSignals { rate } => bench::signals(rate),
        What::BenchDelivery { events } => bench::delivery(events),
        What::Compress => bench::compress(),
        What::KillUploads { rounds, seed } => {
            let myself = std::env::current_exe()?;
            runtime()?.block_on(kill::uploads::uploads(&myself, rounds, seed))
        }
        What::Outage { turns, seconds, rate, place } => {
            runtime()?.block_on(outage::run(turns, seconds, rate, place.as_deref()))
        }
        What::Rotate { rounds } => runtime()?.block_on(rotate::run(rounds)),
        What::Upload { folder, endpoint, finish } => {
            runtime()?.block_on(kill::uploads::upload(&folder, &endpoint, finish))
        }
        What::BenchApiserver { seconds, alone, detection, bare } => {
            let beside = match (alone, detection, bare) {
                (true, ..) => bench::Beside::Nothing,
                (_, true, _) => bench::Beside::NoDetection,
                (.., true) => bench::Beside::Bare,
                _ => bench::Beside::Peer,
            };
            bench::apiserver(seconds, beside)
        }
        What::BareServer { folder, port } => bench::bare_server(&folder, port),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
