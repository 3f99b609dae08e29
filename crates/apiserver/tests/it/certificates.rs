//! The server rejects an unusable serving certificate at startup. The error names the file.

use std::error::Error;
use std::path::{Path, PathBuf};

use apiserver::tls::ServingCertificate;
use event::Timestamp;
use testkit::pki::{Authority, CertificateRequest, Purpose};

/// 18 November 2026.
const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

/// The error for the two files, followed by its sources.
fn said(certificate: &Path, key: &Path) -> String {
    let error = ServingCertificate::open(certificate, key, NOW).expect_err("it is unusable");
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

/// Checks that the error names the file and contains `words`.
fn check(certificate: &Path, key: &Path, named: &Path, words: &str) {
    let said = said(certificate, key);
    assert!(said.contains(named.to_str().unwrap()), "{} is not named: {said}", named.display());
    assert!(said.contains(words), "{words:?} is not said: {said}");
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
    let (good, key) = ca.issue(&request).write(at, "good");
    assert!(ServingCertificate::open(&good, &key, NOW).is_ok());

    let (nameless, nameless_key) =
        ca.issue(&CertificateRequest { hosts: &[], ..request.clone() }).write(at, "san");
    check(&nameless, &nameless_key, &nameless, "has no subject alternative name");
    let (old, old_key) =
        ca.issue(&CertificateRequest { last_year: 2025, ..request }).write(at, "old");
    check(&old, &old_key, &old, "expired at 2025-12-31T00:00:00");
    check(&good, &old_key, &good, "do not match");
    check(&good, &old_key, &old_key, "do not match");

    let missing = at.join("missing");
    check(&missing, &key, &missing, "cannot read");
    check(&good, &missing, &missing, "No such file");
    check(at, &key, at, "Is a directory");
    let nonsense = text(at, "nonsense", "not a certificate");
    check(&nonsense, &key, &nonsense, "contains no valid certificate");
    check(&good, &nonsense, &nonsense, "contains no valid private key");
    let cut = std::fs::read_to_string(&good).unwrap().replace("MII", "!!!");
    let cut = text(at, "cut", &cut);
    check(&cut, &key, &cut, "contains no valid certificate");
    check(&key, &key, &key, "contains no valid certificate");
    check(&good, &good, &good, "contains no valid private key");
}

#[test]
fn an_invalid_certificate_does_not_replace_a_valid_one() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new("ca");
    let (certificate, key) = ca.server().write(folder.path(), "serving");
    let serving = ServingCertificate::open(&certificate, &key, NOW).unwrap();
    assert!(!serving.reload(NOW).unwrap(), "nothing has changed");
    std::fs::write(&certificate, "cut in the middle of being wri").unwrap();
    let error = serving.reload(NOW).unwrap_err().to_string();
    assert_eq!(error, format!("{} contains no valid certificate", certificate.display()));
    ca.server().write(folder.path(), "serving");
    assert!(serving.reload(NOW).unwrap(), "a good one is taken again");
}
