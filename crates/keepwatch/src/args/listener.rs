//! What the flags of the listeners for kube-apiserver's webhooks share: their checks, and the
//! configuration that they describe.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use apiserver::Clock as _;
use apiserver::tls::ServingCertificate;
use source::limits::{CLIENT_NAMES_MAX, CLUSTERS_MAX};
use source::listener::{Credentials, ListenerConfig, is_cluster_name};

use crate::clock::SystemClock;

/// The flags of a listener, whose names begin with `prefix`.
pub(crate) struct ListenerFlags<'a> {
    pub(crate) prefix: &'static str,
    pub(crate) port: Option<u16>,
    pub(crate) clusters: &'a [String],
    pub(crate) token_dir: &'a Option<PathBuf>,
    pub(crate) token_file: &'a Option<PathBuf>,
    pub(crate) client_ca_file: &'a Option<PathBuf>,
    pub(crate) client_names: &'a [(String, String)],
    pub(crate) tls_cert_file: &'a Option<PathBuf>,
    pub(crate) tls_private_key_file: &'a Option<PathBuf>,
}

impl ListenerFlags<'_> {
    /// Adds what is wrong about the flags together.
    pub(crate) fn check(&self, errors: &mut Vec<String>) {
        let prefix = self.prefix;
        let configured = [
            ("clusters", !self.clusters.is_empty()),
            ("token-dir", self.token_dir.is_some()),
            ("token-file", self.token_file.is_some()),
            ("client-ca-file", self.client_ca_file.is_some()),
            ("client-names", !self.client_names.is_empty()),
            ("tls-cert-file", self.tls_cert_file.is_some()),
            ("tls-private-key-file", self.tls_private_key_file.is_some()),
        ];
        if self.port.is_none() {
            let useless = configured.into_iter().filter(|(_, is_given)| *is_given);
            errors
                .extend(useless.map(|(flag, _)| {
                    format!("--{prefix}-{flag} is given without --{prefix}-port")
                }));
            return;
        }
        let [(_, has_clusters), .., (_, has_cert), (_, has_key)] = configured;
        if !has_clusters {
            errors.push(format!("--{prefix}-port is given without --{prefix}-clusters"));
        }
        if self.clusters.len() > CLUSTERS_MAX {
            errors.push(format!("--{prefix}-clusters has more than {CLUSTERS_MAX} names"));
        }
        self.check_credentials(errors);
        if has_cert != has_key {
            errors.push(format!(
                "--{prefix}-tls-cert-file and --{prefix}-tls-private-key-file are needed together"
            ));
        }
    }

    /// Adds what is wrong about the credentials of senders.
    fn check_credentials(&self, errors: &mut Vec<String>) {
        let prefix = self.prefix;
        let has_tokens = self.token_dir.is_some() || self.token_file.is_some();
        let (has_ca, names) = (self.client_ca_file.is_some(), self.client_names);
        if !has_tokens && !has_ca {
            errors.push(format!(
                "--{prefix}-port is given without --{prefix}-token-dir, --{prefix}-token-file and \
                 --{prefix}-client-ca-file: no sender could be authenticated"
            ));
        }
        if !has_ca && !names.is_empty() {
            errors.push(format!(
                "--{prefix}-client-names is given without --{prefix}-client-ca-file"
            ));
        }
        if names.len() > CLIENT_NAMES_MAX {
            errors
                .push(format!("--{prefix}-client-names has more than {CLIENT_NAMES_MAX} entries"));
        }
        for (cluster, _) in names.iter().filter(|(cluster, _)| !self.clusters.contains(cluster)) {
            errors
                .push(format!("--{prefix}-client-names: {cluster} is not in --{prefix}-clusters"));
        }
        let is_named = |cluster: &String| names.iter().any(|(named, _)| named == cluster);
        if !has_tokens && !names.is_empty() {
            for cluster in self.clusters.iter().filter(|cluster| !is_named(cluster)) {
                errors.push(format!(
                    "--{prefix}-client-names has no name for {cluster}: no sender of it could be \
                     authenticated"
                ));
            }
        }
    }

    /// The configuration of the listener, if there is one. `serving` is the server's certificate.
    pub(crate) fn config(
        &self,
        address: IpAddr,
        serving: &Arc<ServingCertificate>,
    ) -> Result<Option<ListenerConfig>> {
        let Some(port) = self.port else { return Ok(None) };
        let own = self.tls_cert_file.as_ref().zip(self.tls_private_key_file.as_ref());
        let serving = match own {
            Some((certificate, key)) => {
                ServingCertificate::open(certificate, key, SystemClock.now())?
            }
            None => Arc::clone(serving),
        };
        let mut clusters = self.clusters.to_vec();
        clusters.sort();
        clusters.dedup();
        Ok(Some(ListenerConfig {
            address: SocketAddr::new(address, port),
            serving,
            credentials: Credentials {
                token_file: self.token_file.clone(),
                token_folder: self.token_dir.clone(),
                client_ca_file: self.client_ca_file.clone(),
                client_names: self.client_names.to_vec(),
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
pub(super) fn client_name(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((cluster, name)) if !name.is_empty() => Ok((cluster_name(cluster)?, name.to_owned())),
        _ => Err(format!("{text:?} is not CLUSTER=NAME, such as prod=kube-apiserver-prod")),
    }
}
