//! Flags of `keepwatch serve`: K10's by their names, kube-apiserver's where K10 has none.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use event::k10::LineContext;

use super::EncodingName;
use super::buckets::BucketArgs;
use super::destinations::DestinationArgs;
use super::log_files::LogFilesArgs;
use super::values::{ServiceName, bytes, duration, line_size, service_name};
use super::webhooks::{AdmissionWebhookArgs, AuditWebhookArgs};
use crate::line_labels;
use crate::log::LogFormat;
use crate::reader_positions::ResumeFrom;

/// Everything that cannot change without a restart.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    #[command(flatten)]
    pub(crate) audit: AuditArgs,
    /// Evaluate the detection rules and raise signals
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) siem_detection: bool,
    #[command(flatten)]
    pub(crate) audit_webhook: AuditWebhookArgs,
    #[command(flatten)]
    pub(crate) admission_webhook: AdmissionWebhookArgs,
    #[command(flatten)]
    pub(crate) log_files: LogFilesArgs,
    #[command(flatten)]
    pub(crate) buckets: BucketArgs,
    #[command(flatten)]
    pub(crate) destinations: DestinationArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Format of the server's own log
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Domain of the aggregated API groups; config.kio.kasten.io keeps its name
    #[arg(long, value_name = "DOMAIN", default_value = kasten::names::DOMAIN)]
    pub(crate) k10_api_domain: String,
    /// K10's namespace, whose service accounts are K10's own [default: the namespace of the pod,
    /// otherwise kasten-io]
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
    /// Address to listen on; 0.0.0.0 and :: are all IPv4 and IPv6 addresses
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) bind_address: IpAddr,
    /// Folder for a self-signed certificate, which is used if no certificate is given
    #[arg(long, value_name = "DIR", default_value = "apiserver.local.config/certificates")]
    pub(crate) cert_dir: PathBuf,
    /// Serving certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// Private key of the serving certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_private_key_file: Option<PathBuf>,
    /// Issue, store and rotate a serving certificate for this Service
    ///
    /// The certificate is stored in the Secret <SERVICE>-tls of that namespace, and its CA is
    /// written into the caBundle of the APIServices that name the Service.
    #[arg(long, value_name = "NAMESPACE/SERVICE", value_parser = service_name,
          conflicts_with_all = ["tls_cert_file", "tls_private_key_file"])]
    pub(crate) tls_service: Option<ServiceName>,
    /// ValidatingWebhookConfiguration whose webhooks for that Service get the CA of the certificate
    /// too
    #[arg(long, value_name = "NAME", requires = "tls_service")]
    pub(crate) admission_webhook_configuration: Option<String>,
    /// Time at shutdown between reporting not ready and closing the port
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) shutdown_delay_duration: Duration,
    /// Read-only requests in flight
    #[arg(long, value_name = "N", default_value_t = 400)]
    pub(crate) max_requests_inflight: usize,
    /// Mutating requests in flight
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) max_mutating_requests_inflight: usize,
    /// Duration of a request that is not a watch
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) request_timeout: Duration,
}

