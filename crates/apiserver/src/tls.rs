//! TLS of an extension API server: client certificates are requested but not required.
//!
//! The handshake accepts any well-formed client chain and proves that the client holds the key.
//! `authn` decides per request whether the chain is *trusted*, so that a rejection is an audited
//! 401 and not a broken connection. The serving certificate is replaced without a restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use event::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use tracing::debug;
use webpki::RawPublicKeyEntity;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Error of the TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or not readable.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A file does not contain the expected PEM item.
    #[error("{} contains no valid {what}", path.display())]
    Content {
        /// Path of the file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// Key and certificate do not match, or are of an unsupported type.
    #[error("certificate {} and key {} do not match", certificate.display(), key.display())]
    Mismatch {
        /// Certificate file.
        certificate: PathBuf,
        /// Key file.
        key: PathBuf,
        /// Error of rustls.
        source: Error,
    },
    /// The certificate has no subject alternative name. Clients ignore the common name, so every
    /// client would reject it.
    #[error("serving certificate {} has no subject alternative name", path.display())]
    NoSubjectAltName {
        /// Path of the certificate.
        path: PathBuf,
    },
    /// The certificate has expired.
    #[error("serving certificate {} expired at {not_after}", path.display())]
    Expired {
        /// Path of the certificate.
        path: PathBuf,
        /// End of validity, in RFC 3339.
        not_after: String,
    },
    /// rustls rejected the configuration.
    #[error("cannot set up TLS")]
    Setup(#[source] Error),
}

/// The AWS-LC crypto provider, which supports the algorithms that Go supports. The process-wide
/// default is never used, because it may not be set.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The serving certificate. Either read from two PEM files and reloaded when they change, or passed
/// in memory and replaced by the caller with [`ServingCertificate::replace`].
pub struct ServingCertificate {
    certificate_file: PathBuf,
    key_file: PathBuf,
    is_on_disk: bool,
    loaded: ArcSwap<Loaded>,
}

struct Loaded {
    /// End of validity, in seconds since the Unix epoch.
    not_after: i64,
    /// Content of both files, to detect changes.
    source: (Vec<u8>, Vec<u8>),
    certified: Arc<CertifiedKey>,
}

impl ServingCertificate {
    /// Reads and checks both files.
    pub fn open(
        certificate_file: impl Into<PathBuf>,
        key_file: impl Into<PathBuf>,
        now: Timestamp,
    ) -> Result<Arc<Self>, TlsError> {
        let (certificate_file, key_file) = (certificate_file.into(), key_file.into());
        let source = (read(&certificate_file)?, read(&key_file)?);
        let loaded = load(&certificate_file, &key_file, source, now)?;
        let loaded = ArcSwap::from_pointee(loaded);
        Ok(Arc::new(Self { certificate_file, key_file, is_on_disk: true, loaded }))
    }

    /// Checks a certificate and key that are not in files. Errors name them `origin`.
    pub fn from_pem(
        origin: &str,
        certificate: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<Arc<Self>, TlsError> {
        let origin = PathBuf::from(origin);
        let source = (certificate.as_bytes().to_vec(), key.as_bytes().to_vec());
        let loaded = ArcSwap::from_pointee(load(&origin, &origin, source, now)?);
        let key_file = origin.clone();
        Ok(Arc::new(Self { certificate_file: origin, key_file, is_on_disk: false, loaded }))
    }

    /// Serves another certificate from now on. On an error the old one stays in use.
    pub fn replace(&self, certificate: &str, key: &str, now: Timestamp) -> Result<(), TlsError> {
        let source = (certificate.as_bytes().to_vec(), key.as_bytes().to_vec());
        let loaded = load(&self.certificate_file, &self.key_file, source, now)?;
        self.loaded.store(Arc::new(loaded));
        Ok(())
    }

    /// Whether the certificate has expired.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.loaded.load().not_after < now.as_micros() / 1_000_000
    }

    /// Reloads the files. Returns whether the certificate has changed. On an error the old one
    /// stays in use.
    pub fn reload(&self, now: Timestamp) -> Result<bool, TlsError> {
        if !self.is_on_disk {
            return Ok(false);
        }
        let source = (read(&self.certificate_file)?, read(&self.key_file)?);
        if self.loaded.load().source == source {
            return Ok(false);
        }
        let loaded = load(&self.certificate_file, &self.key_file, source, now)?;
        self.loaded.store(Arc::new(loaded));
        Ok(true)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn load(
    certificate_file: &Path,
    key_file: &Path,
    source: (Vec<u8>, Vec<u8>),
    now: Timestamp,
) -> Result<Loaded, TlsError> {
    let unusable = |path: &Path, what| TlsError::Content { path: path.to_owned(), what };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&source.0)
        .collect::<Result<_, _>>()
        .map_err(|_| unusable(certificate_file, "certificate"))?;
    let leaf = chain.first().ok_or_else(|| unusable(certificate_file, "certificate"))?;
    let not_after = check_leaf(leaf, certificate_file, now)?;
    let key =
        PrivateKeyDer::from_pem_slice(&source.1).map_err(|_| unusable(key_file, "private key"))?;
    let certified =
        CertifiedKey::from_der(chain, key, &provider()).map_err(|source| TlsError::Mismatch {
            certificate: certificate_file.to_owned(),
            key: key_file.to_owned(),
            source,
        })?;
    Ok(Loaded { not_after, source, certified: Arc::new(certified) })
}

/// Checks at startup for errors because of which every client would reject the certificate, so that
/// an operator sees them. Returns the end of validity, in seconds since the Unix epoch.
fn check_leaf(leaf: &CertificateDer<'_>, path: &Path, now: Timestamp) -> Result<i64, TlsError> {
    let (_, parsed) = X509Certificate::from_der(leaf)
        .map_err(|_| TlsError::Content { path: path.to_owned(), what: "certificate" })?;
    let names = parsed.subject_alternative_name().ok().flatten();
    if names.is_none_or(|names| names.value.general_names.is_empty()) {
        return Err(TlsError::NoSubjectAltName { path: path.to_owned() });
    }
    let not_after = parsed.validity().not_after.timestamp();
    if not_after < now.as_micros() / 1_000_000 {
        let not_after = Timestamp::from_micros(not_after.saturating_mul(1_000_000)).to_string();
        return Err(TlsError::Expired { path: path.to_owned(), not_after });
    }
    Ok(not_after)
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.loaded.load().certified))
    }
}

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificate")
            .field("file", &self.certificate_file)
            .finish_non_exhaustive()
    }
}

