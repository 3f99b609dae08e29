//! Flags of `keepwatch rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::EXIT_CODES;
use super::input::RuleArgs;

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
    /// Write rules in the language of another SIEM, where they mean the same
    ///
    /// A rule that would mean something else is left out, and named on standard error with the
    /// reason. Each rule becomes a file of its own.
    #[command(after_help = EXIT_CODES)]
    Export(Box<ExportArgs>),
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

/// Which rules go where.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExportArgs {
    /// The target, such as datadog; `--matrix` names all
    #[arg(long, value_name = "TARGET", required_unless_present = "matrix")]
    pub(crate) to: Option<String>,
    /// The way on which events reach the target, which decides what fields are called
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// The form of the files
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Folder for the files; standard output if not given
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write also rules that would mean something else; their descriptions say so
    #[arg(long)]
    pub(crate) allow_lossy: bool,
    /// Print which rule means the same in which target, and why not
    #[arg(long, conflicts_with_all = ["to", "profile", "format", "out", "allow_lossy", "suppressions", "ids"])]
    pub(crate) matrix: bool,
    /// File or folder with Suppressions (*.yaml, *.yml), as `kubectl get suppressions -o yaml` writes
    /// them; can be repeated. For datadog: rules then have a tag that names them
    #[arg(long, value_name = "PATH")]
    pub(crate) suppressions: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// IDs or names of rules; all if none is given
    #[arg(value_name = "RULE")]
    pub(crate) ids: Vec<String>,
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
