//! A serving certificate with its key and authorities, and whether it must be renewed.
//!
//! Pure: the caller passes the time and stores the pair.

use std::time::Duration;

use anyhow::{Context as _, Result};
use apiserver::tls::ServingCertificate;
use event::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

const HOUR: u64 = 3600;
/// Validity of a certificate.
const LIFE: Duration = Duration::from_secs(90 * 24 * HOUR);
/// A certificate is renewed this long before it expires.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * HOUR);
/// A certificate is valid from this long before its issuance, because clocks differ.
const SKEW: Duration = Duration::from_secs(HOUR);
/// Time for which an old authority remains in the bundle next to a new one.
const OVERLAP: Duration = Duration::from_secs(HOUR);
/// Maximum number of authorities in a bundle.
const AUTHORITIES_MAX: usize = 3;
/// The last line of a certificate in PEM.
const END: &str = "-----END CERTIFICATE-----";

/// A certificate, its key and its authorities, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ServingPair {
    pub(super) certificate: String,
    pub(super) key: String,
    /// The newest first; it signed the certificate.
    pub(super) authorities: Vec<String>,
}

/// The state of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairState {
    /// Valid, no action needed.
    Valid,
    /// Valid; the old authorities can be removed.
    OverlapOver,
    /// The Secret has no pair.
    Missing,
    /// Malformed, expired, or for another host.
    Unusable,
    /// Valid, but to be renewed.
    Expiring,
}

impl PairState {
    /// The reason for a new certificate, for log messages.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Valid => "it is valid",
            Self::OverlapOver => "the overlap with the old authority is over",
            Self::Missing => "there is none",
            Self::Unusable => "the existing one is unusable",
            Self::Expiring => "the existing one expires soon",
        }
    }
}

impl ServingPair {
    /// From the data of a Secret.
    pub(super) fn new(certificate: String, key: String, bundle: &str) -> Self {
        Self { certificate, key, authorities: certificates(bundle) }
    }

    /// A new pair for `host`, with a new authority. The authorities of `before` stay in the bundle.
    pub(super) fn generate(host: &str, before: Option<&Self>, now: Timestamp) -> Result<Self> {
        let authority_key = KeyPair::generate().context("cannot generate a key")?;
        let mut params = CertificateParams::new(Vec::<String>::new()).context("no names")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        // A distinct name for each authority, because clients select the issuer by name.
        params.distinguished_name = common_name(&format!("{host}-ca@{}", seconds(now)));
        set_validity(&mut params, now);
        let authority = params.self_signed(&authority_key).context("cannot create an authority")?;
        let issuer = Issuer::new(params, authority_key);

        let mut params = CertificateParams::new(vec![host.to_owned(), "localhost".to_owned()])
            .context("cannot name the Service")?;
        params.distinguished_name = common_name(host);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now);
        let key = KeyPair::generate().context("cannot generate a key")?;
        let leaf = params.signed_by(&key, &issuer).context("cannot sign a certificate")?;

        let mut authorities = vec![normalized(&authority.pem())];
        authorities.extend(before.into_iter().flat_map(|pair| pair.authorities.iter().cloned()));
        authorities.truncate(AUTHORITIES_MAX);
        Ok(Self { certificate: leaf.pem(), key: key.serialize_pem(), authorities })
    }

    /// The same pair with only its own authority in the bundle.
    pub(super) fn without_old_authorities(&self) -> Self {
        Self {
            authorities: self.authorities.first().cloned().into_iter().collect(),
            ..self.clone()
        }
    }

    /// The authorities as one PEM bundle.
    pub(super) fn bundle(&self) -> String {
        self.authorities.concat()
    }

    /// The state of the pair for `host` at this time.
    pub(super) fn assess(&self, host: &str, now: Timestamp) -> PairState {
        if ServingCertificate::from_pem("the certificate", &self.certificate, &self.key, now)
            .is_err()
        {
            return PairState::Unusable;
        }
        let Some(fields) = CertificateFields::parse(&self.certificate) else {
            return PairState::Unusable;
        };
        let authority =
            self.authorities.first().and_then(|authority| CertificateFields::parse(authority));
        let is_signed = authority.is_some_and(|authority| authority.subject == fields.issuer);
        if !is_signed || !fields.hosts.iter().any(|name| name == host) {
            return PairState::Unusable;
        }
        let now = seconds(now);
        if now + signed(RENEW_BEFORE) > fields.not_after {
            return PairState::Expiring;
        }
        let issued = fields.not_before + signed(SKEW);
        if self.authorities.len() > 1 && now > issued + signed(OVERLAP) {
            return PairState::OverlapOver;
        }
        PairState::Valid
    }
}

