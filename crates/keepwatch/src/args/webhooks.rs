//! Flags of the listeners for kube-apiserver's webhooks: one definition for each of them.
//!
//! Deliberately absent: the checks of the flags together (`listener`).

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use apiserver::tls::ServingCertificate;
use clap::Args;
use source::listener::ListenerConfig;

use super::listener::{ListenerFlags, client_name, cluster_name};
use crate::modes::ProvidedFile;

/// Defines the flags of a listener: their prefix and heading, what is sent, and the texts of the
/// flags that differ.
macro_rules! webhook_args {
    (
        $(#[$meta:meta])*
        $name:ident,
        $prefix:literal,
        $heading:literal,
        sends: $what:literal,
        port: $port:literal, $port_more:literal,
        clusters: $clusters:literal, $clusters_more:literal,
        token_dir: $token_dir_more:literal,
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Args)]
        #[command(next_help_heading = $heading)]
        pub(crate) struct $name {
            #[arg(
                id = concat!($prefix, "-port"),
                long = concat!($prefix, "-port"),
                value_name = "PORT",
                help = concat!("Port on which kube-apiservers may send ", $port),
                long_help = concat!("Port on which kube-apiservers may send ", $port, "\n\n", $port_more)
            )]
            port: Option<u16>,
            #[arg(
                id = concat!($prefix, "-clusters"),
                long = concat!($prefix, "-clusters"),
                value_name = "NAMES",
                value_delimiter = ',',
                value_parser = cluster_name,
                help = concat!("Names of the clusters that may send ", $clusters),
                long_help = concat!(
                    "Names of the clusters that may send ", $clusters, "\n\n", $clusters_more
                )
            )]
            clusters: Vec<String>,
            #[arg(
                id = concat!($prefix, "-token-dir"),
                long = concat!($prefix, "-token-dir"),
                value_name = "FOLDER",
                help = "Folder with the tokens of each cluster: the file NAME has those of the \
                        cluster NAME, one a line",
                long_help = concat!(
                    "Folder with the tokens of each cluster: the file NAME has those of the cluster \
                     NAME, one a line\n\n",
                    $token_dir_more
                )
            )]
            token_dir: Option<PathBuf>,
            #[arg(
                id = concat!($prefix, "-token-file"),
                long = concat!($prefix, "-token-file"),
                value_name = "FILE",
                help = "File with tokens, one a line, each of which is valid for all clusters"
            )]
            token_file: Option<PathBuf>,
            #[arg(
                id = concat!($prefix, "-client-ca-file"),
                long = concat!($prefix, "-client-ca-file"),
                value_name = "FILE",
                help = "CA certificates for client certificates of senders",
                long_help = concat!(
                    "CA certificates for client certificates of senders\n\n\
                     Each client of the CA may send the ",
                    $what,
                    " of all clusters, unless --",
                    $prefix,
                    "-client-names is given."
                )
            )]
            client_ca_file: Option<PathBuf>,
            #[arg(
                id = concat!($prefix, "-client-names"),
                long = concat!($prefix, "-client-names"),
                value_name = "CLUSTER=NAME",
                value_delimiter = ',',
                value_parser = client_name,
                help = concat!(
                    "Which client certificate may send the ",
                    $what,
                    " of a cluster, by its common name; a cluster may have several"
                )
            )]
            client_names: Vec<(String, String)>,
            #[arg(
                id = concat!($prefix, "-tls-cert-file"),
                long = concat!($prefix, "-tls-cert-file"),
                value_name = "FILE",
                help = "Serving certificate of this port, PEM [default: that of the server]"
            )]
            tls_cert_file: Option<PathBuf>,
            #[arg(
                id = concat!($prefix, "-tls-private-key-file"),
                long = concat!($prefix, "-tls-private-key-file"),
                value_name = "FILE",
                help = "Private key of that certificate, PEM"
            )]
            tls_private_key_file: Option<PathBuf>,
        }

        impl $name {
            /// Adds what is wrong about the flags together.
            pub(crate) fn check(&self, errors: &mut Vec<String>) {
                self.listener().check(errors);
            }

            /// The configuration of the listener, if there is one. `serving` is the server's
            /// certificate.
            pub(crate) fn config(
                &self,
                address: IpAddr,
                serving: &Arc<ServingCertificate>,
            ) -> Result<Option<ListenerConfig>> {
                self.listener().config(address, serving)
            }

            /// The files and folders that the flags name.
            pub(crate) fn provided_files(&self) -> impl Iterator<Item = ProvidedFile<'_>> {
                ProvidedFile::of_flags([
                    (concat!("--", $prefix, "-token-dir"), &self.token_dir, true),
                    (concat!("--", $prefix, "-token-file"), &self.token_file, true),
                    (
                        concat!("--", $prefix, "-tls-private-key-file"),
                        &self.tls_private_key_file,
                        true,
                    ),
                    (concat!("--", $prefix, "-client-ca-file"), &self.client_ca_file, false),
                    (concat!("--", $prefix, "-tls-cert-file"), &self.tls_cert_file, false),
                ])
            }

            fn listener(&self) -> ListenerFlags<'_> {
                ListenerFlags {
                    prefix: $prefix,
                    port: self.port,
                    clusters: &self.clusters,
                    token_dir: &self.token_dir,
                    token_file: &self.token_file,
                    client_ca_file: &self.client_ca_file,
                    client_names: &self.client_names,
                    tls_cert_file: &self.tls_cert_file,
                    tls_private_key_file: &self.tls_private_key_file,
                }
            }
        }
    };
}

