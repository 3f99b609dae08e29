//! The certificate authority of a standalone server, and the certificates it signs.
//!
//! The authority is created once and stored in the folder, so that a copied kubeconfig stays valid.
//! All other certificates are signed at each start and need no renewal. Keys are written with
//! access for their owner only.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use event::Timestamp;
use kasten::roles::User;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub(crate) certificate: String,
    now: jiff::Timestamp,
}

/// A certificate with its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Validity of the authority.
const AUTHORITY_YEARS: i16 = 10;
/// Validity of the certificates that it signs, which limits the time that a server can run without
/// a restart.
const LEAF_YEARS: i16 = 2;
/// X.520 organizationName, for a second one: the library stores one value of each named type.
const ORGANIZATION_OID: [u64; 4] = [2, 5, 4, 10];

impl Authority {
    /// Loads the certificate authority from the folder, or creates it.
    pub(crate) fn open(folder: &Path, now: Timestamp) -> Result<Self> {
        let now = jiff::Timestamp::from_microsecond(now.as_micros()).unwrap_or_default();
        let (certificate_path, key_path) = (folder.join("ca.crt"), folder.join("ca.key"));
        if !key_path.exists() || !certificate_path.exists() {
            let key = KeyPair::generate().context("cannot generate a key")?;
            let certificate =
                params(now)?.self_signed(&key).context("cannot create a certificate authority")?;
            write_private(&key_path, &key.serialize_pem())?;
            write_private(&certificate_path, &certificate.pem())?;
        }
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let key = KeyPair::from_pem(&read(&key_path)?)
            .with_context(|| format!("{} contains no usable private key", key_path.display()))?;
        let certificate = read(&certificate_path)?;
        Ok(Self { issuer: Issuer::new(params(now)?, key), certificate, now })
    }

    /// A certificate for a client in at most two groups.
    pub(crate) fn client(&self, user: &User) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let types = [DnType::OrganizationName, DnType::CustomDnType(ORGANIZATION_OID.to_vec())];
        for (group, kind) in user.organizations.iter().zip(types) {
            params.distinguished_name.push(kind, *group);
        }
        params.distinguished_name.push(DnType::CommonName, user.common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// A serving certificate for this machine, and for `address` if it is not unspecified.
    pub(crate) fn server(&self, address: IpAddr) -> Result<Identity> {
        let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !address.is_unspecified() && !hosts.contains(&address.to_string()) {
            hosts.push(address.to_string());
        }
        let mut params = CertificateParams::new(hosts).context("cannot name this server")?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "keepwatch");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Identity> {
        set_validity(&mut params, self.now, LEAF_YEARS);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("cannot generate a key")?;
        let certificate =
            params.signed_by(&key, &self.issuer).context("cannot sign a certificate")?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// A self-signed certificate, for a server behind an aggregator that does not verify it.
pub(crate) fn self_signed(hosts: Vec<String>, now: Timestamp) -> Result<Identity> {
    let now = jiff::Timestamp::from_microsecond(now.as_micros()).unwrap_or_default();
    let mut params = CertificateParams::new(hosts).context("cannot name this server")?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "keepwatch");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut params, now, LEAF_YEARS);
    let key = KeyPair::generate().context("cannot generate a key")?;
    let certificate = params.self_signed(&key).context("cannot create a certificate")?;
    Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
}

impl Identity {
    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let certificate = folder.join(format!("{name}.crt"));
        let key = folder.join(format!("{name}.key"));
        write_private(&certificate, &self.certificate)?;
        write_private(&key, &self.key)?;
        Ok((certificate, key))
    }
}

/// Writes a file with access for its owner only, atomically.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("new");
    let write = || {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The parameters of the authority. They differ only in the dates, so that the issuer's name is
/// stable.
fn params(now: jiff::Timestamp) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new()).context("no names to refuse")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "keepwatch-ca");
    set_validity(&mut params, now, AUTHORITY_YEARS);
    Ok(params)
}

/// Valid from yesterday, because clocks differ.
fn set_validity(params: &mut CertificateParams, now: jiff::Timestamp, years: i16) {
    let yesterday = now - jiff::SignedDuration::from_hours(24);
    let from = jiff::tz::Offset::UTC.to_datetime(yesterday).date();
    let day = |year: i16| {
        // Not every year has a 29th of February.
        let day = u8::try_from(from.day().min(28)).unwrap_or(1);
        date_time_ymd(year.into(), u8::try_from(from.month()).unwrap_or(1), day)
    };
    params.not_before = day(from.year());
    params.not_after = day(from.year() + years);
}
