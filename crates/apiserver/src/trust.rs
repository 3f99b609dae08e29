//! Whose certificates and headers are believed, as one immutable snapshot.
//!
//! A snapshot is put together from files (flags) and from the ConfigMap
//! `kube-system/extension-apiserver-authentication`, which kube-apiserver fills and rotates. A part
//! that cannot be loaded is absent, and what is absent is not believed: without a request-header CA
//! no `X-Remote-*` header counts. This file decides nothing about a request; `authn` does.

pub mod config_map;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderName;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tracing::warn;

use crate::tls::provider;

/// Why trust could not be established.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file is missing or not readable.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There are no certificates where a CA bundle should be.
    #[error("{origin} holds no usable CA certificate")]
    NoCertificate {
        /// File or ConfigMap key.
        origin: String,
    },
    /// The ConfigMap holds something else than a JSON list of names.
    #[error("key {key} of the ConfigMap is not a JSON list of header names or names")]
    NotAList {
        /// The key.
        key: &'static str,
    },
    /// The ConfigMap cannot be had.
    #[error("cannot read ConfigMap kube-system/extension-apiserver-authentication")]
    Lookup(#[source] Box<kube::Error>),
}

/// A set of CA certificates for client certificates.
#[derive(Clone)]
pub struct CaBundle {
    verifier: Arc<dyn ClientCertVerifier>,
    origin: Arc<str>,
}

impl CaBundle {
    /// Reads a PEM bundle; `origin`, file or key of the ConfigMap, is named in errors.
    pub fn of_pem(pem: &[u8], origin: &str) -> Result<Self, TrustError> {
        let none = || TrustError::NoCertificate { origin: origin.to_owned() };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|_| none())?).map_err(|_| none())?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|_| none())?;
        Ok(Self { verifier, origin: origin.into() })
    }

    /// Reads a PEM file.
    pub fn of_file(path: &Path) -> Result<Self, TrustError> {
        let pem = std::fs::read(path)
            .map_err(|source| TrustError::Read { path: path.to_owned(), source })?;
        Self::of_pem(&pem, &path.display().to_string())
    }

    /// Whether a chain, leaf first, leads to one of the CAs, is in time, and may be used by clients;
    /// if not, why, and what it was checked against.
    pub(crate) fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), String> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err("there is no certificate".to_owned());
        };
        let verified = self.verifier.verify_client_cert(leaf, intermediates, now);
        verified.map(drop).map_err(|error| format!("{error} (checked against {})", self.origin))
    }
}

/// How kube-apiserver's proxy shows itself and passes on its users.
#[derive(Clone)]
pub struct RequestHeaderConfig {
    /// Who may sign the proxy's certificate.
    pub ca: CaBundle,
    /// Common names the proxy may have; empty means any.
    pub allowed_names: Vec<String>,
    /// The names of the headers.
    pub headers: RequestHeaderNames,
}

/// Names of the headers that carry the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeaderNames {
    /// The first one present names the user.
    pub username: Vec<HeaderName>,
    /// None by default: an older kube-apiserver would not strip it from its clients' requests.
    pub uid: Vec<HeaderName>,
    /// All values are groups.
    pub group: Vec<HeaderName>,
    /// In lower case.
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

/// Whom to believe at this moment.
#[derive(Clone, Default)]
pub struct TrustSnapshot {
    /// Who signs users' certificates.
    pub clients: Option<CaBundle>,
    /// Who may speak for others.
    pub front_proxy: Option<RequestHeaderConfig>,
}

/// The file a part of the trust comes from instead of the ConfigMap.
#[derive(Clone, Debug, Default)]
pub struct TrustFiles {
    /// `--client-ca-file`.
    pub client_ca: Option<PathBuf>,
    /// `--requestheader-client-ca-file`.
    pub request_header_ca: Option<PathBuf>,
    /// `--requestheader-allowed-names`.
    pub allowed_names: Vec<String>,
    /// `--requestheader-*-headers*`; the usual ones when empty.
    pub headers: Option<RequestHeaderNames>,
}

impl TrustFiles {
    /// What the files say; absent where there is no file.
    pub fn load(&self) -> Result<TrustSnapshot, TrustError> {
        let clients = self.client_ca.as_deref().map(CaBundle::of_file).transpose()?;
        let front_proxy = match self.request_header_ca.as_deref() {
            None => None,
            Some(path) => Some(RequestHeaderConfig {
                ca: CaBundle::of_file(path)?,
                allowed_names: self.allowed_names.clone(),
                headers: self.headers.clone().unwrap_or_default(),
            }),
        };
        Ok(TrustSnapshot { clients, front_proxy })
    }
}

/// The snapshot in force, exchanged as a whole.
pub struct Trust {
    files: TrustFiles,
    snapshot: ArcSwap<TrustSnapshot>,
}

impl Trust {
    /// Trust that starts with what the files say.
    pub fn open(files: TrustFiles) -> Result<Arc<Self>, TrustError> {
        let trust = Self { files, snapshot: ArcSwap::from_pointee(TrustSnapshot::default()) };
        trust.replace(None)?;
        Ok(Arc::new(trust))
    }

    /// What is in force.
    pub fn snapshot(&self) -> Arc<TrustSnapshot> {
        self.snapshot.load_full()
    }

    /// Reads the files again and takes the rest from `cluster`. Files win over the ConfigMap.
    ///
    /// On an error the old snapshot stays.
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
                "no allowed names for the front proxy: every certificate of its CA may act as anybody"
            );
        }
        self.snapshot.store(Arc::new(next));
        Ok(())
    }
}
