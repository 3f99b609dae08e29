//! TLS to destinations: the system's root certificates and those that an operator adds.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// The certificates to trust cannot be read, or TLS cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

/// A TLS configuration for clients.
///
/// `ca_pem` holds PEM certificates that are trusted in addition to the system's. With `skip_verify`
/// the server's certificate is not verified at all.
pub fn config(ca_pem: Option<&[u8]>, skip_verify: bool) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?;
    if skip_verify {
        let verifier = Arc::new(AnyServerCertificate(provider));
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    // A system without root certificates is not an error: the handshake fails unless `ca_pem` has
    // the CA.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(ca_pem.unwrap_or_default()) {
        let certificate = certificate.map_err(|error| TlsError(error.to_string()))?;
        roots.add(certificate).map_err(|error| TlsError(error.to_string()))?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The message about a failed TLS handshake: the cause and what to do, as a fixed text. `None` if
/// no handshake took place, or if the peer does not speak TLS.
///
/// The peer has responded, so the message may reveal that its port is open. It contains no text
/// from the peer.
pub fn handshake_failure(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        // The error inside of an `io::Error` is not its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.map(|inner| inner as &(dyn Error + 'static));
        if let Some(error) = inner.unwrap_or(error).downcast_ref() {
            return words(error);
        }
        next = inner.or_else(|| error.source());
    }
    None
}

const fn words(error: &rustls::Error) -> Option<&'static str> {
    Some(match error {
        rustls::Error::InvalidCertificate(error) => refusal(error),
        rustls::Error::NoCertificatesPresented => {
            "it has no certificate: issue one that a trusted CA has signed"
        }
        rustls::Error::AlertReceived(_) => {
            "it aborted the TLS handshake: see its log. Client certificates are not supported"
        }
        rustls::Error::PeerIncompatible(_) => {
            "it supports no common TLS version or cipher suite: enable TLS 1.2 or 1.3 there"
        }
        _ => return None,
    })
}

/// Why a certificate is rejected, and what to do.
const fn refusal(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer => {
            "its certificate is refused: the CA that signed it is not trusted. Add that CA to \
             caBundle, and let the destination send its intermediate certificates"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate is refused: it has expired. Renew it at the destination"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is refused: it is not valid yet. Compare the clocks of both machines"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is refused: it is for another host. Use a name in the url that the \
             certificate has"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is refused: it is not for servers. Issue one with the usage serverAuth"
        }
        CertificateError::Revoked => {
            "its certificate is refused: it is revoked. Renew it at the destination"
        }
        _ => "its certificate is refused: see the log for the reason. Renew it at the destination",
    }
}

/// Accepts any server certificate, for a configuration that asks for it, such as `skipSSLVerify` of a
/// profile. The signatures of the handshake are verified: the server holds the certificate's key.
#[derive(Debug)]
pub struct AnyServerCertificate(pub Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServerCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
