//! The CA certificates that verify client certificates.
//!
//! A chain is accepted if Go's `crypto/x509` also accepts it: a user's certificate must work with
//! Keepwatch as with kube-apiserver. webpki finds the chain and verifies its signatures; `rules`
//! checks the further requirements of Go. A certificate that webpki never accepts, such as one with
//! CA:TRUE, is accepted if a CA of the bundle signed it directly; with an intermediate certificate
//! it is not. Revocation is not checked, as in Kubernetes.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, RawPublicKeyEntity,
    VerifiedPath, anchor_from_trusted_cert,
};
use x509_parser::oid_registry::asn1_rs::Any;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::TrustError;
use super::rules::{self, Validity};
use crate::tls::provider;

/// Maximum number of intermediate certificates of a client that are considered. webpki follows at
/// most 6 of them.
const INTERMEDIATES_MAX: usize = 16;

/// CA certificates that verify client certificates.
#[derive(Clone)]
pub struct CaBundle {
    certificates: Arc<[TrustedCertificate]>,
    algorithms: WebPkiSupportedAlgorithms,
    origin: Arc<str>,
}

/// A certificate of the bundle.
struct TrustedCertificate {
    der: CertificateDer<'static>,
    /// The subject as it is in the certificate.
    subject: Vec<u8>,
    key: SubjectPublicKeyInfoDer<'static>,
    anchor: TrustAnchor<'static>,
    validity: Validity,
    intermediates_max: Option<usize>,
    has_name_constraints: bool,
    /// Why it may not sign others.
    problem: Option<&'static str>,
}

impl TrustedCertificate {
    fn parse(der: &CertificateDer<'static>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            subject: parsed.subject().as_raw().to_vec(),
            key: SubjectPublicKeyInfoDer::from(parsed.public_key().raw.to_vec()),
            anchor: anchor_from_trusted_cert(der).ok()?.to_owned(),
            validity: Validity::of(&parsed),
            intermediates_max: rules::intermediates_max(&parsed),
            has_name_constraints: rules::has_name_constraints(&parsed),
            problem: rules::signer_problem(&parsed),
            der: der.clone(),
        })
    }

    /// Why it may not sign others at `now`.
    fn problem_at(&self, now: i64) -> Option<&'static str> {
        self.problem.or_else(|| rules::validity_problem(&self.validity, now))
    }
}

impl CaBundle {
    /// Parses a PEM bundle. `origin`, the file or the key of the ConfigMap, appears in errors.
    pub fn from_pem(pem: &[u8], origin: &str) -> Result<Self, TrustError> {
        let none = || TrustError::NoCertificate { origin: origin.to_owned() };
        let certificates = CertificateDer::pem_slice_iter(pem)
            .map(|der| TrustedCertificate::parse(&der.ok()?))
            .collect::<Option<Arc<[_]>>>()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(none)?;
        let algorithms = provider().signature_verification_algorithms;
        Ok(Self { certificates, algorithms, origin: origin.into() })
    }

    /// Reads a PEM file.
    pub fn from_file(path: &Path) -> Result<Self, TrustError> {
        let pem = std::fs::read(path)
            .map_err(|source| TrustError::Read { path: path.to_owned(), source })?;
        Self::from_pem(&pem, &path.display().to_string())
    }

