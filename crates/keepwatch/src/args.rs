//! The command line, as a table: help, manual page and completions are made from it.
//!
//! Here is only what can be said; whether it makes sense together is checked where it is used.

pub(crate) mod dashboards;
pub(crate) mod destinations;
pub(crate) mod detect;
pub(crate) mod input;
pub(crate) mod investigate;
pub(crate) mod rules;
pub(crate) mod serve;
pub(crate) mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use serve::ServeArgs;

/// How commands end, for `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed (the last line on standard error says why), \
                          2 the command line makes no sense.";

/// An aggregated Kubernetes API server whose every request is on record.
#[derive(Debug, Parser)]
#[command(name = "keepwatch", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run alone, without a cluster: for trying it, and for developing rules
    ///
    /// Serves on loopback with its own CA and a kubeconfig for stock kubectl. Audit lines go to
    /// standard output, everything else to standard error.
    #[command(after_help = EXIT_CODES)]
    Up(UpArgs),
    /// Run in a cluster, behind kube-apiserver's aggregator
    #[command(after_help = EXIT_CODES)]
    Serve(Box<ServeArgs>),
    /// Find signals in audit lines from anywhere, by the rules of the server
    ///
    /// Prints each signal once, as it is at the end, in the order of their first events. Lines that
    /// are no events are named on standard error and change nothing.
    #[command(after_help = detect::EXIT_CODES)]
    Detect(Box<detect::DetectArgs>),
    /// Check, list, show, test, export and begin detection rules
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Export dashboards for Datadog and Grafana
    #[command(subcommand)]
    Dashboards(dashboards::DashboardsCommand),
    /// See what an identity did
    #[command(subcommand)]
    Investigate(investigate::InvestigateCommand),
    /// Look at audit policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Work with recorded events
    #[command(subcommand)]
    Events(EventsCommand),
    /// See how far each reader of the journal is, and move one
    #[command(subcommand)]
    Cursors(CursorsCommand),
    /// Clean up in a cluster from which the server was removed
    ///
    /// Takes the server's finalizer off `AuditConfigs`, so that they and their namespaces can be deleted,
    /// and says so in their status. The chart does it by itself.
    #[command(after_help = EXIT_CODES)]
    Uninstall(UninstallArgs),
    /// Print a completion script
    #[command(after_help = EXIT_CODES)]
    Completions {
        /// The shell it is for
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = EXIT_CODES)]
    Man,
    /// Print a page of the documentation that is made from the program
    #[command(hide = true)]
    Reference {
        /// Which page
        #[arg(value_enum)]
        page: Page,
    },
}

/// Pages that are made from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Page {
    /// The served kinds.
    Kinds,
    /// The command line.
    Cli,
    /// Every bound.
    Limits,
    /// The API groups that the chart registers.
    Apiservices,
    /// The audit policy that K10 6.5 documents.
    PolicyK10,
    /// That of K10 7.0.
    #[value(name = "policy-k10-7")]
    PolicyK10V7,
    /// The same without its holes.
    PolicyExtended,
    /// The custom resource definitions that the chart installs.
    Crds,
    /// The rules on backups of K10.
    RulesKasten,
    RulesExport,
}

/// Flags of `keepwatch up`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Folder for everything that lasts: store, certificates, kubeconfig, RBAC manifests
    #[arg(long, value_name = "DIR", default_value = ".keepwatch")]
    pub(crate) dir: PathBuf,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7443")]
    pub(crate) listen: SocketAddr,
    /// Audit policy: extended, k10 or k10-7 (as documented for K10 6.5 and 7.0, which leave much out),
    /// or a file
    #[arg(long, value_name = "k10|k10-7|extended|FILE", default_value = "extended")]
    pub(crate) policy: String,
    /// Play a story: backups, ordinary work, and somebody who destroys backups
    #[arg(long)]
    pub(crate) demo: bool,
    /// Exit when the story is told and everything is delivered (at once without --demo)
    #[arg(long)]
    pub(crate) once: bool,
    /// Time between heartbeats: events of our own that make silence visible; 0 for none
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::duration)]
    pub(crate) heartbeat: std::time::Duration,
    /// Encoding of the audit lines; short on a terminal and kasten elsewhere, if none is given
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) audit_log_format: Option<EncodingName>,
    /// Let lines of signals pass a log agent's filter for `K10Event`, as lines of events do
    #[arg(long)]
    pub(crate) siem_signals_match_k10_filter: bool,
    /// Format of the server's own log
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: crate::log::LogFormat,
    #[command(flatten)]
    pub(crate) retention: serve::RetentionArgs,
}

