//! Flags of `keepwatch proxy`: the API server behind it, and how it is installed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use http::Uri;
use kasten::Installation;
use proxy::{UpstreamConfig, WithheldBodies};

use super::EXIT_CODES;
use super::serve::ServeArgs;
use super::values::{ServiceName, service_name};
use crate::app::ForwardingParts;
use crate::modes::ProvidedFile;

/// The token of the pod's service account.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Flags of `keepwatch proxy`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ProxyArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RegistrationCommand>,
    #[command(flatten)]
    pub(crate) upstream: UpstreamArgs,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

/// The API server behind the proxy.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Upstream")]
pub(crate) struct UpstreamArgs {
    /// URL of the extension API server to forward to, such as `https://aggregatedapis-svc.kasten-io.svc`
    #[arg(long, value_name = "URL", required = true)]
    pub(crate) upstream: Option<Uri>,
    /// CA certificates of its serving certificate, PEM
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "upstream_insecure_skip_tls_verify",
        conflicts_with = "upstream_insecure_skip_tls_verify"
    )]
    pub(crate) upstream_ca_file: Option<PathBuf>,
    /// Accept any certificate of the upstream: a process that can take its address then gets all
    /// requests, and the proxy's credentials
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) upstream_insecure_skip_tls_verify: bool,
    /// Name in its certificate, if the URL has another one or an address
    #[arg(long, value_name = "NAME")]
    pub(crate) upstream_server_name: Option<String>,
    /// File with the bearer token of the account that may impersonate users; it is reread
    /// [default: the token of the pod's service account]
    #[arg(long, value_name = "FILE", conflicts_with = "upstream_client_certificate")]
    pub(crate) upstream_token_file: Option<PathBuf>,
    /// Client certificate of this account instead of a token, PEM
    #[arg(long, value_name = "FILE", requires = "upstream_client_key")]
    pub(crate) upstream_client_certificate: Option<PathBuf>,
    /// Private key of the client certificate, PEM
    #[arg(long, value_name = "FILE", requires = "upstream_client_certificate")]
    pub(crate) upstream_client_key: Option<PathBuf>,
    /// Port of Keepwatch's own API: signals, recorded events, metrics, health. All requests to the
    /// secure port are forwarded
    #[arg(long, value_name = "PORT", default_value_t = 10252)]
    pub(crate) api_port: u16,
}

impl UpstreamArgs {
    /// The files that the flags name, with those that hold keys or tokens.
    pub(crate) fn provided_files(&self) -> impl Iterator<Item = ProvidedFile<'_>> {
        ProvidedFile::of_flags([
            ("--upstream-token-file", &self.upstream_token_file, true),
            ("--upstream-client-key", &self.upstream_client_key, true),
            ("--upstream-client-certificate", &self.upstream_client_certificate, false),
            ("--upstream-ca-file", &self.upstream_ca_file, false),
        ])
    }

    /// The listener that forwards.
    pub(crate) fn parts(
        &self,
        address: SocketAddr,
        installation: &Installation,
    ) -> ForwardingParts {
        let identity_files =
            self.upstream_client_certificate.clone().zip(self.upstream_client_key.clone());
        let pod_token = || PathBuf::from(POD_TOKEN);
        let token_file = identity_files
            .is_none()
            .then(|| self.upstream_token_file.clone().unwrap_or_else(pod_token));
        let resources = kasten::resources(installation);
        let withheld = resources
            .iter()
            .filter(|resource| resource.omit_bodies)
            .map(|resource| WithheldBodies {
                group: resource.group.to_owned(),
                resource: resource.plural.to_owned(),
                recorded: resource.strategy.recorded_fields(),
            })
            .collect();
        let upstream = UpstreamConfig {
            url: self.upstream.clone().unwrap_or_default(),
            server_name: self.upstream_server_name.clone(),
            ca_file: self.upstream_ca_file.clone(),
            token_file,
            identity_files,
            withheld,
        };
        ForwardingParts { address, upstream, resources }
    }
}

/// Commands about the APIServices that name the proxy.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RegistrationCommand {
    /// Print what changes so that the proxy gets the requests of API groups, or change it
    ///
    /// The APIServices name the proxy, and keep their old spec in an annotation. A ClusterRole allows
    /// the proxy's account to impersonate users. A `NetworkPolicy` lets only the proxy's namespace
    /// connect to the API server behind it.
    #[command(after_help = EXIT_CODES)]
    Install(InstallArgs),
    /// Print what changes so that the APIServices are as before, or change it
    #[command(after_help = EXIT_CODES)]
    Uninstall(RegistrationArgs),
}

/// Flags that both commands have.
#[derive(Clone, Debug, Args)]
pub(crate) struct RegistrationArgs {
    /// Names of the APIServices, such as v1alpha1.apps.kio.kasten.io
    #[arg(long = "apiservice", value_name = "NAMES", value_delimiter = ',', required = true)]
    pub(crate) api_services: Vec<String>,
    /// Change the cluster instead of printing the objects
    #[arg(long)]
    pub(crate) apply: bool,
    /// Kubeconfig of kube-apiserver [default: the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// Flags of `install`.
#[derive(Clone, Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    pub(crate) registration: RegistrationArgs,
    /// Service of the proxy
    #[arg(long, value_name = "NAMESPACE/SERVICE", value_parser = service_name)]
    pub(crate) service: ServiceName,
    /// Port of this Service
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    pub(crate) service_port: u16,
    /// `ServiceAccount` of the proxy, in the namespace of the Service
    #[arg(long, value_name = "NAME", default_value = "keepwatch-proxy")]
    pub(crate) service_account: String,
    /// CA certificate of the proxy's serving certificate, PEM [default: caBundle is left to
    /// `--tls-service` of the proxy]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Do not restrict who may connect to the API server behind the proxy: a client that can connect can
    /// bypass the proxy
    #[arg(long)]
    pub(crate) no_network_policy: bool,
}
