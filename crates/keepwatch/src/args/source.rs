//! Flags of the commands about sources of events.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::EXIT_CODES;
use super::audit_webhook::cluster_name;

/// Commands about sources of events.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Print the file for kube-apiserver's flag --audit-webhook-config-file
    ///
    /// The file contains the token or the key, so keep it as safe as those.
    #[command(after_help = EXIT_CODES)]
    WebhookConfig(WebhookConfigArgs),
}

/// What kube-apiserver has to know about the audit webhook.
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
