//! The way to kube-apiserver: a client from a kubeconfig file, or from the pod it runs in.
//!
//! Opening makes one request, so that a kubeconfig that points nowhere is an error at the start
//! and not a server that refuses everybody later.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The certificates of kube-apiserver's authority in a pod.
const POD_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// The connection is given up after so long.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Why there is no way to kube-apiserver.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file is missing or no kubeconfig.
    #[error("cannot use kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<kube::config::KubeconfigError>,
    },
    /// No file was given and this is not a pod.
    #[error("no kubeconfig was given and this does not run inside a cluster")]
    NotInCluster(#[source] Box<kube::config::InClusterError>),
    /// TLS or address do not fit together.
    #[error("cannot make a client for {server}")]
    Client {
        /// The server's address.
        server: String,
        /// What is wrong.
        source: Box<kube::Error>,
    },
    /// Nobody answers there.
    #[error("kube-apiserver at {server} does not answer (its certificate is checked against {ca})")]
    Unreachable {
        /// The server's address.
        server: String,
        /// Where the certificates of its authority come from.
        ca: String,
        /// What happened.
        source: Box<kube::Error>,
    },
}

/// A client that has reached kube-apiserver once. Without a path, the pod's own credentials count.
pub async fn open(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    let (mut config, ca) = if let Some(path) = kubeconfig {
        (of_file(path).await?, format!("the authority in {}", path.display()))
    } else {
        let config = Config::incluster();
        let config = config.map_err(|error| ConnectError::NotInCluster(Box::new(error)))?;
        (config, POD_CA.to_owned())
    };
    config.connect_timeout = Some(CONNECT_TIME);
    // The environment may name one; it is not used, and its password is nobody's business.
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

async fn of_file(path: &Path) -> Result<Config, ConnectError> {
    let unusable =
        |error| ConnectError::Kubeconfig { path: path.to_owned(), source: Box::new(error) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(unusable)
}
