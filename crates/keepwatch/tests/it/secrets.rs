//! Secrets in a standalone server: served as in a cluster, and never stored in plain text.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::server::{TestServer, kind, run, runtime, text};

/// A secret value that must not appear anywhere.
const CANARY: &str = "canary-Zk3vQ9";
/// The same value in Base64.
const ENCODED: &str = "Y2FuYXJ5LVprM3ZROQ==";

fn secrets(client: kube::Client) -> Api<DynamicObject> {
    Api::namespaced_with(client, "kasten-io", &kind("", "Secret", "secrets"))
}

fn secret(data: Value) -> DynamicObject {
    let mut secret = DynamicObject::new("keys", &kind("", "Secret", "secrets"));
    secret.data = data;
    secret
}

/// Whether a file in the folder contains the canary.
fn is_in_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in_files(&path);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        [CANARY, ENCODED]
            .iter()
            .any(|word| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
    })
}

#[test]
fn a_secret_is_served_and_never_stored_in_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let stdout = folder.path().join("stdout");
    let file = std::fs::File::create(&stdout).unwrap();
    let server = TestServer::up(&home, &["--policy", "extended"], Stdio::from(file));
    let runtime = runtime();
    runtime.block_on(async {
        let api = secrets(server.client("admin", None).await);
        let secret_object = secret(json!({
            "type": "secrets.kanister.io/aws",
            "stringData": {"aws_secret_access_key": CANARY},
        }));
        let created = api.create(&PostParams::default(), &secret_object).await.unwrap();
        assert_eq!(created.data["data"]["aws_secret_access_key"], ENCODED);
        assert_eq!(created.data.get("stringData"), None);

        let another = Patch::Merge(json!({"stringData": {"role": CANARY}}));
        let changed = api.patch("keys", &PatchParams::default(), &another).await.unwrap();
        assert_eq!(changed.data["data"]["role"], ENCODED);
        assert_eq!(changed.data["type"], "secrets.kanister.io/aws");

        // As for `kubectl patch` without `--type`.
        let with_finalizer =
            Patch::Strategic(json!({"metadata": {"finalizers": ["example.com/hold"]}}));
        let with_finalizer =
            api.patch("keys", &PatchParams::default(), &with_finalizer).await.unwrap();
        assert_eq!(
            with_finalizer.metadata.finalizers.as_deref(),
            Some(&["example.com/hold".to_owned()][..])
        );
        let directive = json!({"$deleteFromPrimitiveList/finalizers": ["example.com/hold"]});
        let without_finalizer = Patch::Strategic(json!({ "metadata": directive }));
        let without_finalizer =
            api.patch("keys", &PatchParams::default(), &without_finalizer).await.unwrap();
        assert_eq!(without_finalizer.metadata.finalizers.unwrap_or_default(), [""; 0]);

        // A rejected value is not repeated in the error.
        let invalid = Patch::Merge(json!({"data": {"role": format!("{CANARY}!")}}));
        let refused = api.patch("keys", &PatchParams::default(), &invalid).await.unwrap_err();
        assert!(!format!("{refused:?}").contains(CANARY), "{refused:?}");
        let other = Patch::Merge(json!({"type": "Opaque"}));
        api.patch("keys", &PatchParams::default(), &other).await.unwrap_err();
        secrets(server.client("alice", None).await).get("keys").await.unwrap_err();
    });
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    let lines = std::fs::read_to_string(&stdout).unwrap();
    assert!(lines.contains("\"Resource\":\"secrets\""), "no event is about a Secret");
    for output in [&lines, &stderr] {
        assert!(!output.contains(CANARY) && !output.contains(ENCODED), "{output}");
    }
    assert!(!is_in_files(&home));
    let mode = home.join("secrets.key").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let server = TestServer::up(&home, &[], Stdio::null());
    runtime.block_on(async {
        let api = secrets(server.client("admin", None).await);
        let restored = api.get("keys").await.unwrap();
        assert_eq!(restored.data["data"]["role"], ENCODED);
    });
    server.stop();
}

#[test]
fn a_different_encryption_key_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let server = TestServer::up(&home, &[], Stdio::null());
    runtime().block_on(async {
        let api = secrets(server.client("admin", None).await);
        let secret_object = secret(json!({"stringData": {"a": "b"}}));
        api.create(&PostParams::default(), &secret_object).await.unwrap();
    });
    server.stop();
    let key = home.join("secrets.key");
    let start = || {
        let output = run(&["up", "--dir", home.to_str().unwrap(), "--listen", "127.0.0.1:0"], "");
        assert!(!output.status.success());
        text(&output.stderr)
    };
    std::fs::remove_file(&key).unwrap();
    assert!(start().contains("is missing"));
    std::fs::write(&key, "A".repeat(43) + "=").unwrap();
    assert!(start().contains("does not contain the key"));
}
