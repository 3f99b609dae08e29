//! Flags of the listener for kube-apiserver's audit webhook.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use apiserver::Clock as _;
use apiserver::tls::ServingCertificate;
use clap::Args;
use source::audit_webhook::{AuditWebhookConfig, is_cluster_name};
use source::limits::CLUSTERS_MAX;

use crate::clock::SystemClock;

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
    /// File with the bearer tokens of senders, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_webhook_token_file: Option<PathBuf>,
    /// CA certificates for client certificates of senders: each client of the CA may send events
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_webhook_client_ca_file: Option<PathBuf>,
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
        let given = [
            ("--audit-webhook-clusters", !self.audit_webhook_clusters.is_empty()),
            ("--audit-webhook-token-file", self.audit_webhook_token_file.is_some()),
            ("--audit-webhook-client-ca-file", self.audit_webhook_client_ca_file.is_some()),
            ("--audit-webhook-tls-cert-file", self.audit_webhook_tls_cert_file.is_some()),
            (
                "--audit-webhook-tls-private-key-file",
                self.audit_webhook_tls_private_key_file.is_some(),
            ),
        ];
        let [(_, has_clusters), (_, has_token), (_, has_ca), (_, has_cert), (_, has_key)] = given;
        if self.audit_webhook_port.is_none() {
            let useless = given.into_iter().filter(|(_, is_given)| *is_given);
            wrong.extend(
                useless.map(|(flag, _)| format!("{flag} is given without --audit-webhook-port")),
            );
            return;
        }
        if !has_clusters {
            wrong.push("--audit-webhook-port is given without --audit-webhook-clusters".to_owned());
        }
        if self.audit_webhook_clusters.len() > CLUSTERS_MAX {
            wrong.push(format!("--audit-webhook-clusters has more than {CLUSTERS_MAX} names"));
        }
        if !has_token && !has_ca {
            wrong.push(
                "--audit-webhook-port is given without --audit-webhook-token-file and \
                 --audit-webhook-client-ca-file: no sender could be authenticated"
                    .to_owned(),
            );
        }
        if has_cert != has_key {
            wrong.push(
                "--audit-webhook-tls-cert-file and --audit-webhook-tls-private-key-file are needed \
                 together"
                    .to_owned(),
            );
        }
    }

    /// The configuration of the listener, if there is one. `serving` is the server's certificate.
    pub(crate) fn config(
        &self,
        address: IpAddr,
        serving: &Arc<ServingCertificate>,
    ) -> Result<Option<AuditWebhookConfig>> {
        let Some(port) = self.audit_webhook_port else { return Ok(None) };
        let own = self.audit_webhook_tls_cert_file.as_ref();
        let own = own.zip(self.audit_webhook_tls_private_key_file.as_ref());
        let serving = match own {
            Some((certificate, key)) => {
                ServingCertificate::open(certificate, key, SystemClock.now())?
            }
            None => Arc::clone(serving),
        };
        let mut clusters = self.audit_webhook_clusters.clone();
        clusters.sort();
        clusters.dedup();
        Ok(Some(AuditWebhookConfig {
            address: SocketAddr::new(address, port),
            serving,
            token_file: self.audit_webhook_token_file.clone(),
            client_ca_file: self.audit_webhook_client_ca_file.clone(),
            clusters,
            clock: Arc::new(SystemClock),
        }))
    }
}

/// The name of a cluster, which is a part of a path and of an object's name.
pub(crate) fn cluster_name(text: &str) -> Result<String, String> {
    if is_cluster_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is not a name of up to 63 lower-case letters, digits, hyphens and dots, such as \
         prod-eu"
    ))
}
