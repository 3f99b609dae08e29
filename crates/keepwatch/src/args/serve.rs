//! Flags of `keepwatch serve`: K10's by their names, kube-apiserver's where K10 has none.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use event::kasten::Labels;

use super::EncodingName;
use super::destinations::DestinationArgs;
use super::values::{ServiceName, bytes, duration, line_size, service_name};
use crate::app;
use crate::log::LogFormat;
use crate::reader_places::ResumeFrom;

/// Everything that cannot change without a restart.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    #[command(flatten)]
    pub(crate) audit: AuditArgs,
    /// Search events for signals by the detection rules
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) siem_detection: bool,
    #[command(flatten)]
    pub(crate) destinations: DestinationArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Format of the server's own log
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Domain that the aggregated API groups end in; config.kio.kasten.io stays as it is
    #[arg(long, value_name = "DOMAIN", default_value = kasten::domain::DOMAIN)]
    pub(crate) k10_api_domain: String,
    /// Namespace that K10 is installed in: its service accounts are K10's own. The namespace of the
    /// pod's account if none is given, as K10 has it, else kasten-io
    #[arg(long, value_name = "NAME")]
    pub(crate) k10_namespace: Option<String>,
}

/// Where and how to listen.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Listening")]
pub(crate) struct ListenArgs {
    /// Port to listen on
    #[arg(long, value_name = "PORT", default_value_t = 10250)]
    pub(crate) secure_port: u16,
    /// Address to listen on; 0.0.0.0 and :: stand for all addresses of both families
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) bind_address: IpAddr,
    /// Folder for a self-signed certificate, used when no certificate is given
    #[arg(long, value_name = "DIR", default_value = "apiserver.local.config/certificates")]
    pub(crate) cert_dir: PathBuf,
    /// Serving certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_private_key_file: Option<PathBuf>,
    /// Make, keep and rotate a serving certificate for this Service
    ///
    /// It is kept in Secret <SERVICE>-tls of that namespace, where all replicas find it, and the
    /// APIServices that name the Service get its authority as caBundle.
    #[arg(long, value_name = "NAMESPACE/SERVICE", value_parser = service_name,
          conflicts_with_all = ["tls_cert_file", "tls_private_key_file"])]
    pub(crate) tls_service: Option<ServiceName>,
    /// Time between "not ready" and the end of listening at shutdown
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) shutdown_delay_duration: Duration,
    /// Reading requests at a time
    #[arg(long, value_name = "N", default_value_t = 400)]
    pub(crate) max_requests_inflight: usize,
    /// Changing requests at a time
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) max_mutating_requests_inflight: usize,
    /// Time a request may take, unless it is a watch
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) request_timeout: Duration,
}

/// What is recorded, and where it goes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Audit")]
pub(crate) struct AuditArgs {
    /// Audit policy file; the policy that K10 6.5 documents if none is given
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_policy_file: Option<PathBuf>,
    /// A built-in policy instead of a file: k10 (of K10 6.5), k10-7 (of K10 7.0) or extended
    #[arg(long, value_name = "NAME", conflicts_with = "audit_policy_file")]
    pub(crate) audit_policy: Option<String>,
    /// Write audit lines to standard output or a file
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) enable_k10_audit_cluster: bool,
    /// File for audit lines; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) audit_log_file: PathBuf,
    /// Size in megabytes at which the file is rotated
    #[arg(long, value_name = "MB", default_value_t = 100, allow_negative_numbers = true)]
    pub(crate) audit_log_file_size: i64,
    /// Rotated files to keep; 0 keeps all
    #[arg(long, value_name = "N", default_value_t = 100, allow_negative_numbers = true)]
    pub(crate) audit_log_maxbackup: i64,
    /// Days to keep rotated files; 0 keeps them for ever
    #[arg(long, value_name = "DAYS", default_value_t = 366, allow_negative_numbers = true)]
    pub(crate) audit_log_maxage: i64,
    /// Size of a line on standard output and in the file, above which bodies and then long fields are
    /// left out, each with its length and digest; keep it below what the log agent takes
    #[arg(long, value_name = "SIZE", default_value = "32000", value_parser = line_size)]
    pub(crate) audit_line_size: u64,
    /// Where audit lines, uploads and detection go on after they were switched off
    ///
    /// A sink that takes over from another goes on where that one was, and a restart changes nothing.
    #[arg(long, value_enum, value_name = "PLACE", default_value_t)]
    pub(crate) audit_log_resume_from: ResumeFrom,
    /// Encoding of the audit lines
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) audit_log_format: EncodingName,
    /// Let lines of signals pass a log agent's filter for `K10Event`, as lines of events do
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) siem_signals_match_k10_filter: bool,
    /// Deliver events to the destinations that `AuditConfigs` name
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) enable_k10_audit_cloud_aws_s3: bool,
    /// Path in the bucket
    #[arg(long, value_name = "PATH", default_value = "k10audit/")]
    pub(crate) audit_cloud_path: String,
    /// Name of the cluster, for the tags in audit lines
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) cluster_name: String,
}

