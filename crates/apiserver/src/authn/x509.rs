//! The user in a client certificate: the common name is the username, the organizations are the
//! groups.
//!
//! `peer` decides whether the certificate is trusted.

use event::UserInfo;
use rustls::pki_types::CertificateDer;
use x509_parser::oid_registry::{Oid, asn1_rs::oid};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Kubernetes' attribute for a UID in the subject (since 1.33).
const UID_OID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);

/// Maximum length of a name in the log, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Subject of a certificate.
pub(crate) struct Subject {
    /// Empty if the subject has none.
    pub(crate) common_name: String,
    organizations: Vec<String>,
    uid: String,
    fingerprint: String,
}

/// Subject and issuer as RFC 4514 strings.
pub(crate) fn names(leaf: &CertificateDer<'_>) -> Result<(String, String), String> {
    let (_, parsed) =
        X509Certificate::from_der(leaf).map_err(|_| "not a certificate".to_owned())?;
    let name = |name: &x509_parser::x509::X509Name<'_>| {
        let mut name = name.to_string();
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
        name
    };
    Ok((name(parsed.subject()), name(parsed.issuer())))
}

impl Subject {
    /// Parses the subject of a leaf certificate.
    pub(crate) fn parse(leaf: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) =
            X509Certificate::from_der(leaf).map_err(|_| "not a certificate".to_owned())?;
        let subject = parsed.subject();
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().unwrap_or_default().to_owned()
        };
        Ok(Self {
            common_name: subject.iter_common_name().map(text).next().unwrap_or_default(),
            organizations: subject.iter_organization().map(text).collect(),
            uid: subject.iter_by_oid(&UID_OID).map(text).next().unwrap_or_default(),
            fingerprint: event::limit::digest(leaf),
        })
    }

    /// The user that this certificate identifies; an error if it has no name.
    pub(crate) fn user(self) -> Result<UserInfo, String> {
        if self.common_name.is_empty() {
            return Err("the certificate has no common name".to_owned());
        }
        let credential = format!("X509SHA256={}", self.fingerprint);
        let extra = [("authentication.kubernetes.io/credential-id".to_owned(), vec![credential])];
        Ok(UserInfo {
            username: self.common_name,
            uid: self.uid,
            groups: self.organizations,
            extra: extra.into(),
        })
    }
}