/// The fields of a certificate that decide its state.
struct CertificateFields {
    subject: String,
    issuer: String,
    hosts: Vec<String>,
    not_before: i64,
    not_after: i64,
}

impl CertificateFields {
    fn parse(pem: &str) -> Option<Self> {
        let pem = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
        let parsed = pem.parse_x509().ok()?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let hosts = names.map_or_else(Vec::new, |names| {
            let names = names.value.general_names.iter();
            let hosts = names.filter_map(|name| match name {
                GeneralName::DNSName(host) => Some((*host).to_owned()),
                _ => None,
            });
            hosts.collect()
        });
        Some(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            hosts,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }
}

/// The certificates of a PEM bundle.
fn certificates(bundle: &str) -> Vec<String> {
    let blocks = bundle.split_inclusive(END).filter(|block| block.contains(END));
    blocks.take(AUTHORITIES_MAX).map(normalized).collect()
}

/// Trimmed, with one newline at the end.
fn normalized(pem: &str) -> String {
    format!("{}\n", pem.trim())
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    // A common name has at most 64 characters; clients check the subject alternative name.
    distinguished_name.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    distinguished_name
}

fn set_validity(params: &mut CertificateParams, now: Timestamp) {
    let epoch = date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(u64::try_from(seconds(now)).unwrap_or_default());
    params.not_before = epoch + now.saturating_sub(SKEW);
    params.not_after = epoch + now + LIFE;
}

fn seconds(time: Timestamp) -> i64 {
    time.as_micros() / 1_000_000
}

fn signed(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "aggregatedapis-svc.kasten-io.svc";
    const DAY: i64 = 24 * 3600;
    /// The 25th of November 2026.
    const START: i64 = 1_795_564_800;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn check(pair: &ServingPair, seconds_later: i64, expected: PairState) {
        assert_eq!(pair.assess(HOST, at(START + seconds_later)), expected, "{seconds_later}");
    }

    #[test]
    fn a_new_certificate_is_valid_until_thirty_days_before_its_expiry() {
        let pair = ServingPair::generate(HOST, None, at(START)).unwrap();
        check(&pair, 0, PairState::Valid);
        check(&pair, -1800, PairState::Valid);
        check(&pair, 60 * DAY - 60, PairState::Valid);
        check(&pair, 60 * DAY + 60, PairState::Expiring);
        check(&pair, 91 * DAY, PairState::Unusable);
    }

    #[test]
    fn an_old_ca_is_trusted_for_an_hour_after_a_new_one() {
        let old = ServingPair::generate(HOST, None, at(START - 70 * DAY)).unwrap();
        let new = ServingPair::generate(HOST, Some(&old), at(START)).unwrap();
        assert_eq!(new.authorities.len(), 2);
        assert!(new.bundle().ends_with(&old.bundle()));
        check(&new, 1800, PairState::Valid);
        check(&new, 3700, PairState::OverlapOver);
        let trimmed = new.without_old_authorities();
        check(&trimmed, 3700, PairState::Valid);
        assert_eq!((&trimmed.certificate, &trimmed.key), (&new.certificate, &new.key));
    }

    #[test]
    fn the_bundle_stays_bounded() {
        let mut pair = ServingPair::generate(HOST, None, at(START)).unwrap();
        for round in 1..10 {
            pair = ServingPair::generate(HOST, Some(&pair), at(START + round)).unwrap();
        }
        assert_eq!(pair.authorities.len(), AUTHORITIES_MAX);
    }

    #[test]
    fn damaged_and_foreign_certificates_are_unusable() {
        let valid = ServingPair::generate(HOST, None, at(START)).unwrap();
        let other = ServingPair::generate("other.kasten-io.svc", None, at(START)).unwrap();
        check(&other, 0, PairState::Unusable);
        check(&ServingPair { key: other.key.clone(), ..valid.clone() }, 0, PairState::Unusable);
        check(
            &ServingPair { authorities: other.authorities, ..valid.clone() },
            0,
            PairState::Unusable,
        );
        check(&ServingPair { authorities: Vec::new(), ..valid.clone() }, 0, PairState::Unusable);
        check(&ServingPair::new(String::new(), String::new(), "nonsense"), 0, PairState::Unusable);
    }

    #[test]
    fn a_certificate_survives_a_round_trip_through_its_secret() {
        let old = ServingPair::generate(HOST, None, at(START - DAY)).unwrap();
        let pair = ServingPair::generate(HOST, Some(&old), at(START)).unwrap();
        let again = ServingPair::new(pair.certificate.clone(), pair.key.clone(), &pair.bundle());
        assert!(again == pair);
    }
}
