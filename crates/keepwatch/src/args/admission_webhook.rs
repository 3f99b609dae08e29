//! Flags of the listener for admission reviews.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use apiserver::tls::ServingCertificate;
use clap::Args;
use source::listener::ListenerConfig;

use super::listener::{ListenerFlags, client_name, cluster_name};
use crate::modes::ProvidedFile;

/// Where admission reviews are received, and from whom.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Admission webhook")]
#[expect(clippy::struct_field_names, reason = "the names of the flags, which other flags resemble")]
pub(crate) struct AdmissionWebhookArgs {
    /// Port on which kube-apiservers may send admission reviews [default: none]
    ///
    /// Every review is allowed, once it is recorded.
    #[arg(long, value_name = "PORT")]
    pub(crate) admission_webhook_port: Option<u16>,
    /// Names of the clusters that may send reviews, each to /admission/NAME
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = cluster_name)]
    pub(crate) admission_webhook_clusters: Vec<String>,
    /// Folder with the tokens of each cluster: the file NAME has those of the cluster NAME, one a
    /// line
    ///
    /// A token is accepted as a bearer token, or in the path: /admission/NAME/TOKEN.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) admission_webhook_token_dir: Option<PathBuf>,
    /// File with tokens, one a line, each of which is valid for all clusters
    #[arg(long, value_name = "FILE")]
    pub(crate) admission_webhook_token_file: Option<PathBuf>,
    /// CA certificates for client certificates of senders
    ///
    /// Each client of the CA may send the reviews of all clusters, unless
    /// --admission-webhook-client-names is given.
    #[arg(long, value_name = "FILE")]
    pub(crate) admission_webhook_client_ca_file: Option<PathBuf>,
    /// Which client certificate may send the reviews of a cluster, by its common name; a cluster may
    /// have several
    #[arg(long, value_name = "CLUSTER=NAME", value_delimiter = ',', value_parser = client_name)]
    pub(crate) admission_webhook_client_names: Vec<(String, String)>,
    /// Serving certificate of this port, PEM [default: that of the server]
    #[arg(long, value_name = "FILE")]
    pub(crate) admission_webhook_tls_cert_file: Option<PathBuf>,
    /// Private key of that certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) admission_webhook_tls_private_key_file: Option<PathBuf>,
}

impl AdmissionWebhookArgs {
    /// Adds what is wrong about the flags together.
    pub(crate) fn check(&self, errors: &mut Vec<String>) {
        self.listener().check(errors);
    }

    /// The configuration of the listener, if there is one. `serving` is the server's certificate.
    pub(crate) fn config(
        &self,
        address: IpAddr,
        serving: &Arc<ServingCertificate>,
    ) -> Result<Option<ListenerConfig>> {
        self.listener().config(address, serving)
    }

    /// The files that the flags name, with those that hold keys or tokens.
    pub(crate) fn provided_files(&self) -> impl Iterator<Item = ProvidedFile<'_>> {
        ProvidedFile::of_flags([
            ("--admission-webhook-token-file", &self.admission_webhook_token_file, true),
            (
                "--admission-webhook-tls-private-key-file",
                &self.admission_webhook_tls_private_key_file,
                true,
            ),
            ("--admission-webhook-client-ca-file", &self.admission_webhook_client_ca_file, false),
            ("--admission-webhook-tls-cert-file", &self.admission_webhook_tls_cert_file, false),
        ])
    }

    fn listener(&self) -> ListenerFlags<'_> {
        ListenerFlags {
            prefix: "admission-webhook",
            port: self.admission_webhook_port,
            clusters: &self.admission_webhook_clusters,
            token_dir: &self.admission_webhook_token_dir,
            token_file: &self.admission_webhook_token_file,
            client_ca_file: &self.admission_webhook_client_ca_file,
            client_names: &self.admission_webhook_client_names,
            tls_cert_file: &self.admission_webhook_tls_cert_file,
            tls_private_key_file: &self.admission_webhook_tls_private_key_file,
        }
    }
}
