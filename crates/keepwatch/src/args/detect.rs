//! Flags of `keepwatch detect`.

use clap::{Args, ValueEnum};

use super::input::{InputArgs, RuleArgs};

/// How the command ends, for `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed or an input could not be read \
                                     to its end (standard error says which), 2 invalid command \
                                     line, 3 there are signals and --exit-code was given.";

/// Which lines, which rules, and how the signals are printed.
#[derive(Clone, Debug, Args)]
pub(crate) struct DetectArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// Format of the signals
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) output: SignalFormat,
    /// Exit with code 3 if there are signals
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// Forms of signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SignalFormat {
    /// One JSON object per line, as the API serves it.
    #[default]
    Ndjson,
    /// A human-readable table.
    Table,
}
