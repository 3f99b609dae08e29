//! Flags of the commands about sources of events.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::EXIT_CODES;
use super::listener::cluster_name;
use super::values::{ServiceName, service_name};

/// Commands about sources of events.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Print the file for kube-apiserver's flag --audit-webhook-config-file
    ///
    /// The file contains the token or the key, so keep it as safe as those.
    #[command(after_help = EXIT_CODES)]
    WebhookConfig(WebhookConfigArgs),
    /// Print the ValidatingWebhookConfiguration of the admission webhook, for `kubectl apply`
    ///
    /// It contains the token, if there is one.
    #[command(after_help = EXIT_CODES)]
    AdmissionConfig(AdmissionConfigArgs),
}

/// What kube-apiserver must know about the admission webhook.
#[derive(Clone, Debug, Args)]
pub(crate) struct AdmissionConfigArgs {
    /// Name of the cluster, one of `--admission-webhook-clusters`
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    pub(crate) cluster: String,
    /// Service of the admission webhook, in the cluster that sends the reviews
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        value_parser = service_name,
        required_unless_present = "url",
        conflicts_with = "url"
    )]
    pub(crate) service: Option<ServiceName>,
    /// Port of that Service
    #[arg(long, value_name = "PORT", default_value_t = 9443)]
    pub(crate) service_port: u16,
    /// URL of the port of the admission webhook instead of a Service, without a path
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// CA certificate of the serving certificate, PEM [default: none; another program sets
    /// caBundle]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// File with the token, which becomes a part of the path; of several tokens the first is used
    /// [default: none; kube-apiserver has other credentials]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// API groups whose objects are recorded [default: those of backup tools]
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    pub(crate) groups: Vec<String>,
    /// What kube-apiserver does with a request if Keepwatch does not respond: Ignore carries it out,
    /// Fail rejects it
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    pub(crate) failure_policy: FailurePolicy,
    /// Time for which kube-apiserver waits for a response, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u8).range(2..=30))]
    pub(crate) timeout_seconds: u8,
    /// Name of the configuration
    #[arg(long, value_name = "NAME", default_value = "keepwatch")]
    pub(crate) name: String,
}

/// What happens to a request if the webhook does not respond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum FailurePolicy {
    /// It is carried out.
    #[default]
    Ignore,
    /// It is rejected.
    Fail,
}

/// What kube-apiserver must know about the audit webhook.
#[derive(Clone, Debug, Args)]
pub(crate) struct WebhookConfigArgs {
    /// URL of the port of the audit webhook, as kube-apiserver reaches it, without a path
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// Name of the cluster, one of `--audit-webhook-clusters`
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    pub(crate) cluster: String,
    /// CA certificate of the serving certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: PathBuf,
    /// Name in the serving certificate, if the URL has another one or an address
    #[arg(long, value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
    /// File with the bearer token; of several tokens the first is used
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "client_certificate",
        conflicts_with = "client_certificate"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// Client certificate instead of a token, PEM
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// Private key of the client certificate, PEM
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub(crate) client_key: Option<PathBuf>,
}
