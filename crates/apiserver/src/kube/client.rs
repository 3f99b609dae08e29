//! Client of kube-apiserver, from a kubeconfig file or from the pod's service account.
//!
//! [`connect`] sends one request, so that a wrong kubeconfig is an error at startup. Otherwise the
//! server would start and then reject every request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The file in a pod with the CA certificates of kube-apiserver.
const POD_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// Timeout for a connection to kube-apiserver.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Error of [`connect`].
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file is missing, or it is not a kubeconfig.
    #[error("cannot use kubeconfig {}", path.display())]
    Kubeconfig {
        /// Path of the kubeconfig.
        path: PathBuf,
        /// Error of the kubeconfig parser.
        source: Box<kube::config::KubeconfigError>,
    },
    /// No file was given and the process does not run in a pod.
    #[error("no kubeconfig is given, and the process does not run in a pod")]
    NotInCluster(#[source] Box<kube::config::InClusterError>),
    /// The client cannot be built from the configuration, for example because of its TLS settings.
    #[error("cannot create a client for {server}")]
    Client {
        /// URL of kube-apiserver.
        server: String,
        /// Error of the client library.
        source: Box<kube::Error>,
    },
    /// The first request to kube-apiserver failed.
    #[error("kube-apiserver at {server} does not respond (its certificate is verified with {ca})")]
    Unreachable {
        /// URL of kube-apiserver.
        server: String,
        /// Where the CA certificates were read from.
        ca: String,
        /// Error of the request.
        source: Box<kube::Error>,
    },
}

/// Creates a client and checks that kube-apiserver responds. Without a path, uses the service
/// account of the pod.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    let (mut config, ca) = if let Some(path) = kubeconfig {
        (from_file(path).await?, format!("the CA in {}", path.display()))
    } else {
        let config = Config::incluster();
        let config = config.map_err(|error| ConnectError::NotInCluster(Box::new(error)))?;
        (config, POD_CA.to_owned())
    };
    config.connect_timeout = Some(CONNECT_TIME);
    // A proxy from the kubeconfig or the environment is not used: its URL may contain a password.
    config.proxy_url = None;
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|error| ConnectError::Client {
        server: server.clone(),
        source: Box::new(error),
    })?;
    client.apiserver_version().await.map_err(|error| ConnectError::Unreachable {
        server,
        ca,
        source: Box::new(error),
    })?;
    Ok(client)
}

async fn from_file(path: &Path) -> Result<Config, ConnectError> {
    let unusable =
        |error| ConnectError::Kubeconfig { path: path.to_owned(), source: Box::new(error) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(unusable)
}
