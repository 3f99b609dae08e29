//! Keepwatch: an aggregated Kubernetes API server that records every request.
//!
//! Parses the command line, runs one command, and exits: with 0 on success, 1 on failure, 2 if the
//! command line is invalid. Contains no other logic.

mod app;
mod args;
mod audit_marker;
mod aws;
mod azure;
mod background_task;
mod bucket_url;
mod certificate;
mod clock;
mod commands;
mod delivery_control;
mod detection;
mod encoding;
mod event_log;
mod google;
mod input;
mod journal_gaps;
mod line_labels;
mod log;
mod modes;
mod namespace_watcher;
mod notifications;
mod passkeys;
mod printable;
mod program;
mod reader_positions;
mod replay;
mod rule_files;
mod signal_table;
mod sources;
mod standalone;
mod store_file;
mod terminal;
mod usage_error;

use std::process::ExitCode;

use clap::Parser as _;
use tikv_jemallocator::Jemalloc;

/// Many objects are freed on another thread than the thread that allocated them. The system's
/// allocator needs a fifth of a request's time for this.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    disable_core_dumps();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return commands::report_usage_error(&error),
    };
    commands::finish(commands::run(args.command))
}

/// Memory contains keys, so a crash must not write it to a file (`RLIMIT_CORE`) or to a collector
/// of core dumps (`PR_SET_DUMPABLE`). If this is not permitted, the server runs anyway.
fn disable_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
