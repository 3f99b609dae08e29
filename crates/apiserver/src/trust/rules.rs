//! The requirements of Go's `crypto/x509` on a CA certificate and on a client certificate.
//!
//! Source: `CheckSignatureFrom`, `isValid`, `checkChainForKeyUsage` and the handling of critical
//! extensions in Go's `crypto/x509`. Signatures and the search for a chain are not here.

use x509_parser::extensions::{GeneralName, GeneralSubtree, ParsedExtension};
use x509_parser::prelude::{X509Certificate, X509Version};

/// Why a certificate may not sign others; `None` if it may.
pub(super) fn signer_problem(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    let Ok(constraints) = certificate.basic_constraints() else {
        return Some("its basicConstraints are malformed");
    };
    match constraints {
        None if certificate.version() == X509Version::V3 => {
            return Some("it has no basicConstraints");
        }
        Some(constraints) if !constraints.value.ca => {
            return Some("its basicConstraints have no CA:TRUE");
        }
        _ => {}
    }
    let Ok(usage) = certificate.key_usage() else { return Some("its keyUsage is malformed") };
    if usage.is_some_and(|usage| usage.value.flags != 0 && !usage.value.key_cert_sign()) {
        return Some("its keyUsage has no keyCertSign");
    }
    usage_problem(certificate).or_else(|| critical_problem(certificate))
}

/// Why a client's certificate is not accepted at `now`, in seconds since the Unix epoch, regardless
/// of its issuer.
pub(super) fn leaf_problem(leaf: &X509Certificate<'_>, now: i64) -> Option<&'static str> {
    validity_problem(&Validity::of(leaf), now)
        .or_else(|| usage_problem(leaf))
        .or_else(|| critical_problem(leaf))
}

/// The first and the last second in which a certificate is valid, since the Unix epoch.
pub(super) struct Validity {
    not_before: i64,
    not_after: i64,
}

impl Validity {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        }
    }
}

/// Why a certificate is not valid at `now`, in seconds since the Unix epoch.
pub(super) fn validity_problem(validity: &Validity, now: i64) -> Option<&'static str> {
    if now < validity.not_before {
        Some("it is not valid yet")
    } else if now > validity.not_after {
        Some("it has expired")
    } else {
        None
    }
}

/// Number of intermediate certificates that may follow a CA; `None` if any.
pub(super) fn intermediates_max(certificate: &X509Certificate<'_>) -> Option<usize> {
    let constraints = certificate.basic_constraints().ok().flatten()?;
    constraints
        .value
        .path_len_constraint
        .map(|length| usize::try_from(length).unwrap_or(usize::MAX))
}

/// Whether the certificate limits the names in those that it signs.
pub(super) fn has_name_constraints(certificate: &X509Certificate<'_>) -> bool {
    certificate.name_constraints().map_or(true, |constraints| constraints.is_some())
}

/// Every certificate of a chain, the CA too, must permit the authentication of clients.
fn usage_problem(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    match certificate.extended_key_usage() {
        Err(_) => Some("its extendedKeyUsage is malformed"),
        Ok(Some(usage)) if !usage.value.any && !usage.value.client_auth => {
            Some("its extendedKeyUsage has neither clientAuth nor anyExtendedKeyUsage")
        }
        Ok(_) => None,
    }
}

/// Critical extensions that Go does not process, and some that few CAs use.
fn critical_problem(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    let is_known = |extension: &ParsedExtension<'_>| match extension {
        ParsedExtension::KeyUsage(_)
        | ParsedExtension::BasicConstraints(_)
        | ParsedExtension::ExtendedKeyUsage(_)
        | ParsedExtension::CertificatePolicies(_)
        | ParsedExtension::CRLDistributionPoints(_) => true,
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.iter().any(is_plain),
        ParsedExtension::NameConstraints(constraints) => {
            let are_plain = |subtrees: &Option<Vec<GeneralSubtree<'_>>>| {
                subtrees.iter().flatten().all(|subtree| is_plain(&subtree.base))
            };
            are_plain(&constraints.permitted_subtrees) && are_plain(&constraints.excluded_subtrees)
        }
        _ => false,
    };
    let mut critical = certificate.iter_extensions().filter(|extension| extension.critical);
    critical
        .any(|extension| !is_known(extension.parsed_extension()))
        .then_some("it has a critical extension that is not supported")
}

/// Whether Go processes names of this form.
fn is_plain(name: &GeneralName<'_>) -> bool {
    matches!(
        name,
        GeneralName::DNSName(_)
            | GeneralName::RFC822Name(_)
            | GeneralName::IPAddress(_)
            | GeneralName::URI(_)
    )
}
