//! The command line as a table, from which help, manual page and completions are generated.
//!
//! Only single values are checked here; combinations of flags are checked where they are used.

pub(crate) mod buckets;
pub(crate) mod dashboards;
pub(crate) mod destinations;
pub(crate) mod detect;
pub(crate) mod doctor;
pub(crate) mod forward;
pub(crate) mod input;
pub(crate) mod investigate;
pub(crate) mod listener;
pub(crate) mod log_files;
pub(crate) mod proxy;
pub(crate) mod rules;
pub(crate) mod serve;
pub(crate) mod source;
pub(crate) mod values;
pub(crate) mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use serve::ServeArgs;

/// The exit codes, for `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed (the last line on standard error says why), \
                          2 invalid command line.";

/// An aggregated Kubernetes API server that records every request and detects attacks on backups.
#[derive(Debug, Parser)]
#[command(name = "keepwatch", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run without a cluster, to try Keepwatch or to develop rules
    ///
    /// Listens on the loopback interface with its own CA and writes a kubeconfig for kubectl. Audit
    /// lines go to standard output, everything else to standard error.
    #[command(after_help = EXIT_CODES)]
    Up(Box<UpArgs>),
    /// Run in a cluster, behind kube-apiserver's aggregator
    #[command(after_help = EXIT_CODES)]
    Serve(Box<ServeArgs>),
    /// Run in front of an existing extension API server, and record its requests
    ///
    /// kube-apiserver's aggregator sends the requests of the API groups to the proxy, which records
    /// them and forwards them with the identity of their users. `install` prints what changes.
    #[command(after_help = EXIT_CODES)]
    Proxy(Box<proxy::ProxyArgs>),
    /// Find signals in existing audit logs with the rules of the server
    ///
    /// Prints each signal once, in its final state, ordered by first event. Lines that are not
    /// events are reported on standard error and otherwise ignored.
    #[command(after_help = detect::EXIT_CODES)]
    Detect(Box<detect::DetectArgs>),
    /// Check, list, show, test, export and create detection rules
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Export dashboards for Datadog and Grafana
    #[command(subcommand)]
    Dashboards(dashboards::DashboardsCommand),
    /// Show what a user did
    #[command(subcommand)]
    Investigate(investigate::InvestigateCommand),
    /// Check and explain audit policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Convert audit events
    #[command(subcommand)]
    Events(EventsCommand),
    /// Say what an attacker could do unseen in a cluster, and how to set up Keepwatch there
    ///
    /// Reads the cluster, and never writes to it: which backup tools it has, which sources of events
    /// are possible and connected, and what the built-in rules see with them. Prints the Helm values
    /// of the best set-up. What it may not read, it says.
    #[command(after_help = EXIT_CODES)]
    Doctor(doctor::DoctorArgs),
    /// Connect sources of events
    #[command(subcommand)]
    Source(source::SourceCommand),
    /// Send the events of a kube-apiserver's audit log to the audit webhook of a server
    ///
    /// Runs on the node that has the log. Each line is sent once; while the server is away, lines wait
    /// in a buffer on disk, and then in the log itself.
    #[command(after_help = EXIT_CODES)]
    Forward(forward::ForwardArgs),
    /// List the cursors of the journal's readers, and move them
    #[command(subcommand)]
    Cursors(CursorsCommand),
    /// Clean up a cluster from which the server was removed
    ///
    /// Removes the server's finalizer from `AuditConfigs`, so that they and their namespaces can be
    /// deleted, and writes that into their status. The chart runs this command itself.
    #[command(after_help = EXIT_CODES)]
    Uninstall(UninstallArgs),
    /// Print a shell completion script
    #[command(after_help = EXIT_CODES)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = EXIT_CODES)]
    Man,
    /// Print a generated page of the documentation
    #[command(hide = true)]
    Reference {
        /// Which page
        #[arg(value_enum)]
        page: Page,
        /// Which pack, for the page of rules
        #[arg(long, default_value = "kasten")]
        pack: String,
    },
}

/// Pages that are generated from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Page {
    /// The served kinds.
    Kinds,
    /// The command line.
    Cli,
    /// All limits.
    Limits,
    /// All metrics.
    Metrics,
    /// All annotations.
    Annotations,
    /// The API groups that the chart registers.
    Apiservices,
    /// The audit policy that K10 6.5 documents.
    PolicyK10,
    /// The audit policy that K10 7.0 documents.
    #[value(name = "policy-k10-7")]
    PolicyK10V7,
    /// The extended policy, which also records what K10's policies omit.
    PolicyExtended,
    /// The custom resource definitions that the chart installs.
    Crds,
    /// The built-in rules of a pack.
    Rules,
    /// What each source of events shows.
    Coverage,
    RulesExport,
}

