//! An `AuditConfig` from creation to deletion, with two independent S3 implementations.

use std::collections::BTreeMap;

use e2e::emulators::moto::Moto;
use e2e::emulators::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use e2e::fixtures::standalone::{BUCKET, NAME, Standalone, keys, send, wait};
use serde_json::{Value, json};

/// The bucket that delivery switches to.
const SECOND: &str = "second";

/// The objects of a bucket by key.
type Objects = BTreeMap<String, Vec<u8>>;

/// What a scenario needs to know about a server.
struct S3Endpoint<'p> {
    endpoint: String,
    keys: (&'p str, &'p str),
    /// Whether the server rejects a request that is signed for another region.
    has_regions: bool,
    objects: &'p dyn Fn(&str) -> anyhow::Result<Objects>,
}

#[test]
fn an_audit_config_works_with_versitygw() {
    let server = S3Server::start(None).unwrap();
    for bucket in [BUCKET, SECOND] {
        server.create_bucket(bucket, false).unwrap();
    }
    let objects = |bucket: &str| server.objects(bucket);
    let endpoint = server.endpoint();
    let keys = (ACCESS_KEY, SECRET_KEY);
    check(&S3Endpoint { endpoint, keys, has_regions: true, objects: &objects });
}

#[test]
fn an_audit_config_works_with_moto() {
    let server = Moto::start(&[BUCKET, SECOND]).unwrap();
    let objects = |bucket: &str| server.objects(bucket);
    let endpoint = server.endpoint().to_owned();
    let keys = (server.id.as_str(), server.secret.as_str());
    check(&S3Endpoint { endpoint, keys, has_regions: false, objects: &objects });
}

/// Each mistake is reported in the status and then fixed. Delivery switches from one bucket to
/// another. Every event until the deletion is in the buckets once, in order, and equal to the
/// journal's.
fn check(endpoint: &S3Endpoint<'_>) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = Standalone::start(folder.path()).await.unwrap();
        let (id, secret) = endpoint.keys;
        let valid_keys = &keys(id, secret);
        server.create_destination(&endpoint.endpoint, "nobody-has-it", valid_keys).await.unwrap();
        wait_failed(&server, "bucket `nobody-has-it` does not exist").await;
        patch_object_store(&server, json!({"name": BUCKET})).await;
        server.wait_status("Success").await.unwrap();
        send_requests(&server, 30).await;

        let patch = json!({"stringData": keys(id, "canary-of-nobody")});
        server.change("secrets", &patch).await.unwrap();
        wait_failed(&server, "the secret key does not belong to the access key").await;
        server.change("secrets", &json!({"stringData": valid_keys})).await.unwrap();
        server.wait_status("Success").await.unwrap();
        patch_object_store(&server, json!({"endpoint": "http://127.0.0.1:1"})).await;
        wait_failed(&server, "cannot be reached").await;
        patch_object_store(&server, json!({"endpoint": endpoint.endpoint})).await;
        server.wait_status("Success").await.unwrap();
        if endpoint.has_regions {
            patch_object_store(&server, json!({"region": "eu-north-7"})).await;
            wait_failed(&server, "region").await;
        }
        send_requests(&server, 30).await;
        patch_object_store(&server, json!({"name": SECOND, "region": "us-east-1"})).await;
        wait_delivering(&server, SECOND).await;
        send_requests(&server, 30).await;
        server.delete_audit_config().await.unwrap();
        send_requests(&server, 30).await;

        let objects = || {
            let mut all = (endpoint.objects)(BUCKET)?;
            let second = (endpoint.objects)(SECOND)?;
            anyhow::ensure!(second.keys().any(|key| key.ends_with(".json.gz")), "not switched");
            all.extend(second);
            Ok(all)
        };
        let (comparison, end) = server.stop_and_compare(objects).await.unwrap();
        assert!(comparison.events() >= 90, "{}", comparison.events());
        assert!(comparison.last < end - 30, "{} of {end}", comparison.last);
    });
}

/// Waits until the status is Failed with this error, and checks that the error contains no secret.
pub(crate) async fn wait_failed(server: &Standalone, expected: &str) {
    let error = server.wait_status("Failed").await.unwrap();
    assert!(error.contains(expected) && !error.contains("canary"), "{error}");
}

/// Waits until an Event reports delivery to this bucket. The states before it may be missed.
async fn wait_delivering(server: &Standalone, bucket: &str) {
    let path = "/api/v1/namespaces/kasten-io/events";
    wait("events go to another bucket", async || {
        let (_, list) = send(&server.admin, "GET", path, None).await?;
        let matches = |event: &Value| {
            let message = event["message"].as_str().unwrap_or_default();
            event["reason"] == "Delivering" && message.contains(bucket)
        };
        Ok(list["items"].as_array().into_iter().flatten().any(matches).then_some(()))
    })
    .await
    .unwrap();
}

pub(crate) async fn patch_object_store(server: &Standalone, fields: Value) {
    let patch = json!({"spec": {"locationSpec": {"objectStore": fields}}});
    server.change("profiles", &patch).await.unwrap();
}

/// Sends `count` requests, each of which is recorded.
pub(crate) async fn send_requests(server: &Standalone, count: usize) {
    for _ in 0..count {
        let path = format!("/api/v1/namespaces/kasten-io/secrets/{NAME}");
        let (code, _) = send(&server.admin, "GET", &path, None).await.unwrap();
        assert_eq!(code, 200);
    }
}
