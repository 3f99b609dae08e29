//! Secrets are planted as canaries everywhere that secrets can enter, and must not be found in any
//! output.
//!
//! The test takes every path to a destination, including the invalid ones, with the log level
//! DEBUG. Then it searches all output of the server for every canary: in plain text, in base64 at
//! each offset, and percent-encoded as in a URL.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use e2e::emulators::s3::{ACCESS_KEY, S3Server};
use e2e::fixtures::load_client::Protocol;
use e2e::fixtures::standalone::{BUCKET, Standalone, send};
use e2e::fixtures::{archive, until};
use serde_json::{Value, json};

const NAMESPACES: &str = "/api/v1/namespaces/kasten-io";
const CONFIG: &str = "/apis/config.kio.kasten.io/v1alpha1/namespaces/kasten-io";

/// The number of the canary in the URL of a proxy.
const PROXY: usize = 90;

/// A canary that every escaping changes.
fn canary(number: usize) -> String {
    format!("canary+{number:02}/Zk3\"vQ9")
}

/// Every encoding in which it might appear.
fn encodings(canary: &str) -> Vec<String> {
    let url: String = canary
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let mut encodings = vec![canary.to_owned(), canary.replace('"', "\\\""), url];
    for offset in 0..3 {
        let text = STANDARD_NO_PAD.encode(format!("{}{canary}", "x".repeat(offset)));
        // The first and last characters depend on the neighbouring bytes.
        encodings.push(text.get(offset + 1..text.len() - 3).unwrap().to_owned());
    }
    encodings
}

/// Creates a Secret, a Profile that references it, and an `AuditConfig` that references the
/// Profile.
async fn create_destination(
    server: &Standalone,
    name: &str,
    kind: &str,
    keys: Value,
    store: Value,
) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": keys});
    create(server, &format!("{NAMESPACES}/secrets"), &secret).await;
    let group = "config.kio.kasten.io/v1alpha1";
    let credential = json!({"secretType": kind, "secret": {
        "apiVersion": "v1", "kind": "Secret", "name": name, "namespace": "kasten-io"}});
    let profile = json!({"apiVersion": group, "kind": "Profile", "metadata": {"name": name},
        "spec": {"type": "Location", "locationSpec": {
            "type": "ObjectStore", "credential": credential, "objectStore": store}}});
    create(server, &format!("{CONFIG}/profiles"), &profile).await;
    let config = json!({"apiVersion": group, "kind": "AuditConfig", "metadata": {"name": name},
        "spec": {"profile": {"name": name}}});
    create(server, &format!("{CONFIG}/auditconfigs"), &config).await;
}

async fn create(server: &Standalone, collection: &str, body: &Value) {
    let (code, response) = send(&server.admin, "POST", collection, Some(body)).await.unwrap();
    assert_eq!(code, 201, "{collection}: {response}");
}

fn s3(endpoint: &str, bucket: &str, region: &str) -> Value {
    json!({"objectStoreType": "S3", "name": bucket, "region": region, "endpoint": endpoint})
}

fn aws(id: &str, secret: &str) -> Value {
    json!({"aws_access_key_id": id, "aws_secret_access_key": secret})
}

