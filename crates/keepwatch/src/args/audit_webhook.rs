//! Flags of the listener for kube-apiserver's audit webhook.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use apiserver::tls::ServingCertificate;
use clap::Args;
use source::listener::ListenerConfig;

use super::listener::{ListenerFlags, client_name, cluster_name};
use crate::modes::ProvidedFile;

/// Where events of other servers are received, and from whom.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Audit webhook")]
#[expect(clippy::struct_field_names, reason = "the names of the flags, which other flags resemble")]
pub(crate) struct AuditWebhookArgs {
    /// Port on which kube-apiservers may send their audit events [default: none]
    #[arg(long, value_name = "PORT")]
    pub(crate) audit_webhook_port: Option<u16>,
    /// Names of the clusters that may send events, each to /audit/NAME
    ///
    /// A request that kube-apiserver and `serve` both record counts once in rules if its cluster has
    /// the name in --cluster-name.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = cluster_name)]
    pub(crate) audit_webhook_clusters: Vec<String>,
    /// Folder with the bearer tokens of each cluster: the file NAME has those of the cluster NAME,
    /// one a line
    ///
    /// They are valid for that cluster only.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) audit_webhook_token_dir: Option<PathBuf>,
    /// File with bearer tokens, one a line, each of which is valid for all clusters
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_webhook_token_file: Option<PathBuf>,
    /// CA certificates for client certificates of senders
    ///
    /// Each client of the CA may send the events of all clusters, unless
    /// --audit-webhook-client-names is given.
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_webhook_client_ca_file: Option<PathBuf>,
    /// Which client certificate may send the events of a cluster, by its common name; a cluster may
    /// have several
    #[arg(long, value_name = "CLUSTER=NAME", value_delimiter = ',', value_parser = client_name)]
    pub(crate) audit_webhook_client_names: Vec<(String, String)>,
    /// Serving certificate of this port, PEM [default: that of the server]
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_webhook_tls_cert_file: Option<PathBuf>,
    /// Private key of that certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_webhook_tls_private_key_file: Option<PathBuf>,
}

impl AuditWebhookArgs {
    /// Adds what is wrong about the flags together.
    pub(crate) fn check(&self, wrong: &mut Vec<String>) {
        self.listener().check(wrong);
    }

    /// The files and folders that the flags name.
    pub(crate) fn provided_files(&self) -> impl Iterator<Item = ProvidedFile<'_>> {
        ProvidedFile::of_flags([
            ("--audit-webhook-token-dir", &self.audit_webhook_token_dir, true),
            ("--audit-webhook-token-file", &self.audit_webhook_token_file, true),
            (
                "--audit-webhook-tls-private-key-file",
                &self.audit_webhook_tls_private_key_file,
                true,
            ),
            ("--audit-webhook-client-ca-file", &self.audit_webhook_client_ca_file, false),
            ("--audit-webhook-tls-cert-file", &self.audit_webhook_tls_cert_file, false),
        ])
    }

    /// The configuration of the listener, if there is one. `serving` is the server's certificate.
    pub(crate) fn config(
        &self,
        address: IpAddr,
        serving: &Arc<ServingCertificate>,
    ) -> Result<Option<ListenerConfig>> {
        self.listener().config(address, serving)
    }

    fn listener(&self) -> ListenerFlags<'_> {
        ListenerFlags {
            prefix: "audit-webhook",
            port: self.audit_webhook_port,
            clusters: &self.audit_webhook_clusters,
            token_dir: &self.audit_webhook_token_dir,
            token_file: &self.audit_webhook_token_file,
            client_ca_file: &self.audit_webhook_client_ca_file,
            client_names: &self.audit_webhook_client_names,
            tls_cert_file: &self.audit_webhook_tls_cert_file,
            tls_private_key_file: &self.audit_webhook_tls_private_key_file,
        }
    }
}
