//! The server's own log, on stderr: text for people, or one JSON object a line.
//!
//! Facts are fields. Bodies and secrets are never logged.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// How the server's own log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// What is worth a line unless asked for more.
const FILTER: &str = "info,kube_client=warn,hyper=warn,hyper_util=warn,rustls=warn,tower=warn";
/// For a person at a terminal, who is being told a story: only what needs attention.
const FILTER_QUIET: &str = "warn";

/// Begins to log. Called once.
pub(crate) fn begin(format: LogFormat, quiet: bool) {
    let filter = EnvFilter::new(if quiet { FILTER_QUIET } else { FILTER });
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr);
    let begun = match format {
        LogFormat::Text => {
            builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // It fails only when somebody has begun already.
    drop(begun);
}
