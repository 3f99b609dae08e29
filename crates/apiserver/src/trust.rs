//! The CAs and identity headers that authentication trusts, as one immutable snapshot.
//!
//! A snapshot is composed of files (flags) and of the ConfigMap
//! `kube-system/extension-apiserver-authentication`, which kube-apiserver fills and rotates. A part
//! that cannot be loaded is absent, and an absent part is not trusted: without a request-header CA,
//! all `X-Remote-*` headers are ignored. This file makes no decision about a request; `authn` does.

mod ca_bundle;
pub mod config_map;
mod rules;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderName;
use rustls::pki_types::CertificateDer;
use tracing::warn;

use crate::authn::x509;

pub use ca_bundle::CaBundle;

/// Error while loading the trust configuration.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file is missing or not readable.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A CA bundle contains no certificates.
    #[error("{origin} contains no valid CA certificate")]
    NoCertificate {
        /// File or ConfigMap key.
        origin: String,
    },
    /// The value in the ConfigMap is not a JSON list of names.
    #[error("key {key} of the ConfigMap is not a JSON list of header names or names")]
    NotAList {
        /// Key in the ConfigMap.
        key: &'static str,
    },
    /// The ConfigMap cannot be read.
    #[error("cannot read ConfigMap kube-system/extension-apiserver-authentication")]
    Lookup(#[source] Box<kube::Error>),
}

/// The common name in the subject of a certificate; `None` if it has none.
pub fn common_name(leaf: &CertificateDer<'_>) -> Option<String> {
    let subject = x509::Subject::parse(leaf).ok()?;
    Some(subject.common_name).filter(|name| !name.is_empty())
}

/// How the front proxy authenticates and passes users.
#[derive(Clone)]
pub struct RequestHeaderConfig {
    /// CAs that sign the proxy's certificate.
    pub ca: CaBundle,
    /// Allowed common names of the proxy; empty allows any.
    pub allowed_names: Vec<String>,
    /// Names of the identity headers.
    pub headers: RequestHeaderNames,
}

/// Names of the headers that carry the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeaderNames {
    /// Headers of the username. The first one present is used.
    pub username: Vec<HeaderName>,
    /// Headers of the UID. Empty by default: an older kube-apiserver does not strip them from its
    /// clients' requests.
    pub uid: Vec<HeaderName>,
    /// Headers of groups. All values are groups.
    pub group: Vec<HeaderName>,
    /// Prefixes of extra headers, in lower case.
    pub extra_prefix: Vec<String>,
}

impl Default for RequestHeaderNames {
    fn default() -> Self {
        Self {
            username: vec![HeaderName::from_static("x-remote-user")],
            uid: Vec::new(),
            group: vec![HeaderName::from_static("x-remote-group")],
            extra_prefix: vec!["x-remote-extra-".to_owned()],
        }
    }
}

/// Trust configuration at one point in time.
#[derive(Clone, Default)]
pub struct TrustSnapshot {
    /// CAs that sign users' certificates.
    pub clients: Option<CaBundle>,
    /// Front proxy that may act for other users.
    pub front_proxy: Option<RequestHeaderConfig>,
}

/// Files that replace parts of the ConfigMap.
#[derive(Clone, Debug, Default)]
pub struct TrustFiles {
    /// File of the CAs for users (`--client-ca-file`); `None` to use the ConfigMap.
    pub client_ca: Option<PathBuf>,
    /// File of the CAs for the front proxy (`--requestheader-client-ca-file`).
    pub request_header_ca: Option<PathBuf>,
    /// Allowed common names of the front proxy (`--requestheader-allowed-names`).
    pub allowed_names: Vec<String>,
    /// `--requestheader-*-headers*`; `None` for the default names.
    pub headers: Option<RequestHeaderNames>,
}

impl TrustFiles {
    /// Loads the files. A part without a file is absent.
    pub fn load(&self) -> Result<TrustSnapshot, TrustError> {
        let clients = self.client_ca.as_deref().map(CaBundle::from_file).transpose()?;
        let front_proxy = match self.request_header_ca.as_deref() {
            None => None,
            Some(path) => Some(RequestHeaderConfig {
                ca: CaBundle::from_file(path)?,
                allowed_names: self.allowed_names.clone(),
                headers: self.headers.clone().unwrap_or_default(),
            }),
        };
        Ok(TrustSnapshot { clients, front_proxy })
    }
}

/// The current snapshot. It is replaced as a whole.
pub struct Trust {
    files: TrustFiles,
    snapshot: ArcSwap<TrustSnapshot>,
}

impl Trust {
    /// Loads the files and starts with their content.
    pub fn open(files: TrustFiles) -> Result<Arc<Self>, TrustError> {
        let trust = Self { files, snapshot: ArcSwap::from_pointee(TrustSnapshot::default()) };
        trust.replace(None)?;
        Ok(Arc::new(trust))
    }

    /// The current snapshot.
    pub fn snapshot(&self) -> Arc<TrustSnapshot> {
        self.snapshot.load_full()
    }

    /// Reloads the files and takes the remaining parts from `cluster`. Files take precedence over
    /// the ConfigMap.
    ///
    /// On an error the old snapshot stays in use.
    pub fn replace(&self, cluster: Option<&TrustSnapshot>) -> Result<(), TrustError> {
        let mut next = self.files.load()?;
        if let Some(cluster) = cluster {
            next.clients = next.clients.or_else(|| cluster.clients.clone());
            next.front_proxy = next.front_proxy.or_else(|| cluster.front_proxy.clone());
        }
        let trusts_any_name = |snapshot: &TrustSnapshot| {
            snapshot.front_proxy.as_ref().is_some_and(|proxy| proxy.allowed_names.is_empty())
        };
        if trusts_any_name(&next) && !trusts_any_name(&self.snapshot.load()) {
            warn!(
                "no allowed names for the front proxy: any client with a certificate of its CA can act as any user"
            );
        }
        self.snapshot.store(Arc::new(next));
        Ok(())
    }
}
