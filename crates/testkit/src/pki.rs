//! Certificate authorities and certificates for tests, made in memory.

#![expect(
    clippy::expect_used,
    reason = "in a test, a certificate that cannot be made is a failure"
)]

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, both PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Extended key usage `clientAuth`.
    Client,
    /// Extended key usage `serverAuth`.
    Server,
}

/// A certificate to be made.
#[derive(Clone, Debug)]
pub struct Wish<'w> {
    /// Common name.
    pub name: &'w str,
    /// Organizations.
    pub groups: &'w [&'w str],
    /// Subject alternative names: host names or addresses.
    pub hosts: &'w [&'w str],
    /// Extended key usage.
    pub purpose: Purpose,
    /// The year in which it ends.
    pub last_year: i32,
}

impl Authority {
    /// A new authority that signs itself.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names to refuse");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("it can sign itself") }
    }

    /// The authority's certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Makes a certificate.
    pub fn issue(&self, wish: &Wish<'_>) -> Identity {
        let hosts: Vec<String> = wish.hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("host names are valid");
        params.distinguished_name.remove(DnType::CommonName);
        for group in wish.groups {
            // One organization only: rcgen keeps one attribute of each type.
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.distinguished_name.push(DnType::CommonName, wish.name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(wish.last_year, 12, 31);
        params.extended_key_usages = vec![match wish.purpose {
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A client certificate that is good for long.
    pub fn client(&self, name: &str, groups: &[&str]) -> Identity {
        let purpose = Purpose::Client;
        self.issue(&Wish { name, groups, hosts: &[], purpose, last_year: 2090 })
    }

    /// A serving certificate for `localhost` and 127.0.0.1 that is good for long.
    pub fn server(&self) -> Identity {
        let hosts = &["localhost", "127.0.0.1"];
        let purpose = Purpose::Server;
        self.issue(&Wish { name: "server", groups: &[], hosts, purpose, last_year: 2090 })
    }
}

impl Identity {
    /// Writes certificate and key into a folder, as `<stem>.crt` and `<stem>.key`.
    pub fn write(&self, folder: &Path, stem: &str) -> (PathBuf, PathBuf) {
        let certificate = folder.join(format!("{stem}.crt"));
        let key = folder.join(format!("{stem}.key"));
        std::fs::write(&certificate, &self.certificate).expect("the folder can be written");
        std::fs::write(&key, &self.key).expect("the folder can be written");
        (certificate, key)
    }
}