/// Creates the `AuditConfig`s, each named for its mistake, and returns the number of canaries.
async fn create_destinations(
    server: &Standalone,
    s3_server: &S3Server,
    tls_server: &S3Server,
) -> usize {
    let (endpoint, closed) = (s3_server.endpoint(), "http://127.0.0.1:1".to_owned());
    s3_server.create_user("AKIAGOOD", &canary(0)).unwrap();
    let us = "us-east-1";
    let mut with_token = aws("AKIAGOOD", &canary(0));
    with_token["aws_session_token"] = canary(1).into();
    let mut misspelt = aws(ACCESS_KEY, &canary(2));
    misspelt["rule"] = canary(3).into();
    let mut role = aws(ACCESS_KEY, &canary(4));
    role["role"] = "arn:aws:iam::1:role/audit".into();
    let google = json!({"project-id": "p", "service-account.json":
        json!({"type": "service_account", "private_key": canary(5)}).to_string()});
    let azure = json!({"azure_storage_account_id": "a", "azure_storage_key": canary(6)});
    let cases = [
        ("good", "AwsAccessKey", aws("AKIAGOOD", &canary(0)), s3(&endpoint, BUCKET, us)),
        ("token", "AwsAccessKey", with_token, s3(&endpoint, BUCKET, us)),
        ("misspelt", "AwsAccessKey", misspelt, s3(&endpoint, BUCKET, us)),
        ("role", "AwsAccessKey", role, s3(&endpoint, BUCKET, us)),
        ("key", "AwsAccessKey", aws(ACCESS_KEY, &canary(7)), s3(&endpoint, BUCKET, us)),
        ("nobody", "AwsAccessKey", aws("AKIANOBODY", &canary(8)), s3(&endpoint, BUCKET, us)),
        ("bucket", "AwsAccessKey", aws("AKIAGOOD", &canary(0)), s3(&endpoint, "no-such", us)),
        ("region", "AwsAccessKey", aws("AKIAGOOD", &canary(0)), s3(&endpoint, BUCKET, "eu-9")),
        ("closed", "AwsAccessKey", aws(ACCESS_KEY, &canary(9)), s3(&closed, BUCKET, us)),
        (
            "tls",
            "AwsAccessKey",
            aws(ACCESS_KEY, &canary(10)),
            s3(&tls_server.endpoint(), BUCKET, us),
        ),
        (
            "lines",
            "AwsAccessKey",
            aws(ACCESS_KEY, &format!("{}\nx", canary(11))),
            s3(&endpoint, BUCKET, us),
        ),
        (
            "swapped",
            "GcpServiceAccountKey",
            aws(ACCESS_KEY, &canary(12)),
            s3(&endpoint, BUCKET, us),
        ),
        (
            "google",
            "GcpServiceAccountKey",
            google,
            json!({"objectStoreType": "GCS", "name": BUCKET, "endpoint": closed}),
        ),
        (
            "azure",
            "AzStorageAccount",
            azure,
            json!({"objectStoreType": "Azure", "name": BUCKET, "endpoint": closed}),
        ),
    ];
    for (name, kind, keys, store) in &cases {
        create_destination(server, name, kind, keys.clone(), store.clone()).await;
    }
    for (name, ..) in cases {
        wait_for_validation(server, name).await;
    }
    13
}

/// Waits until the validation of an `AuditConfig` of [`create_destinations`] has its expected
/// result.
async fn wait_for_validation(server: &Standalone, name: &str) {
    // Some servers accept a session token that was never issued.
    let expected: &[&str] = match name {
        "good" => &["Success"],
        "token" => &["Success", "Failed"],
        _ => &["Failed"],
    };
    let path = format!("{CONFIG}/auditconfigs/{name}");
    e2e::fixtures::standalone::wait(&format!("{name} is {expected:?}"), async || {
        let config = send(&server.admin, "GET", &path, None).await?.1;
        Ok(expected.contains(&config["status"]["validation"].as_str().unwrap_or("")).then_some(()))
    })
    .await
    .unwrap();
}

/// Sends secrets in requests, and returns their number.
async fn send_secrets(server: &Standalone, first_canary: usize) -> usize {
    let mut connection = server.admin.connections(Protocol::Http1, 1).await.unwrap().remove(0);
    let bearer = format!("Bearer {}", canary(first_canary));
    let cookie = format!("session={}", canary(first_canary + 1));
    for headers in [("authorization", bearer.as_str()), ("cookie", &cookie)] {
        connection.send(&server.admin, "GET", NAMESPACES, &[headers], Bytes::new()).await.unwrap();
    }
    let passkey = json!({"apiVersion": "vault.kio.kasten.io/v1alpha1", "kind": "Passkey",
        "metadata": {"name": "k"}, "spec": {"passphrase": canary(first_canary + 2),
            "secret": {"name": "s", "passphrase": canary(first_canary + 2)}}});
    let passkeys = "/apis/vault.kio.kasten.io/v1alpha1/passkeys";
    send(&server.admin, "POST", passkeys, Some(&passkey)).await.unwrap();
    // A Secret that contains a kubeconfig with a password, and an invalid Secret.
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kube"},
        "stringData": {"kubeconfig": format!("password: {}", canary(first_canary + 3))}});
    create(server, &format!("{NAMESPACES}/secrets"), &kubeconfig).await;
    let invalid_secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "broken"},
        "data": {"sse": canary(first_canary + 4)}});
    let (code, _) =
        send(&server.admin, "POST", &format!("{NAMESPACES}/secrets"), Some(&invalid_secret))
            .await
            .unwrap();
    assert!(code >= 400, "{code}");
    let patch = json!({"data": {"sse": canary(first_canary + 5)}});
    send(&server.admin, "PATCH", &format!("{NAMESPACES}/secrets/kube"), Some(&patch))
        .await
        .unwrap();
    6
}

