//! Flags of `keepwatch rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::EXIT_CODES;
use super::input::RuleArgs;

/// Commands about rules.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Validate rules, and report all errors with file, line and column
    #[command(after_help = EXIT_CODES)]
    Check(RuleFilesArgs),
    /// List the built-in rules and those in the given files and folders
    #[command(after_help = EXIT_CODES)]
    List(RuleFilesArgs),
    /// Print the source of a rule
    #[command(after_help = EXIT_CODES)]
    Show {
        /// ID or name of the rule
        id: String,
        #[command(flatten)]
        files: RuleFilesArgs,
    },
    /// Evaluate the events file of each rule, and compare the signals with the expected ones
    ///
    /// The events file of NAME.yaml is NAME.events.ndjson in the same folder.
    #[command(after_help = EXIT_CODES)]
    #[command(mut_arg("paths", |paths| {
        paths.required(true).help("Files and folders with rules (*.yaml, *.yml) and their events files")
    }))]
    Test(RuleFilesArgs),
    /// Export rules to the language of another SIEM
    ///
    /// A rule that would differ in the target is not written, but reported on standard error with
    /// the reason. Each rule is one file.
    #[command(after_help = EXIT_CODES)]
    Export(Box<ExportArgs>),
    /// Create a rule: NAME.yaml and NAME.events.ndjson, which pass check and test
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
    /// Target, such as datadog; `--matrix` lists all
    #[arg(long, value_name = "TARGET", required_unless_present = "matrix")]
    pub(crate) to: Option<String>,
    /// How events reach the target, which determines the field names
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Format of the files
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Folder for the files [default: standard output]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Also write rules that differ in the target; their descriptions say how
    #[arg(long)]
    pub(crate) allow_lossy: bool,
    /// Print a table of how each rule differs in each target
    #[arg(long, conflicts_with_all = ["to", "profile", "format", "out", "allow_lossy", "suppressions", "ids"])]
    pub(crate) matrix: bool,
    /// File or folder with Suppressions (*.yaml, *.yml), in the format of `kubectl get suppressions
    /// -o yaml`; can be repeated. For datadog only; each rule then has a tag with its ID
    #[arg(long, value_name = "PATH")]
    pub(crate) suppressions: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// IDs or names of rules [default: all]
    #[arg(value_name = "RULE")]
    pub(crate) ids: Vec<String>,
}

/// Which rules, and the K10 that they are about.
#[derive(Clone, Debug, Args)]
pub(crate) struct RuleFilesArgs {
    /// Files and folders with rules (*.yaml, *.yml) [default: the built-in rules]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// K10's namespace, whose service accounts are K10's own
    #[arg(long, value_name = "NAMESPACE", default_value = kasten::names::K10_NAMESPACE)]
    pub(crate) k10_namespace: String,
    /// Domain of K10's API groups
    #[arg(long, value_name = "DOMAIN", default_value = kasten::names::DOMAIN)]
    pub(crate) k10_api_domain: String,
}