webhook_args! {
    /// Where events of other servers are received, and from whom.
    AuditWebhookArgs,
    "audit-webhook",
    "Audit webhook",
    sends: "events",
    port: "their audit events [default: none]",
        "A request is answered once its events are recorded.",
    clusters: "events, each to /audit/NAME",
        "A request that kube-apiserver and `serve` both record counts once in rules if its cluster has \
         the name in --cluster-name.",
    token_dir: "They are bearer tokens, and valid for that cluster only.",
}

webhook_args! {
    /// Where admission reviews are received, and from whom.
    AdmissionWebhookArgs,
    "admission-webhook",
    "Admission webhook",
    sends: "reviews",
    port: "admission reviews [default: none]",
        "Every review is allowed, once it is recorded.",
    clusters: "reviews, each to /admission/NAME",
        "A request that another source records too counts once in rules if its cluster has the same \
         name there.",
    token_dir: "They are valid for that cluster only. A token is accepted as a bearer token, or in the path: \
                /admission/NAME/TOKEN.",
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    /// Parses flags, and returns those that name files, with whether these are secret.
    fn files<A: Args>(prefix: &str, list: fn(&A) -> Vec<(&'static str, bool)>) -> Vec<String> {
        let command = A::augment_args(Command::new("keepwatch"));
        let names: Vec<String> = command
            .get_arguments()
            .filter(|arg| {
                let names = arg.get_value_names().unwrap_or_default();
                names.iter().any(|name| *name == "FILE" || *name == "FOLDER")
            })
            .filter_map(|arg| arg.get_long().map(str::to_owned))
            .collect();
        let values = names.iter().map(|name| format!("--{name}=x"));
        let arguments = std::iter::once("keepwatch".to_owned()).chain(values);
        let args = A::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
        let mut expected: Vec<String> = names.iter().map(|name| format!("--{name}")).collect();
        let mut listed: Vec<String> =
            list(&args).into_iter().map(|(flag, _)| flag.to_owned()).collect();
        expected.sort();
        listed.sort();
        assert_eq!(listed, expected, "{prefix}");
        let secrets = list(&args).into_iter().filter(|(_, is_secret)| *is_secret);
        secrets.map(|(flag, _)| flag.replace(prefix, "")).collect()
    }

    /// Regression: --admission-webhook-token-dir was missing.
    #[test]
    fn the_mode_of_each_file_that_a_flag_names_is_checked() {
        let audit = files::<AuditWebhookArgs>("audit-webhook", |args| {
            args.provided_files().map(|file| (file.flag, file.is_secret)).collect()
        });
        let admission = files::<AdmissionWebhookArgs>("admission-webhook", |args| {
            args.provided_files().map(|file| (file.flag, file.is_secret)).collect()
        });
        assert_eq!(audit, ["---token-dir", "---token-file", "---tls-private-key-file"]);
        assert_eq!(audit, admission);
    }
}