/// What is recorded, and where it goes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Audit")]
pub(crate) struct AuditArgs {
    /// Audit policy file [default: the policy that K10 6.5 documents]
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_policy_file: Option<PathBuf>,
    /// Built-in policy instead of a file: k10 (of K10 6.5), k10-7 (of K10 7.0) or extended
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
    /// Number of rotated files to keep; 0 keeps all
    #[arg(long, value_name = "N", default_value_t = 100, allow_negative_numbers = true)]
    pub(crate) audit_log_maxbackup: i64,
    /// Days to keep rotated files; 0 keeps them indefinitely
    #[arg(long, value_name = "DAYS", default_value_t = 366, allow_negative_numbers = true)]
    pub(crate) audit_log_maxage: i64,
    /// Maximum length of a line on standard output and in the file. Longer lines lose bodies first,
    /// then long fields are truncated, each with its length and digest. Keep it below the log
    /// agent's limit
    #[arg(long, value_name = "SIZE", default_value = "32000", value_parser = line_size)]
    pub(crate) audit_line_size: u64,
    /// Where audit lines, uploads and detection resume after they were turned off
    ///
    /// A sink that replaces another continues at its cursor, and a restart changes nothing.
    #[arg(long, value_enum, value_name = "PLACE", default_value_t)]
    pub(crate) audit_log_resume_from: ResumeFrom,
    /// Encoding of audit lines
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) audit_log_format: EncodingName,
    /// Make the lines of signals match a log agent's filter for `K10Event`, as those of events do
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) siem_signals_match_k10_filter: bool,
    /// Deliver events to the destinations of `AuditConfigs`
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) enable_k10_audit_cloud_aws_s3: bool,
    /// Prefix of object keys in the bucket
    #[arg(long, value_name = "PATH", default_value = "k10audit/")]
    pub(crate) audit_cloud_path: String,
    /// Name of the cluster, for the tags in audit lines
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) cluster_name: String,
}

impl AuditArgs {
    /// What audit lines carry beside the event.
    pub(crate) fn labels(&self) -> LineContext {
        LineContext {
            signals_match_filter: self.siem_signals_match_k10_filter,
            ..line_labels::labels(&self.cluster_name)
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
    /// Kubeconfig of kube-apiserver [default: the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Kubeconfig for `TokenReviews` and the authentication ConfigMap [default: --kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub(crate) authentication_kubeconfig: Option<PathBuf>,
    /// Kubeconfig for `SubjectAccessReviews` [default: --kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub(crate) authorization_kubeconfig: Option<PathBuf>,
    /// Do not read the ConfigMap extension-apiserver-authentication
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) authentication_skip_lookup: bool,
    /// Start even if that ConfigMap cannot be read
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) authentication_tolerate_lookup_failure: bool,
    /// CA certificates for client certificates of users
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca_file: Option<PathBuf>,
    /// CA certificates for the front proxy's client certificate
    #[arg(long, value_name = "FILE")]
    pub(crate) requestheader_client_ca_file: Option<PathBuf>,
    /// Allowed common names of the front proxy [default: any]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) requestheader_allowed_names: Vec<String>,
    /// Headers with the user's name
    #[arg(long, value_name = "HEADERS", value_delimiter = ',', default_value = "x-remote-user")]
    pub(crate) requestheader_username_headers: Vec<String>,
    /// Headers with the user's groups
    #[arg(long, value_name = "HEADERS", value_delimiter = ',', default_value = "x-remote-group")]
    pub(crate) requestheader_group_headers: Vec<String>,
    /// Prefixes of headers with the user's extra fields
    #[arg(long, value_name = "PREFIXES", value_delimiter = ',', default_value = "x-remote-extra-")]
    pub(crate) requestheader_extra_headers_prefix: Vec<String>,
    /// Headers with the user's UID
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
    /// Time that events are kept after they were recorded; longer if a reader has not read them yet
    #[arg(long, value_name = "DURATION", default_value = "168h", value_parser = duration)]
    pub(crate) journal_retention_age: Duration,
    /// Size above which delivered events are removed earlier
    #[arg(long, value_name = "SIZE", default_value = "4Gi", value_parser = bytes)]
    pub(crate) journal_retention_size: u64,
    /// Size at which audited requests are rejected
    #[arg(long, value_name = "SIZE", default_value = "16Gi", value_parser = bytes)]
    pub(crate) journal_limit: u64,
    /// Time that superseded revisions are kept for watches and paged lists
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
            history_age: self.history,
            journal_retention_age: self.journal_retention_age,
            journal_retention_bytes: self.journal_retention_size,
            limit_bytes: self.journal_limit,
            ..store::Settings::default()
        }
    }
}