/// TLS 1.2 and 1.3, h2 preferred over http/1.1, client certificates requested.
///
/// Session resumption is disabled: a resumed session would carry the client chain of an earlier
/// handshake.
pub fn server_config(serving: Arc<ServingCertificate>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let any = AnyClientCert { algorithms: provider.signature_verification_algorithms };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Setup)?
        .with_client_cert_verifier(Arc::new(any))
        .with_cert_resolver(serving);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The key of a client's certificate. webpki would refuse certificates with a critical extension
/// that it does not know, or of version 1, before a request could be audited.
fn public_key(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => Ok(SubjectPublicKeyInfoDer::from(parsed.public_key().raw.to_vec())),
        Err(error) => {
            // A client can send any number of them: only the metric of failed handshakes counts
            // them.
            debug!(%error, "closed a connection: the client's certificate is malformed");
            Err(malformed())
        }
    }
}

fn malformed() -> Error {
    CertificateError::BadEncoding.into()
}

/// Accepts any client certificate whose key the client proves to hold.
#[derive(Debug)]
struct AnyClientCert {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyClientCert {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints, so that a client sends any certificate it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(cert)?;
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| malformed())?;
        let algorithms = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == dss.scheme);
        let mut algorithms =
            algorithms.map(|(_, algorithms)| *algorithms).unwrap_or_default().iter();
        algorithms
            .any(|algorithm| key.verify_signature(*algorithm, message, dss.signature()).is_ok())
            .then(HandshakeSignatureValid::assertion)
            .ok_or(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(cert)?;
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
