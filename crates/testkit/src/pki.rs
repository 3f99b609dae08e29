//! Certificate authorities and certificates for tests, made in memory.

#![expect(
    clippy::expect_used,
    reason = "in a test, a certificate that cannot be made is a failure"
)]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// X.520 `organizationName`.
const ORGANIZATION_OID: [u64; 4] = [2, 5, 4, 10];

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate with its key, both in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// The extended key usage of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Extended key usage `clientAuth`.
    Client,
    /// Extended key usage `serverAuth`.
    Server,
}

/// The parameters of a certificate.
#[derive(Clone, Debug)]
pub struct CertificateRequest<'w> {
    /// Common name.
    pub name: &'w str,
    /// Organizations, at most two.
    pub groups: &'w [&'w str],
    /// Subject alternative names: host names or addresses.
    pub hosts: &'w [&'w str],
    /// Extended key usage.
    pub purpose: Purpose,
    /// The year of expiry.
    pub last_year: i32,
}

impl Authority {
    /// Creates a self-signed authority.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names to refuse");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("it can sign itself").pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Loads an authority from its name, certificate and key, both in PEM.
    pub fn from_pem(name: &str, certificate: &str, key: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names to refuse");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::from_pem(key).expect("the key of an authority is PEM");
        Self { issuer: Issuer::new(params, key), certificate: certificate.to_owned() }
    }

    /// The authority's certificate in PEM.
    pub fn pem(&self) -> String {
        self.certificate.clone()
    }

    /// Issues a certificate.
    pub fn issue(&self, request: &CertificateRequest<'_>) -> Identity {
        let hosts: Vec<String> = request.hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("host names are valid");
        params.distinguished_name.remove(DnType::CommonName);
        // rcgen keeps one attribute of each type, so a second organization needs another name.
        let types = [DnType::OrganizationName, DnType::CustomDnType(ORGANIZATION_OID.to_vec())];
        for (group, kind) in request.groups.iter().zip(types) {
            params.distinguished_name.push(kind, *group);
        }
        params.distinguished_name.push(DnType::CommonName, request.name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(request.last_year, 12, 31);
        params.extended_key_usages = vec![match request.purpose {
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Issues a long-lived client certificate.
    pub fn client(&self, name: &str, groups: &[&str]) -> Identity {
        let purpose = Purpose::Client;
        self.issue(&CertificateRequest { name, groups, hosts: &[], purpose, last_year: 2090 })
    }

    /// Issues a long-lived serving certificate for `localhost` and 127.0.0.1.
    pub fn server(&self) -> Identity {
        self.server_of(&["localhost", "127.0.0.1"])
    }

    /// Issues a long-lived serving certificate for these names and addresses.
    pub fn server_of(&self, hosts: &[&str]) -> Identity {
        let purpose = Purpose::Server;
        self.issue(&CertificateRequest {
            name: "server",
            groups: &[],
            hosts,
            purpose,
            last_year: 2090,
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Identity {
    /// Writes certificate and key into a folder, as `<stem>.crt` and `<stem>.key`; returns their
    /// paths.
    pub fn write(&self, folder: &Path, stem: &str) -> (PathBuf, PathBuf) {
        let certificate = folder.join(format!("{stem}.crt"));
        let key = folder.join(format!("{stem}.key"));
        replace(&certificate, &self.certificate);
        replace(&key, &self.key);
        (certificate, key)
    }
}

/// Writes a key for service account tokens, as `<stem>.key` and `<stem>.pub`.
pub fn write_signing_key(folder: &Path, stem: &str) {
    let key = KeyPair::generate().expect("a key can be made");
    replace(&folder.join(format!("{stem}.key")), &key.serialize_pem());
    replace(&folder.join(format!("{stem}.pub")), &key.public_key_pem());
}

/// Replaces a file atomically by a rename, so that a server that reloads it sees the old or the
/// new content.
pub fn replace(path: &Path, content: &str) {
    let temporary = path.with_extension("new");
    fs::write(&temporary, content).expect("the folder can be written");
    fs::rename(&temporary, path).expect("the folder can be written");
}
