//! Invalid flags and combinations of flags: an error that names them, and exit code 2.

use crate::server::{run, text};

fn check(flags: &[&str], words: &[&str]) {
    let arguments: Vec<&str> = ["serve"].iter().chain(flags).copied().collect();
    let output = run(&arguments, "");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{flags:?}: {stderr}");
    assert_eq!(output.stdout, b"", "{flags:?}");
    for word in words {
        assert!(stderr.contains(word), "{flags:?}: {word} is not in {stderr}");
    }
}

#[test]
fn conflicting_flags_are_named() {
    check(&["--tls-cert-file=a"], &["--tls-cert-file", "--tls-private-key-file"]);
    check(&["--tls-private-key-file=a"], &["--tls-cert-file", "--tls-private-key-file"]);
    check(&["--audit-log-file-size=0"], &["--audit-log-file-size=0"]);
    check(&["--audit-log-file-size=-5"], &["--audit-log-file-size=-5"]);
    check(&["--audit-log-maxbackup=-1"], &["--audit-log-maxbackup=-1"]);
    check(&["--audit-log-maxage=-1"], &["--audit-log-maxage=-1"]);
    check(
        &["--enable-k10-audit-cluster=false", "--audit-log-file=a.log"],
        &["--audit-log-file=a.log", "--enable-k10-audit-cluster=false"],
    );
    check(&["--enable-k10-audit-cluster=false", "--audit-log-maxage=-1"], &["--audit-log-maxage"]);
    check(&["--audit-log-file="], &["--audit-log-file"]);
    check(&["--audit-log-format=short"], &["--audit-log-format=short", "kasten or v1"]);
    check(&["--audit-policy=mine"], &["--audit-policy=mine", "k10, k10-7 or extended"]);
    check(
        &["--audit-policy=k10", "--audit-policy-file=a"],
        &["--audit-policy", "--audit-policy-file"],
    );
    check(
        &["--authentication-skip-lookup", "--authentication-tolerate-lookup-failure=true"],
        &["--authentication-skip-lookup", "--authentication-tolerate-lookup-failure"],
    );
    check(
        &["--requestheader-allowed-names=a,b"],
        &["--requestheader-allowed-names", "--requestheader-client-ca-file"],
    );
    check(
        &["--requestheader-username-headers=x remote"],
        &["--requestheader-username-headers", "x remote"],
    );
    check(
        &["--journal-retention-size=2Gi", "--journal-limit=1Gi"],
        &["--journal-retention-size", "--journal-limit"],
    );
    for domain in ["", "Kio.example.com", "kio_example.com", "kio..com", "-kio.com", "a/b"] {
        let flag = format!("--k10-api-domain={domain}");
        check(&[&flag], &[&format!("{flag} is not a domain like kio.kasten.io"), "231"]);
    }
    for namespace in ["", "kasten.io", "Kasten", "-a"] {
        let flag = format!("--k10-namespace={namespace}");
        check(&[&flag], &[&format!("{flag} is not a namespace like kasten-io"), "63"]);
    }
    check(&["--max-requests-inflight=0"], &["--max-requests-inflight"]);
    check(&["--request-timeout=0s"], &["--request-timeout"]);
}

