//! The server's own log, on stderr: human-readable text, or one JSON object per line.
//!
//! Details are fields. Bodies and secrets are never logged, at any level. No line can be mistaken
//! for an audit line, regardless of the names of objects: see
//! [`audit_marker`](crate::audit_marker). The environment variable `KEEPWATCH_LOG` sets another
//! filter: a level, or a comma-separated list of `target=level`.

use std::io::{self, IsTerminal as _};
use std::panic;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::audit_marker::MarkerBreaker;

/// The format of the server's own log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The environment variable that replaces the default filter.
const VARIABLE: &str = "KEEPWATCH_LOG";
/// Libraries of which only warnings are logged by default.
const VERBOSE_LIBRARIES: [&str; 5] = ["kube_client", "hyper", "hyper_util", "rustls", "tower"];

/// Installs the global subscriber and the panic hook. Call it once. `quiet` logs only warnings and
/// errors, for a user at a terminal.
pub(crate) fn init(format: LogFormat, quiet: bool) {
    let level = if quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    let default = Targets::new()
        .with_default(level)
        .with_targets(VERBOSE_LIBRARIES.map(|library| (library, LevelFilter::WARN)))
        // `kube_runtime` warns at each attempt of a forbidden watch; `controller::watch` warns
        // once.
        .with_target("kube_runtime", LevelFilter::ERROR);
    let from_env = env_filter().map(|from_env| from_env.parse());
    let is_invalid = matches!(from_env, Some(Err(_)));
    let filter = from_env.and_then(Result::ok).unwrap_or(default);
    let lines = fmt::layer().with_writer(|| MarkerBreaker(io::stderr()));
    let lines = match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // It fails only if a subscriber is already installed.
    registry().with(lines.with_filter(filter)).try_init().ok();
    panic::set_hook(Box::new(|panic| {
        tracing::error!(reason = %panic, "a thread panicked");
    }));
    if is_invalid {
        tracing::warn!("{VARIABLE} is neither a level nor a list of target=level; it is ignored");
    }
}

/// The value of the variable, unless it is unset or empty.
#[expect(clippy::disallowed_methods, reason = "the binary reads its environment once")]
fn env_filter() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|from_env| !from_env.is_empty())
}