/// Flags of `keepwatch up`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Folder for all data: store, certificates, kubeconfig, RBAC manifests
    #[arg(long, value_name = "DIR", default_value = ".keepwatch")]
    pub(crate) dir: PathBuf,
    /// Address to listen on; port 0 uses a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7443")]
    pub(crate) listen: SocketAddr,
    /// Audit policy: extended, k10 or k10-7 (as documented for K10 6.5 and 7.0), or a file
    #[arg(long, value_name = "k10|k10-7|extended|FILE", default_value = "extended")]
    pub(crate) policy: String,
    /// Run the demo: backups, normal activity, and an attack on backups
    #[arg(long)]
    pub(crate) demo: bool,
    /// Exit when the demo is over and all events are delivered (without --demo, at once)
    #[arg(long)]
    pub(crate) once: bool,
    /// Time between heartbeat events, whose absence reveals that delivery stopped; 0 turns them off
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::duration)]
    pub(crate) heartbeat: std::time::Duration,
    /// Encoding of audit lines [default: short on a terminal, otherwise kasten]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) audit_log_format: Option<EncodingName>,
    /// Make the lines of signals match a log agent's filter for `K10Event`, as those of events do
    #[arg(long)]
    pub(crate) siem_signals_match_k10_filter: bool,
    /// Format of the server's own log
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: crate::log::LogFormat,
    #[command(flatten)]
    pub(crate) audit_webhook: webhooks::AuditWebhookArgs,
    #[command(flatten)]
    pub(crate) admission_webhook: webhooks::AdmissionWebhookArgs,
    #[command(flatten)]
    pub(crate) log_files: log_files::LogFilesArgs,
    #[command(flatten)]
    pub(crate) buckets: buckets::BucketArgs,
    #[command(flatten)]
    pub(crate) retention: serve::RetentionArgs,
}

/// Commands about policies.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Load and validate a policy exactly as kube-apiserver does
    #[command(after_help = EXIT_CODES)]
    Check {
        /// Policy file, YAML or JSON
        file: PathBuf,
        /// Also reject unknown and duplicate fields
        #[arg(long)]
        strict: bool,
    },
    /// Explain what a policy decides for given requests
    ///
    /// Reads one JSON object per line: user, groups, verb, resourceRequest, namespace, apiGroup,
    /// apiVersion, resource, subresource, name, path. A request without a user is one whose
    /// authentication failed.
    #[command(after_help = EXIT_CODES)]
    Explain {
        /// Audit policy: k10 (of K10 6.5), k10-7 (of K10 7.0), extended, or a file
        #[arg(long, value_name = "k10|k10-7|extended|FILE")]
        policy: String,
        /// Domain of the API groups in a built-in policy
        #[arg(long, value_name = "DOMAIN", default_value = kasten::names::DOMAIN)]
        k10_api_domain: String,
        /// File with the requests; - is standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        requests: PathBuf,
    },
}

/// Commands about events.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Convert audit events from standard input to lines of one encoding on standard output
    ///
    /// The input can mix lines of kube-apiserver, K10 and Keepwatch and the event lists of audit
    /// webhooks, plain or gzip. Unknown fields are dropped and reported on standard error.
    #[command(after_help = EXIT_CODES)]
    Convert {
        /// Encoding of the output
        #[arg(long, value_enum, value_name = "FORMAT")]
        to: EncodingName,
        /// Name of the cluster for the tags of the kasten encoding [default: the name in each line]
        #[arg(long, value_name = "NAME", default_value = "")]
        cluster_name: String,
    },
}

/// Flags of `keepwatch uninstall`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UninstallArgs {
    /// Kubeconfig of kube-apiserver [default: the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Namespaces of the `AuditConfigs`; * is all
    #[arg(long, value_name = "NAMES", value_delimiter = ',',
          default_value = kasten::names::K10_NAMESPACE)]
    pub(crate) audit_config_namespaces: Vec<String>,
    /// Do nothing while this Deployment exists, because the server is still installed
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = values::service_name)]
    pub(crate) unless_deployment: Option<values::ServiceName>,
    /// Format of the log
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: crate::log::LogFormat,
}

/// Commands about the journal's readers.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CursorsCommand {
    /// List the readers; works while a server runs
    #[command(after_help = EXIT_CODES)]
    List {
        /// Folder of the store (`serve --data-dir`, `up --dir`)
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Discard events for one reader; nothing else discards undelivered events
    #[command(after_help = EXIT_CODES)]
    Skip(MoveArgs),
    /// Acknowledge missing records, so that the server becomes ready again; works while it runs
    #[command(after_help = EXIT_CODES)]
    Acknowledge {
        /// Folder of the store (`serve --data-dir`, `up --dir`)
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Deliver events to one reader again
    #[command(after_help = EXIT_CODES)]
    Rewind(MoveArgs),
}

/// Which cursor, and its new position.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MoveArgs {
    /// Folder of the store (`serve --data-dir`, `up --dir`); stop the server first
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Name of the reader, as in the list
    pub(crate) reader: String,
    /// New cursor: the reader continues after this record
    #[arg(long, value_name = "SEQ")]
    pub(crate) to: u64,
}

/// Names of the encodings of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncodingName {
    /// K10's format, with keys for log tools in front.
    #[default]
    Kasten,
    /// The format of kube-apiserver's log backend.
    #[value(alias = "json")]
    V1,
    /// A short, human-readable line: time, status code, verb, object, user, address.
    Short,
}