/// All output that users and programs can see, by name.
async fn outputs(server: &Standalone, s3_server: &S3Server) -> Vec<(String, String)> {
    let mut outputs = Vec::new();
    for path in [
        "/metrics".to_owned(),
        "/readyz?verbose".to_owned(),
        format!("{CONFIG}/auditconfigs"),
        format!("{CONFIG}/profiles"),
        format!("{NAMESPACES}/events"),
        "/apis/vault.kio.kasten.io/v1alpha1/passkeys".to_owned(),
    ] {
        let mut connection = server.admin.connections(Protocol::Http1, 1).await.unwrap().remove(0);
        let reply = connection.send(&server.admin, "GET", &path, &[], Bytes::new()).await.unwrap();
        outputs.push((path, String::from_utf8_lossy(&reply.body).into_owned()));
    }
    let log = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    outputs.push(("the log".to_owned(), log(server.process.log())));
    for (key, object) in s3_server.objects(BUCKET).unwrap() {
        let text = if key.ends_with(".json.gz") {
            archive::lines(&object).unwrap_or_default().join("\n")
        } else {
            String::from_utf8_lossy(&object).into_owned()
        };
        outputs.push((key, text));
    }
    outputs
}

#[test]
fn no_secret_is_found_in_any_output() {
    check("text");
    check("json");
}

fn check(format: &str) {
    let folder = tempfile::tempdir().unwrap();
    let s3_server = S3Server::start(None).unwrap();
    s3_server.create_bucket(BUCKET, false).unwrap();
    let authority = testkit::pki::Authority::new("nobody-knows");
    let (certificate, key) = authority.server().write(folder.path(), "s3");
    let tls_server = S3Server::start(Some((&certificate, &key))).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let arguments = [&*format!("--log-format={format}")];
        let proxy = format!("http://user:{}@127.0.0.1:1", canary(PROXY));
        let environment = [("KEEPWATCH_LOG", "debug"), ("HTTPS_PROXY", &proxy)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let server = Standalone::start_with(folder.path(), &arguments, &environment).await.unwrap();
        let mut count = create_destinations(&server, &s3_server, &tls_server).await;
        count += send_secrets(&server, count).await;
        until("objects are in the bucket", || {
            let objects = s3_server.objects(BUCKET)?;
            Ok(objects.keys().any(|key| key.ends_with(".json.gz")).then_some(()))
        })
        .unwrap();
        let outputs = outputs(&server, &s3_server).await;
        let log = &outputs.iter().find(|(name, _)| name == "the log").unwrap().1;
        assert!(log.contains("DEBUG"), "the log is not talkative");
        let mut leaks = Vec::new();
        for number in (0..count).chain([PROXY]) {
            for encoding in encodings(&canary(number)) {
                for (name, text) in outputs.iter().filter(|(_, text)| text.contains(&encoding)) {
                    let offset = text.find(&encoding).unwrap_or(0);
                    let excerpt =
                        text.get(offset.saturating_sub(300)..(offset + 100).min(text.len()));
                    leaks.push(format!("{encoding} of {number} is in {name}: {excerpt:?}"));
                }
            }
        }
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    });
}

#[test]
fn a_crash_leaves_no_core_dump() {
    let folder = tempfile::tempdir().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let server = Standalone::start(folder.path()).await.unwrap();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.process.id()));
        let limits = limits.unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(line.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
    });
}
