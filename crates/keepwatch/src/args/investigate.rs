//! Flags of `keepwatch investigate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use event::Timestamp;

use super::input::{InputArgs, RuleArgs};
use super::values::duration;

/// What can be investigated.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum InvestigateCommand {
    /// Show everything that a user did: requests, addresses, and signals
    ///
    /// Reads audit logs from the given inputs; without inputs, queries a server through its API.
    #[command(after_help = super::EXIT_CODES)]
    User(Box<UserArgs>),
}

/// The user, the time range, and the sources.
#[derive(Clone, Debug, Args)]
pub(crate) struct UserArgs {
    /// Name of the user, such as alice or system:serviceaccount:shop:web
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// Start of the timeline: a duration before its end, or a time such as 2026-11-23T09:30:00Z
    /// [default: 24h for a server, everything for inputs]
    #[arg(long, value_name = "DURATION|TIME", value_parser = since)]
    pub(crate) since: Option<Since>,
    /// End of the timeline: a time such as 2026-11-23T10:30:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<Timestamp>,
    /// Format: text, json, or html for a self-contained page
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) output: TimelineFormat,
    /// Kubeconfig of the server [default: `KUBECONFIG`, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig [default: the current context]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
}

/// Forms of a timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimelineFormat {
    /// Text for a terminal.
    #[default]
    Text,
    /// JSON for programs.
    Json,
    /// HTML for a browser.
    Html,
}

/// The start of a time range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// This long before its end.
    Before(Duration),
    /// At this time.
    At(Timestamp),
}

fn since(text: &str) -> Result<Since, String> {
    const DAY: Duration = Duration::from_hours(24);
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    if let Some(period) = days.and_then(|days| DAY.checked_mul(days)).or(duration(text).ok()) {
        return Ok(Since::Before(period));
    }
    time(text).map(Since::At).map_err(|_| {
        format!(
            "{text:?} is neither a duration such as 24h or 7d nor a time such as 2026-11-23T09:30:00Z"
        )
    })
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .map_err(|_| format!("{text:?} is not a time such as 2026-11-23T09:30:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_starts_at_a_time_or_a_duration_before_its_end() {
        assert_eq!(since("90m"), Ok(Since::Before(Duration::from_mins(90))));
        assert_eq!(since("7d"), Ok(Since::Before(Duration::from_hours(168))));
        let at = Timestamp::from_micros(1_763_890_200_000_000);
        assert_eq!(since("2025-11-23T09:30:00Z"), Ok(Since::At(at)));
        for text in
            ["", "yesterday", "2025-13-01T00:00:00Z", "24", "d", "-1d", "1.5d", "9999999999d"]
        {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
