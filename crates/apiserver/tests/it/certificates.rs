//! The server rejects an unusable serving certificate at startup. The error names the file.

use std::error::Error;
use std::path::{Path, PathBuf};

use apiserver::tls::ServingCertificate;
use event::Timestamp;
use testkit::pki::{Authority, CertificateRequest, Purpose};

/// 18 November 2026.
const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

/// The error for the two files, followed by its sources.
fn message_of(certificate: &Path, key: &Path) -> String {
    let error = ServingCertificate::open(certificate, key, NOW).expect_err("it is unusable");
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    message
}

/// Checks that the error names the file and contains `words`.
fn check(certificate: &Path, key: &Path, named: &Path, words: &str) {
    let message = message_of(certificate, key);
    assert!(
        message.contains(named.to_str().unwrap()),
        "{} is not named: {message}",
        named.display()
    );
    assert!(message.contains(words), "{words:?} is missing: {message}");
}

fn text(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn each_unusable_serving_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let ca = Authority::new("ca");
    let request = CertificateRequest {
        name: "server",
        groups: &[],
        hosts: &["localhost"],
        purpose: Purpose::Server,
        last_year: 2090,
    };
    let (valid, key) = ca.issue(&request).write(at, "good");
    assert!(ServingCertificate::open(&valid, &key, NOW).is_ok());

    let (nameless, nameless_key) =
        ca.issue(&CertificateRequest { hosts: &[], ..request.clone() }).write(at, "san");
    check(&nameless, &nameless_key, &nameless, "has no subject alternative name");
    let (old, old_key) =
        ca.issue(&CertificateRequest { last_year: 2025, ..request }).write(at, "old");
    check(&old, &old_key, &old, "expired at 2025-12-31T00:00:00");
    check(&valid, &old_key, &valid, "do not match");
    check(&valid, &old_key, &old_key, "do not match");

    let missing = at.join("missing");
    check(&missing, &key, &missing, "cannot read");
    check(&valid, &missing, &missing, "No such file");
    check(at, &key, at, "Is a directory");
    let nonsense = text(at, "nonsense", "not a certificate");
    check(&nonsense, &key, &nonsense, "contains no valid certificate");
    check(&valid, &nonsense, &nonsense, "contains no valid private key");
    let cut = std::fs::read_to_string(&valid).unwrap().replace("MII", "!!!");
    let cut = text(at, "cut", &cut);
    check(&cut, &key, &cut, "contains no valid certificate");
    check(&key, &key, &key, "contains no valid certificate");
    check(&valid, &valid, &valid, "contains no valid private key");
}

#[test]
fn an_invalid_certificate_does_not_replace_a_valid_one() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new("ca");
    let (certificate, key) = ca.server().write(folder.path(), "serving");
    let serving = ServingCertificate::open(&certificate, &key, NOW).unwrap();
    assert!(!serving.reload(NOW).unwrap(), "the file has not changed");
    std::fs::write(&certificate, "cut in the middle of being wri").unwrap();
    let error = serving.reload(NOW).unwrap_err().to_string();
    assert_eq!(error, format!("{} contains no valid certificate", certificate.display()));
    ca.server().write(folder.path(), "serving");
    assert!(serving.reload(NOW).unwrap(), "a valid one is used again");
}