    /// Verifies that a chain, leaf first, leads to one of the CAs, is valid at `now`, and is for
    /// client authentication. The error contains the reason and the origin of the CAs.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), String> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err("no certificate".to_owned());
        };
        self.verify_leaf(leaf, intermediates, now)
            .map_err(|reason| format!("{reason} (verified with {})", self.origin))
    }

    fn verify_leaf(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), String> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let Ok(([], parsed)) = X509Certificate::from_der(leaf) else {
            return Err("the client's certificate is malformed".to_owned());
        };
        if let Some(problem) = rules::leaf_problem(&parsed, seconds) {
            return Err(format!("the client's certificate is not accepted: {problem}"));
        }
        if self.certificates.iter().any(|trusted| trusted.der == *leaf) {
            return Ok(());
        }
        let intermediates = intermediates.get(..INTERMEDIATES_MAX).unwrap_or(intermediates);
        let Err(error) = self.verify_path(leaf, intermediates, now, seconds) else { return Ok(()) };
        self.verify_direct(&parsed, seconds).map_err(|reason| match error {
            Error::CaUsedAsEndEntity
            | Error::UnknownIssuer
            | Error::UnsupportedCertVersion
            | Error::UnsupportedCriticalExtension => reason,
            error => format!("the chain is not accepted: {error}"),
        })
    }

    /// Verifies with webpki, and applies Go's rules to the CA and the intermediate certificates.
    fn verify_path(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        seconds: i64,
    ) -> Result<(), Error> {
        let signers = self.certificates.iter().filter(|ca| ca.problem_at(seconds).is_none());
        let (signers, anchors): (Vec<_>, Vec<_>) =
            signers.map(|signer| (signer, signer.anchor.clone())).unzip();
        let check = |path: &VerifiedPath<'_>| check_path(path, &signers);
        EndEntityCert::try_from(leaf)?
            .verify_for_usage(
                self.algorithms.all,
                &anchors,
                intermediates,
                now,
                ClientUsage,
                None,
                Some(&check),
            )
            .map(drop)
    }

    /// Verifies a certificate that a CA of the bundle signed itself.
    fn verify_direct(&self, leaf: &X509Certificate<'_>, now: i64) -> Result<(), String> {
        let mut reason = "no CA has the name of its issuer".to_owned();
        for ca in self.certificates.iter().filter(|ca| ca.subject == leaf.issuer().as_raw()) {
            if let Some(problem) = ca.problem_at(now) {
                reason = format!("the CA that is its issuer may not sign certificates: {problem}");
            } else if ca.has_name_constraints {
                "a CA with name constraints signed this form of certificate"
                    .clone_into(&mut reason);
            } else if is_signed_by(leaf, &ca.key, &self.algorithms) {
                return Ok(());
            } else {
                "no CA with the name of its issuer signed it".clone_into(&mut reason);
            }
        }
        Err(reason)
    }
}

/// Checks that Go also accepts a chain that webpki accepts.
fn check_path(path: &VerifiedPath<'_>, signers: &[&TrustedCertificate]) -> Result<(), Error> {
    let mut length = 0;
    for intermediate in path.intermediate_certificates() {
        let der = intermediate.der();
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| Error::BadDer)?;
        if rules::signer_problem(&parsed).is_some() {
            return Err(Error::EndEntityUsedAsCa);
        }
        length += 1;
    }
    let (subject, key) = (&path.anchor().subject, &path.anchor().subject_public_key_info);
    signers
        .iter()
        .filter(|ca| ca.anchor.subject == *subject && ca.anchor.subject_public_key_info == *key)
        .filter(|ca| ca.anchor.name_constraints == path.anchor().name_constraints)
        .any(|ca| ca.intermediates_max.is_none_or(|max| length <= max))
        .then_some(())
        .ok_or(Error::PathLenConstraintViolated)
}

/// Whether the signature of a certificate was made with this key.
fn is_signed_by(
    certificate: &X509Certificate<'_>,
    key: &SubjectPublicKeyInfoDer<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let signed = certificate.tbs_certificate.as_ref();
    let algorithm = Any::from_der(certificate.as_raw())
        .ok()
        .and_then(|(_, sequence)| Any::from_der(sequence.data.get(signed.len()..)?).ok());
    let (Some((_, algorithm)), Ok(key)) = (algorithm, RawPublicKeyEntity::try_from(key)) else {
        return false;
    };
    let signature = certificate.signature_value.data.as_ref();
    certificate.signature_algorithm == certificate.tbs_certificate.signature
        && certificate.signature_value.unused_bits == 0
        && algorithms.all.iter().any(|candidate| {
            candidate.signature_alg_id().as_ref() == algorithm.data
                && key.verify_signature(*candidate, signed, signature).is_ok()
        })
}

/// Permits every certificate, because `rules` has already checked each one.
struct ClientUsage;

impl ExtendedKeyUsageValidator for ClientUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}
