//! Profiles and Secrets, and the resulting destination or error message.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use std::path::PathBuf;

use event::Timestamp;
use expect_test::{Expect, expect};
use kasten::config::audit_config::{AuditConfigStatus, ProfileReference};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;

const CANARY: &str = "CANARY-do-not-show";

fn config() -> AuditConfigView {
    AuditConfigView {
        key: NamespacedName { namespace: "kasten-io".to_owned(), name: "siem".to_owned() },
        uid: String::new(),
        created: Timestamp::UNSET,
        is_deleting: false,
        finalizers: Vec::new(),
        starts_at_oldest: false,
        retention: None,
        profile: Ok(ProfileReference { name: "p".to_owned(), namespace: Some(String::new()) }),
        status: AuditConfigStatus::default(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "tables read better without marks")]
fn s3(store: Value) -> Value {
    let mut all = json!({"objectStoreType": "S3", "name": "my-bucket", "region": "eu-west-1"});
    all.as_object_mut().unwrap().extend(store.as_object().unwrap().clone());
    json!({"type": "Location", "locationSpec": {
        "type": "ObjectStore",
        "credential": {
            "secretType": "AwsAccessKey",
            "secret": {"apiVersion": "v1", "kind": "secret", "name": "s", "namespace": "kasten-io"},
        },
        "objectStore": all,
    }})
}

fn secret(values: &[(&str, &str)]) -> Lookup<SecretData> {
    let value = |value: &str| Some(SecretString::from(value.trim()));
    let values = values.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect();
    Lookup::Found(SecretData { kind: "secrets.kanister.io/aws".to_owned(), values })
}

fn aws() -> Lookup<SecretData> {
    secret(&[("aws_access_key_id", "AKIA\n"), ("aws_secret_access_key", CANARY)])
}

fn text_of(resolution: &Resolution) -> String {
    let text = match resolution {
        Resolution::Unknown => "unknown".to_owned(),
        Resolution::Pending(what) => format!("waits: {what}"),
        Resolution::Invalid(errors) => errors.join("\n"),
        Resolution::Ready(resolved) => {
            format!("{}\n{:?}", resolved.description(), resolved.destination)
        }
    };
    assert!(!text.contains(CANARY), "{text}");
    text + "\n"
}

#[expect(clippy::needless_pass_by_value, reason = "as expect! and json! make them")]
fn check(profile: Value, secret: Lookup<SecretData>, expected: Expect) {
    let settings = Settings { volumes: Some(PathBuf::from("/volumes")), ..Settings::default() };
    let resolution = resolve_config(&config(), &Lookup::Found(profile), &secret, &settings);
    expected.assert_eq(&text_of(&resolution));
}

#[test]
fn the_documented_profile_is_a_bucket_at_aws() {
    check(
        s3(json!({"endpoint": "", "skipSSLVerify": false})),
        aws(),
        expect![[r#"
            s3 bucket `my-bucket` in region `eu-west-1`, below k10audit/
            Destination { provider: S3(S3 { endpoint: None, region: "eu-west-1", path_style: false }), bucket: "my-bucket", prefix: Prefix("k10audit/"), skip_tls_verify: false, ca_pem: None, credentials: AwsAccessKey { access_key_id: "AKIA", secret_access_key: SecretBox<str>([REDACTED]), session_token: None, role: None }, retention: None, limits: Limits { seal_bytes: 16777216, seal_age: 60s, line_bytes: 512000 } }
        "#]],
    );
}

#[test]
fn the_older_format_is_accepted() {
    let new = s3(json!({}));
    let location = &new["locationSpec"];
    let older = json!({"type": "Location", "locationSpec": {
        "credential": location["credential"],
        "location": {"locationType": "ObjectStore", "objectStore": location["objectStore"]},
    }});
    check(
        older,
        aws(),
        expect![[r#"
            s3 bucket `my-bucket` in region `eu-west-1`, below k10audit/
            Destination { provider: S3(S3 { endpoint: None, region: "eu-west-1", path_style: false }), bucket: "my-bucket", prefix: Prefix("k10audit/"), skip_tls_verify: false, ca_pem: None, credentials: AwsAccessKey { access_key_id: "AKIA", secret_access_key: SecretBox<str>([REDACTED]), session_token: None, role: None }, retention: None, limits: Limits { seal_bytes: 16777216, seal_age: 60s, line_bytes: 512000 } }
        "#]],
    );
}

#[test]
fn missing_and_invalid_values_are_named() {
    check(
        s3(json!({"name": "a/../b"})),
        aws(),
        expect![[r#"
        Profile kasten-io/p: spec.locationSpec.objectStore.name "a/../b" is not the name of a bucket
    "#]],
    );
    check(
        s3(json!({"objectStoreType": "VeeamVault"})),
        aws(),
        expect![[r#"
        Profile kasten-io/p: spec.locationSpec.objectStore.objectStoreType is "VeeamVault", which cannot take events; S3, GCS and Azure can
    "#]],
    );
    check(
        json!({"type": "Infra"}),
        aws(),
        expect![[r#"
        Profile kasten-io/p: spec.type is "Infra"; events can be delivered to a Location only
    "#]],
    );
    check(
        json!({"type": 5}),
        aws(),
        expect![[r#"
        Profile kasten-io/p: a field of its spec is not a string
    "#]],
    );
    check(
        json!({"type": "Location", "locationSpec": {"type": "VBR"}}),
        Lookup::NotSynced,
        expect![[r#"
            Profile kasten-io/p: spec.locationSpec.type is "VBR", which cannot take events; ObjectStore (S3, GCS, Azure) and FileStore can
        "#]],
    );
    check(
        s3(json!({})),
        secret(&[("aws_access_key_id", "A"), ("rolle", CANARY)]),
        expect![[r#"
        Secret kasten-io/s: key with another name than aws_access_key_id, aws_secret_access_key, aws_session_token, role: rename or remove it
        Secret kasten-io/s: key aws_secret_access_key is missing
    "#]],
    );
    check(
        s3(json!({})),
        Lookup::NotFound,
        expect![[r#"
        waits: Secret kasten-io/s, which Profile kasten-io/p names, does not exist
    "#]],
    );
    check(
        s3(json!({})),
        Lookup::NotSynced,
        expect![[r#"
        unknown
    "#]],
    );
}

#[test]
fn roles_and_the_servers_own_identity_are_used() {
    check(
        s3(json!({})),
        secret(&[("role", "arn:aws:iam::1:role/audit\n")]),
        expect![[r#"
            s3 bucket `my-bucket` in region `eu-west-1`, below k10audit/
            Destination { provider: S3(S3 { endpoint: None, region: "eu-west-1", path_style: false }), bucket: "my-bucket", prefix: Prefix("k10audit/"), skip_tls_verify: false, ca_pem: None, credentials: AwsDefaultChain { role: Some(Role { arn: "arn:aws:iam::1:role/audit", external_id: None, sts_endpoint: None }) }, retention: None, limits: Limits { seal_bytes: 16777216, seal_age: 60s, line_bytes: 512000 } }
        "#]],
    );
    check(
        s3(json!({})),
        secret(&[("role", CANARY)]),
        expect![[r#"
        Secret kasten-io/s: key role is not the ARN of a role
    "#]],
    );
}

#[test]
fn google_azure_and_volumes_are_supported() {
    let store = |kind: &str, secret_type: &str| {
        let mut profile = s3(json!({"objectStoreType": kind}));
        profile["locationSpec"]["credential"]["secretType"] = secret_type.into();
        profile
    };
    let google = secret(&[("project-id", "p"), ("service-account.json", CANARY)]);
    check(
        store("GCS", "GcpServiceAccountKey"),
        google,
        expect![[r#"
            gcs bucket `my-bucket`, below k10audit/
            Destination { provider: Gcs(Gcs { endpoint: None }), bucket: "my-bucket", prefix: Prefix("k10audit/"), skip_tls_verify: false, ca_pem: None, credentials: GcpServiceAccount { json: SecretBox<str>([REDACTED]) }, retention: None, limits: Limits { seal_bytes: 16777216, seal_age: 60s, line_bytes: 512000 } }
        "#]],
    );
    let azure = secret(&[
        ("azure_storage_account_id", "acc"),
        ("azure_storage_key", CANARY),
        ("azure_storage_environment", "AzureChinaCloud"),
    ]);
    check(
        store("Azure", "AzStorageAccount"),
        azure,
        expect![[r#"
            azure container `my-bucket`, below k10audit/
            Destination { provider: Azure(Azure { endpoint: Some("https://acc.blob.core.chinacloudapi.cn") }), bucket: "my-bucket", prefix: Prefix("k10audit/"), skip_tls_verify: false, ca_pem: None, credentials: AzureAccountKey { account: "acc", key: SecretBox<str>([REDACTED]) }, retention: None, limits: Limits { seal_bytes: 16777216, seal_age: 60s, line_bytes: 512000 } }
        "#]],
    );
    check(
        store("Azure", "AwsAccessKey"),
        aws(),
        expect![[r#"
        Profile kasten-io/p: spec.locationSpec.credential.secretType is "AwsAccessKey", and this kind of store takes AzStorageAccount
    "#]],
    );
    let file = |claim: &str, path: &str| {
        json!({"type": "Location", "locationSpec": {
            "type": "FileStore", "fileStore": {"claimName": claim, "path": path},
        }})
    };
    check(
        file("pvc", "/audit"),
        Lookup::NotSynced,
        expect![[r#"
            folder /volumes/pvc/audit, below k10audit/
            Destination { provider: File(FileStore { root: "/volumes/pvc", path: "audit" }), bucket: "", prefix: Prefix("k10audit/"), skip_tls_verify: false, ca_pem: None, credentials: None, retention: None, limits: Limits { seal_bytes: 16777216, seal_age: 60s, line_bytes: 512000 } }
        "#]],
    );
    check(
        file("../etc", ""),
        Lookup::NotSynced,
        expect![[r#"
        Profile kasten-io/p: spec.locationSpec.fileStore.claimName "../etc" is not the name of a claim
    "#]],
    );
    check(
        file("pvc", "a/../../b"),
        Lookup::NotSynced,
        expect![[r#"
        Profile kasten-io/p: spec.locationSpec.fileStore.path a/../../b leaves the volume
    "#]],
    );
}

#[test]
fn only_allowed_namespaces_are_used() {
    let settings = Settings::default();
    let resolve = |config: &AuditConfigView, profile: Value| {
        text_of(&resolve_config(config, &Lookup::Found(profile), &aws(), &settings))
    };
    let other_namespace = AuditConfigView {
        key: NamespacedName { namespace: "shop".to_owned(), name: "siem".to_owned() },
        ..config()
    };
    let mut foreign_secret = s3(json!({}));
    foreign_secret["locationSpec"]["credential"]["secret"]["namespace"] = "bank".into();
    let both = resolve(&other_namespace, s3(json!({}))) + &resolve(&config(), foreign_secret);
    expect![[r#"
        AuditConfig shop/siem is not in a namespace that may be used for delivery (kasten-io); --audit-config-namespaces names them
        Secret bank/s is not in a namespace that may be used for delivery (kasten-io); --audit-config-namespaces names them
    "#]].assert_eq(&both);
}

#[test]
fn retention_is_requested_by_annotation_and_needs_a_period() {
    let with = |mode: &str, period: Value| {
        let config = AuditConfigView { retention: Some(mode.to_owned()), ..config() };
        let profile = Lookup::Found(s3(json!({"protectionPeriod": period})));
        match resolve_config(&config, &profile, &aws(), &Settings::default()) {
            Resolution::Ready(resolved) => format!("{:?}\n", resolved.destination.retention),
            other => text_of(&other),
        }
    };
    let all = with("governance", json!("240h"))
        + &with("compliance", Value::Null)
        + &with("forever", json!("240h"));
    expect![[r#"
        Some(Retention { mode: Governance, period: 864000s })
        Profile kasten-io/p: spec.locationSpec.objectStore.protectionPeriod is ""; retention needs a time such as 240h
        Profile kasten-io/p: annotation audit.keepwatch.io/retention is "forever"; only governance and compliance are allowed
    "#]].assert_eq(&all);
}

#[test]
fn a_changed_key_changes_the_fingerprint() {
    let fingerprint = |key: &str| {
        let secret = secret(&[("aws_access_key_id", "A"), ("aws_secret_access_key", key)]);
        match resolve_config(
            &config(),
            &Lookup::Found(s3(json!({}))),
            &secret,
            &Settings::default(),
        ) {
            Resolution::Ready(resolved) => resolved.fingerprint,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fingerprint("one"), fingerprint("one\n"));
    assert_ne!(fingerprint("one"), fingerprint("two"));
}

#[test]
fn endpoints_that_hide_a_host_are_rejected() {
    let settings = Settings::default();
    for valid in [
        "s3.example.com",
        "https://S3.example.com/",
        "https://minio.minio.svc:9000",
        "https://10.0.0.7:9000",
        "[2001:db8::1]:9000",
    ] {
        let normal = endpoint::normalize(valid, &settings).unwrap();
        assert!(normal.starts_with("https://") && !normal.ends_with('/'), "{normal}");
    }
    for invalid in [
        "http://s3.example.com",
        "ftp://s3.example.com",
        "file:///etc/passwd",
        "https://",
        "https://user:pass@s3.example.com",
        "https://s3.example.com@169.254.169.254",
        "https://s3.example.com/path",
        "https://s3.example.com?x",
        "https://s3.example.com#x",
        "https://s3.example.com\\@evil",
        "https://s3 .example.com",
        "https://s3.example.com\r\nHost: x",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.1",
        "https://127.1",
        "https://0177.0.0.1",
        "https://s3.example.com:0",
        "https://s3.example.com:99999",
        "https://s3.example.com:80:80",
        "https://[::1",
        "https://[::1]x",
        "https://..",
        "https://-a.example.com",
        "https://ex\u{430}mple.com",
    ] {
        assert!(endpoint::normalize(invalid, &settings).is_err(), "{invalid}");
    }
    let plain = Settings { plain_http: true, ..Settings::default() };
    assert_eq!(endpoint::normalize("HTTP://a:9000", &plain).unwrap(), "http://a:9000");
    let listed = Settings { endpoints: vec!["S3.example.com".to_owned()], ..Settings::default() };
    endpoint::normalize("s3.example.com:443", &listed).unwrap();
    endpoint::normalize("s3.evil.com", &listed).unwrap_err();
}
