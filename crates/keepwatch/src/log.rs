//! The server's own log, on stderr: text for people, or one JSON object a line.
//!
//! What objects are called cannot make an audit line of a line here: [`unmarked`]. Facts are fields. Bodies and secrets are never logged, whatever the level. The variable
//! `KEEPWATCH_LOG` asks for more or less than usual: a level, or `target=level` with commas between.

mod unmarked;

use std::io::{self, IsTerminal as _, Write as _};
use std::panic;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use unmarked::Unmarked;

/// How the server's own log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Asks for another log than the usual one.
const VARIABLE: &str = "KEEPWATCH_LOG";
/// Libraries that have more to say than anybody here wants to read.
const TALKATIVE: [&str; 5] = ["kube_client", "hyper", "hyper_util", "rustls", "tower"];

/// Begins to log. Called once. `quiet` is for a person at a terminal who is being told a story: only
/// what needs attention.
pub(crate) fn begin(format: LogFormat, quiet: bool) {
    let level = if quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    let usual = Targets::new()
        .with_default(level)
        .with_targets(TALKATIVE.map(|library| (library, LevelFilter::WARN)));
    let asked = asked().map(|asked| asked.parse());
    let is_unclear = matches!(asked, Some(Err(_)));
    let filter = asked.and_then(Result::ok).unwrap_or(usual);
    let lines = fmt::layer().with_writer(|| Unmarked(io::stderr()));
    let lines = match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // It fails only when somebody has begun already.
    drop(registry().with(lines.with_filter(filter)).try_init());
    panic::set_hook(Box::new(|panic| {
        tracing::error!(reason = %panic, "a thread panicked");
    }));
    if is_unclear {
        tracing::warn!(
            "{VARIABLE} is neither a level nor a list of target=level; it does not count"
        );
    }
}

/// A line on stderr that is no part of the log.
pub(crate) fn say(line: &str) {
    // If this cannot be written, there is no other place to report it.
    writeln!(Unmarked(io::stderr()), "{line}").ok();
}

/// What somebody who looks for a fault wants to see.
#[expect(clippy::disallowed_methods, reason = "the binary's own environment, read once")]
fn asked() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|asked| !asked.is_empty())
}