#[test]
fn conflicting_flags_of_the_audit_webhook_are_named() {
    check(&["--audit-webhook-clusters=a"], &["--audit-webhook-clusters", "--audit-webhook-port"]);
    check(
        &["--audit-webhook-port=1"],
        &[
            "--audit-webhook-clusters",
            "--audit-webhook-token-dir",
            "--audit-webhook-token-file",
            "--audit-webhook-client-ca-file",
        ],
    );
    check(
        &[
            "--audit-webhook-port=1",
            "--audit-webhook-clusters=a",
            "--audit-webhook-token-file=t",
            "--audit-webhook-tls-cert-file=c",
        ],
        &["--audit-webhook-tls-cert-file", "--audit-webhook-tls-private-key-file"],
    );
    check(
        &["--admission-webhook-port=1", "--admission-webhook-tls-cert-file=c"],
        &[
            "--admission-webhook-clusters",
            "--admission-webhook-token-dir",
            "--admission-webhook-tls-private-key-file",
        ],
    );
    check(
        &["--admission-webhook-token-file=t"],
        &["--admission-webhook-token-file is given without --admission-webhook-port"],
    );
    let listener = ["--audit-webhook-port=1", "--audit-webhook-clusters=a,b"];
    let names = "--audit-webhook-client-names=a=x,c=y";
    check(
        &[listener[0], listener[1], "--audit-webhook-token-dir=t", names],
        &["--audit-webhook-client-ca-file", "c is not in --audit-webhook-clusters"],
    );
    check(
        &[listener[0], listener[1], "--audit-webhook-client-ca-file=c", names],
        &["--audit-webhook-client-names has no name for b"],
    );
    check(
        &["--audit-log-source=a=/b.log", "--audit-log-file=/b.log"],
        &["--audit-log-source", "--audit-log-file", "/b.log"],
    );
    check(&["--max-requests-inflight=0"], &["--max-requests-inflight"]);
    check(&["--request-timeout=0s"], &["--request-timeout"]);
}

#[test]
fn a_bucket_that_would_get_the_pods_own_credentials_is_refused() {
    let flags = ["--bucket-source=a=s3://b/c", "--bucket-source-s3-endpoint=https://minio:9000"];
    check(&flags, &["AWS_ACCESS_KEY_ID", "s3://b/c", "https://minio:9000"]);
}

#[test]
fn each_invalid_value_names_the_flag() {
    for value in ["a", "a=b", "A=s3://b", "a=ftp://b", "a=https://example.com/b"] {
        let flag = format!("--bucket-source={value}");
        check(&[&flag], &["--bucket-source", "such as prod"]);
    }
    check(&["--bucket-source=a=/b,c=/b"], &["--bucket-source names /b/ twice"]);
    check(&["--bucket-source-poll-period=0s"], &["--bucket-source-poll-period"]);
    check(&["--secure-port=70000"], &["--secure-port"]);
    check(&["--bind-address=here"], &["--bind-address"]);
    check(&["--enable-k10-audit-cluster=maybe"], &["--enable-k10-audit-cluster"]);
    check(&["--audit-webhook-clusters=Prod"], &["--audit-webhook-clusters", "such as prod-eu"]);
    for value in ["a", "a=", "A=x", "=x"] {
        let flag = format!("--audit-webhook-client-names={value}");
        check(&[&flag], &["--audit-webhook-client-names"]);
    }
    for log in ["a", "=/b", "A=/b", "a=b.log", "a=", "a=/b/"] {
        let flag = format!("--audit-log-source={log}");
        check(&[&flag], &["--audit-log-source <CLUSTER=PATH>"]);
    }
    check(&["--request-timeout=60"], &["--request-timeout", "is not a duration"]);
    check(&["--journal-limit=much"], &["--journal-limit", "is not a size"]);
    check(&["--audit-log-format=xml"], &["--audit-log-format"]);
    check(&["--no-such-flag"], &["--no-such-flag"]);
}

#[test]
fn several_errors_are_reported_at_once() {
    check(
        &["--tls-cert-file=a", "--audit-log-maxage=-1"],
        &["--tls-private-key-file", "--audit-log-maxage=-1"],
    );
    check(
        &["--max-requests-inflight=0", "--k10-api-domain=k10_"],
        &["--max-requests-inflight", "--k10-api-domain=k10_"],
    );
}

#[test]
fn an_unusable_kubeconfig_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("kubeconfig");
    let kubeconfig = format!("--kubeconfig={}", missing.display());
    let data = format!("--data-dir={}", folder.path().join("data").display());
    let certificates = format!("--cert-dir={}", folder.path().join("pki").display());
    let output = run(&["serve", &kubeconfig, &data, &certificates], "");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(missing.to_str().unwrap()), "{stderr}");
}
