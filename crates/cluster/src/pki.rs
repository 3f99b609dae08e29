//! Certificate authorities and certificates for a control plane in a test.
//!
//! Nothing here expires or is revoked; a test that needs a bad certificate makes one by hand.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// Who signs.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// A new authority with a key of its own.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority's own certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A serving certificate for these names and addresses.
    pub fn server(&self, names: &[&str]) -> anyhow::Result<Identity> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "server");
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate: the common name is the user, the organization the group.
    pub fn client(&self, user: &str, group: Option<&str>) -> anyhow::Result<Identity> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> anyhow::Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

impl Identity {
    /// Writes `<stem>.crt` and `<stem>.key`; returns their paths.
    ///
    /// Existing files are replaced by a move, so that a server that reloads them never reads half
    /// a file.
    pub fn write(&self, folder: &Path, stem: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        let certificate = folder.join(format!("{stem}.crt"));
        let key = folder.join(format!("{stem}.key"));
        replace(&certificate, &self.certificate)?;
        replace(&key, &self.key)?;
        Ok((certificate, key))
    }
}

/// Writes a key for service account tokens, as `<stem>.key` and `<stem>.pub`.
pub fn write_signing_key(folder: &Path, stem: &str) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    replace(&folder.join(format!("{stem}.key")), &key.serialize_pem())?;
    replace(&folder.join(format!("{stem}.pub")), &key.public_key_pem())
}

/// Writes a file so that a reader sees the old content or the new, nothing between.
pub fn replace(path: &Path, content: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, content).with_context(|| format!("cannot write {}", beside.display()))?;
    fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}
