//! Flags of `keepwatch rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::EXIT_CODES;

/// Commands about rules.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Look for mistakes in rules: all of them, each with file, line and column
    #[command(after_help = EXIT_CODES)]
    Check(RuleFilesArgs),
    /// List the rules: the built-in ones, and those in the given files and folders
    #[command(after_help = EXIT_CODES)]
    List(RuleFilesArgs),
    /// Print a rule as it is written
    #[command(after_help = EXIT_CODES)]
    Show {
        /// Its ID or name
        id: String,
        #[command(flatten)]
        files: RuleFilesArgs,
    },
    /// Run the events file beside each rule, and compare the signals with what it expects
    ///
    /// Beside NAME.yaml lies NAME.events.ndjson.
    #[command(after_help = EXIT_CODES)]
    Test(RuleFilesArgs),
    /// Begin a rule: NAME.yaml and NAME.events.ndjson, which pass check and test
    #[command(after_help = EXIT_CODES)]
    New {
        /// Name of the rule: lower-case letters, digits and dashes
        name: String,
        /// Folder for the two files
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
}

/// Which rules, and the K10 that they are about.
#[derive(Clone, Debug, Args)]
pub(crate) struct RuleFilesArgs {
    /// Files and folders with rules (*.yaml, *.yml); the built-in ones if none is given
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Namespace of K10, whose service accounts are K10's own
    #[arg(long, value_name = "NAMESPACE", default_value = kasten::domain::K10_NAMESPACE)]
    pub(crate) k10_namespace: String,
    /// Domain that K10's API groups end in
    #[arg(long, value_name = "DOMAIN", default_value = kasten::domain::DOMAIN)]
    pub(crate) k10_api_domain: String,
}