impl AuditArgs {
    /// What audit lines carry beside the event.
    pub(crate) fn labels(&self) -> Labels {
        Labels {
            signals_match_filter: self.siem_signals_match_k10_filter,
            ..app::labels(&self.cluster_name)
        }
    }

    /// Whether the lines go to standard output and not to a file.
    pub(crate) fn is_stdout(&self) -> bool {
        self.audit_log_file.as_os_str() == "-"
    }
}

/// Whom to believe, and whom to ask.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct AccessArgs {
    /// Kubeconfig of kube-apiserver; the pod's own account if none is given
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Kubeconfig for token reviews and trust, if another
    #[arg(long, value_name = "FILE")]
    pub(crate) authentication_kubeconfig: Option<PathBuf>,
    /// Kubeconfig for access reviews, if another
    #[arg(long, value_name = "FILE")]
    pub(crate) authorization_kubeconfig: Option<PathBuf>,
    /// Do not read ConfigMap extension-apiserver-authentication
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) authentication_skip_lookup: bool,
    /// Start although that ConfigMap cannot be read
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) authentication_tolerate_lookup_failure: bool,
    /// CA of users' client certificates
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca_file: Option<PathBuf>,
    /// CA of the front proxy's client certificate
    #[arg(long, value_name = "FILE")]
    pub(crate) requestheader_client_ca_file: Option<PathBuf>,
    /// Common names the front proxy may have; any if none is given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) requestheader_allowed_names: Vec<String>,
    /// Headers that name the user
    #[arg(long, value_name = "HEADERS", value_delimiter = ',', default_value = "x-remote-user")]
    pub(crate) requestheader_username_headers: Vec<String>,
    /// Headers that name the user's groups
    #[arg(long, value_name = "HEADERS", value_delimiter = ',', default_value = "x-remote-group")]
    pub(crate) requestheader_group_headers: Vec<String>,
    /// Beginnings of headers with what else is known of the user
    #[arg(long, value_name = "PREFIXES", value_delimiter = ',', default_value = "x-remote-extra-")]
    pub(crate) requestheader_extra_headers_prefix: Vec<String>,
    /// Headers that carry the user's UID
    #[arg(long, value_name = "HEADERS", value_delimiter = ',')]
    pub(crate) requestheader_uid_headers: Vec<String>,
    /// Paths that need no authorization
    #[arg(
        long,
        value_name = "PATHS",
        value_delimiter = ',',
        default_value = "/healthz,/readyz,/livez"
    )]
    pub(crate) authorization_always_allow_paths: Vec<String>,
}

/// What is kept, and for how long.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    /// Folder for the store
    #[arg(long, value_name = "DIR", default_value = "/var/lib/keepwatch")]
    pub(crate) data_dir: PathBuf,
    #[command(flatten)]
    pub(crate) retention: RetentionArgs,
}

/// How much of the past a store keeps.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct RetentionArgs {
    /// Time that recorded events are kept after every sink has them
    #[arg(long, value_name = "DURATION", default_value = "168h", value_parser = duration)]
    pub(crate) journal_retention_age: Duration,
    /// Size from which they go earlier
    #[arg(long, value_name = "SIZE", default_value = "4Gi", value_parser = bytes)]
    pub(crate) journal_retention_size: u64,
    /// Size at which audited requests are refused
    #[arg(long, value_name = "SIZE", default_value = "16Gi", value_parser = bytes)]
    pub(crate) journal_limit: u64,
    /// Time that old revisions are kept for watches and paging
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub(crate) history: Duration,
}

impl RetentionArgs {
    /// What is wrong about the sizes, if anything.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let (retention, limit) = (self.journal_retention_size, self.journal_limit);
        (retention > limit).then(|| {
            format!("--journal-retention-size={retention} is more than --journal-limit={limit}")
        })
    }

    /// Settings of a store that keeps so much.
    pub(crate) fn settings(&self) -> store::Settings {
        store::Settings {
            history_time: self.history,
            journal_time: self.journal_retention_age,
            journal_bytes: self.journal_retention_size,
            limit_bytes: self.journal_limit,
            ..store::Settings::default()
        }
    }
}