/// Commands about policies.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Load and validate a policy exactly as kube-apiserver does
    #[command(after_help = EXIT_CODES)]
    Check {
        /// The policy, YAML or JSON
        file: PathBuf,
        /// Refuse unknown and repeated fields too
        #[arg(long)]
        strict: bool,
    },
    /// Say what a policy decides about described requests
    ///
    /// Reads one JSON object a line: user, groups, verb, resourceRequest, namespace, apiGroup,
    /// apiVersion, resource, subresource, name, path. Without a user, authentication failed.
    #[command(after_help = EXIT_CODES)]
    Explain {
        /// Audit policy: k10 (of K10 6.5), k10-7 (of K10 7.0), extended, or a file
        #[arg(long, value_name = "k10|k10-7|extended|FILE")]
        policy: String,
        /// Domain that the API groups in a built-in policy end in
        #[arg(long, value_name = "DOMAIN", default_value = kasten::domain::DOMAIN)]
        k10_api_domain: String,
        /// File with the requests; - is standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        requests: PathBuf,
    },
}

/// Commands about events.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Turn audit events on standard input into lines of one encoding on standard output
    ///
    /// Lines of kube-apiserver, of K10 and of Keepwatch may be mixed, with lists of events as webhooks
    /// are sent them, plain or gzip. Fields that an event does not have are left out and named on stderr.
    #[command(after_help = EXIT_CODES)]
    Convert {
        /// The encoding to write
        #[arg(long, value_enum, value_name = "FORMAT")]
        to: EncodingName,
        /// Name of the cluster for the tags of the kasten encoding; else the one that a line carries
        #[arg(long, value_name = "NAME", default_value = "")]
        cluster_name: String,
    },
}

/// Flags of `keepwatch uninstall`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UninstallArgs {
    /// Kubeconfig of kube-apiserver; the pod's own account if none is given
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Namespaces of the `AuditConfigs`; * for all
    #[arg(long, value_name = "NAMES", value_delimiter = ',',
          default_value = kasten::domain::K10_NAMESPACE)]
    pub(crate) audit_config_namespaces: Vec<String>,
    /// Do nothing while this Deployment is there: the server is installed
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = values::service_name)]
    pub(crate) unless_deployment: Option<values::ServiceName>,
    /// Format of the log
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: crate::log::LogFormat,
}

/// Commands about the journal's readers.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CursorsCommand {
    /// List the readers; also while a server runs
    #[command(after_help = EXIT_CODES)]
    List {
        /// Folder of the store (`serve --data-dir`, `up --dir`)
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Discard events for one reader: the only way in which events are given up
    #[command(after_help = EXIT_CODES)]
    Skip(MoveArgs),
    /// Say that missing records were seen, so that the server is ready again; also while it runs
    #[command(after_help = EXIT_CODES)]
    Acknowledge {
        /// Folder of the store (`serve --data-dir`, `up --dir`)
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Let one reader have events again that it had already
    #[command(after_help = EXIT_CODES)]
    Rewind(MoveArgs),
}

/// Which cursor, and where to.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MoveArgs {
    /// Folder of the store (`serve --data-dir`, `up --dir`); no server may be using it
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Name of the reader, as listed
    pub(crate) reader: String,
    /// The last record that the reader is done with: it goes on behind it
    #[arg(long, value_name = "SEQ")]
    pub(crate) to: u64,
}

/// Names of the encodings of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncodingName {
    /// As K10 writes it, with keys for log tools in front.
    #[default]
    Kasten,
    /// As kube-apiserver's log back end writes it.
    #[value(alias = "json")]
    V1,
    /// One line for a person: time, code, verb, object, user, address.
    Short,
}
