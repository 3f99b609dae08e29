//! Flags of the listener for kube-apiserver's audit webhook.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use apiserver::Clock as _;
use apiserver::tls::ServingCertificate;
use clap::Args;
use source::audit_webhook::{AuditWebhookConfig, Credentials, is_cluster_name};
use source::limits::{CLIENT_NAMES_MAX, CLUSTERS_MAX};

use crate::clock::SystemClock;
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
        let given = [
            ("--audit-webhook-clusters", !self.audit_webhook_clusters.is_empty()),
            ("--audit-webhook-token-dir", self.audit_webhook_token_dir.is_some()),
            ("--audit-webhook-token-file", self.audit_webhook_token_file.is_some()),
            ("--audit-webhook-client-ca-file", self.audit_webhook_client_ca_file.is_some()),
            ("--audit-webhook-client-names", !self.audit_webhook_client_names.is_empty()),
            ("--audit-webhook-tls-cert-file", self.audit_webhook_tls_cert_file.is_some()),
            (
                "--audit-webhook-tls-private-key-file",
                self.audit_webhook_tls_private_key_file.is_some(),
            ),
        ];
        if self.audit_webhook_port.is_none() {
            let useless = given.into_iter().filter(|(_, is_given)| *is_given);
            wrong.extend(
                useless.map(|(flag, _)| format!("{flag} is given without --audit-webhook-port")),
            );
            return;
        }
        let [(_, has_clusters), .., (_, has_cert), (_, has_key)] = given;
        if !has_clusters {
            wrong.push("--audit-webhook-port is given without --audit-webhook-clusters".to_owned());
        }
        if self.audit_webhook_clusters.len() > CLUSTERS_MAX {
            wrong.push(format!("--audit-webhook-clusters has more than {CLUSTERS_MAX} names"));
        }
        self.check_credentials(wrong);
        if has_cert != has_key {
            wrong.push(
                "--audit-webhook-tls-cert-file and --audit-webhook-tls-private-key-file are needed \
                 together"
                    .to_owned(),
            );
        }
    }

    /// Adds what is wrong about the credentials of senders.
    fn check_credentials(&self, wrong: &mut Vec<String>) {
        let has_tokens =
            self.audit_webhook_token_dir.is_some() || self.audit_webhook_token_file.is_some();
        let (has_ca, names) =
            (self.audit_webhook_client_ca_file.is_some(), &self.audit_webhook_client_names);
        if !has_tokens && !has_ca {
            wrong.push(
                "--audit-webhook-port is given without --audit-webhook-token-dir, \
                 --audit-webhook-token-file and --audit-webhook-client-ca-file: no sender could be \
                 authenticated"
                    .to_owned(),
            );
        }
        if !has_ca && !names.is_empty() {
            wrong.push(
                "--audit-webhook-client-names is given without --audit-webhook-client-ca-file"
                    .to_owned(),
            );
        }
        if names.len() > CLIENT_NAMES_MAX {
            wrong.push(format!(
                "--audit-webhook-client-names has more than {CLIENT_NAMES_MAX} entries"
            ));
        }
        let clusters = &self.audit_webhook_clusters;
        for (cluster, _) in names.iter().filter(|(cluster, _)| !clusters.contains(cluster)) {
            wrong.push(format!(
                "--audit-webhook-client-names: {cluster} is not in --audit-webhook-clusters"
            ));
        }
        let is_named = |cluster: &String| names.iter().any(|(named, _)| named == cluster);
        if !has_tokens && !names.is_empty() {
            for cluster in clusters.iter().filter(|cluster| !is_named(cluster)) {
                wrong.push(format!(
                    "--audit-webhook-client-names has no name for {cluster}: no sender of it could \
                     be authenticated"
                ));
            }
        }
    }

    /// The files and folders that the flags name.
    pub(crate) fn provided_files(&self) -> impl Iterator<Item = ProvidedFile<'_>> {
        [
            ("--audit-webhook-token-dir", &self.audit_webhook_token_dir, true),
            ("--audit-webhook-token-file", &self.audit_webhook_token_file, true),
            (
                "--audit-webhook-tls-private-key-file",
                &self.audit_webhook_tls_private_key_file,
                true,
            ),
            ("--audit-webhook-client-ca-file", &self.audit_webhook_client_ca_file, false),
            ("--audit-webhook-tls-cert-file", &self.audit_webhook_tls_cert_file, false),
        ]
        .into_iter()
        .filter_map(|(flag, path, is_secret)| {
            path.as_deref().map(|path| ProvidedFile { flag, path, is_secret })
        })
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
            credentials: Credentials {
                token_file: self.audit_webhook_token_file.clone(),
                token_folder: self.audit_webhook_token_dir.clone(),
                client_ca_file: self.audit_webhook_client_ca_file.clone(),
                client_names: self.audit_webhook_client_names.clone(),
            },
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

/// A cluster and the common name of a client certificate.
fn client_name(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((cluster, name)) if !name.is_empty() => Ok((cluster_name(cluster)?, name.to_owned())),
        _ => Err(format!("{text:?} is not CLUSTER=NAME, such as prod=kube-apiserver-prod")),
    }
}
