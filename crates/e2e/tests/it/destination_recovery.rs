//! Destinations that fail and are repaired: events stay in the journal meanwhile, and the archive
//! has all of them at the end.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::emulators::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use e2e::fixtures::archive;
use e2e::fixtures::standalone::{BUCKET, NAMESPACE, Standalone, keys, send, wait};
use serde_json::{Value, json};

use crate::buckets::run;
use crate::fixture::text;

/// Requests in a row, each of which is recorded.
const REQUESTS: u64 = 40;

async fn send_requests(server: &Standalone) {
    let path = format!("/api/v1/namespaces/{NAMESPACE}");
    for _ in 0..REQUESTS {
        assert_eq!(send(&server.admin, "GET", &path, None).await.unwrap().0, 200);
    }
}

/// Waits until the server has counted this many delivered events.
async fn wait_delivered(server: &Standalone, count: u64) {
    let description = format!("{count} events are delivered");
    wait(&description, async || Ok((server.progress().await?.delivered >= count).then_some(())))
        .await
        .unwrap();
}

/// Sends more requests and checks that their events stay in the journal and nothing is delivered.
async fn check_paused(server: &Standalone, s3_server: &S3Server) {
    let before = (server.progress().await.unwrap(), s3_server.objects(BUCKET).unwrap().len());
    send_requests(server).await;
    let after = (server.progress().await.unwrap(), s3_server.objects(BUCKET).unwrap().len());
    assert_eq!((after.0.delivered, after.1), (before.0.delivered, before.1));
    assert!(after.0.lag >= before.0.lag + REQUESTS, "{before:?} {after:?}");
}

fn bucket_patch(name: &str) -> Value {
    json!({"spec": {"locationSpec": {"objectStore": {"name": name}}}})
}

fn secret_patch(key: &str) -> Value {
    json!({"data": {"aws_secret_access_key": STANDARD.encode(key)}})
}

#[test]
fn breaking_a_profile_pauses_delivery_and_fixing_it_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let s3_server = S3Server::start(None).unwrap();
    s3_server.create_bucket(BUCKET, false).unwrap();
    run(async {
        let server = Standalone::start(folder.path()).await.unwrap();
        server
            .create_destination(&s3_server.endpoint(), BUCKET, &keys(ACCESS_KEY, SECRET_KEY))
            .await
            .unwrap();
        server.wait_status("Success").await.unwrap();
        send_requests(&server).await;
        wait_delivered(&server, REQUESTS).await;

        for (plural, broken, message, fixed) in [
            (
                "profiles",
                bucket_patch("no-such-bucket"),
                "bucket `no-such-bucket` does not exist in region `us-east-1`",
                bucket_patch(BUCKET),
            ),
            (
                "secrets",
                secret_patch("canary-of-a-wrong-key"),
                "the secret key does not belong to the access key",
                secret_patch(SECRET_KEY),
            ),
        ] {
            server.change(plural, &broken).await.unwrap();
            let error = server.wait_status("Failed").await.unwrap();
            assert!(error.contains(message) && !error.contains("canary"), "{error}");
            check_paused(&server, &s3_server).await;
            let before = server.progress().await.unwrap();
            server.change(plural, &fixed).await.unwrap();
            server.wait_status("Success").await.unwrap();
            wait_delivered(&server, before.delivered + before.lag).await;
        }
        send_requests(&server).await;
        let (comparison, last) =
            server.stop_and_compare(|| s3_server.objects(BUCKET)).await.unwrap();
        assert_eq!(comparison.last, last);
        assert!(comparison.events() >= 4 * REQUESTS, "{}", comparison.events());
    });
}

#[test]
fn a_repaired_destination_receives_events_since_its_creation() {
    let folder = tempfile::tempdir().unwrap();
    let s3_server = S3Server::start(None).unwrap();
    run(async {
        let server = Standalone::start(folder.path()).await.unwrap();
        send_requests(&server).await;
        server
            .create_destination(&s3_server.endpoint(), BUCKET, &keys(ACCESS_KEY, SECRET_KEY))
            .await
            .unwrap();
        let error = server.wait_status("Failed").await.unwrap();
        assert!(error.contains("bucket `archive` does not exist"), "{error}");
        send_requests(&server).await;
        let progress = server.progress().await.unwrap();
        assert!(progress.delivered == 0 && progress.lag >= REQUESTS, "{progress:?}");

        // The bucket is created; no object changes.
        s3_server.create_bucket(BUCKET, false).unwrap();
        server.wait_status("Success").await.unwrap();
        send_requests(&server).await;
        let mut objects = BTreeMap::new();
        let stopped = server.stop_and_compare(|| {
            objects = s3_server.objects(BUCKET)?;
            Ok(objects.clone())
        });
        let (comparison, last) = stopped.await.unwrap();
        assert_eq!(comparison.last, last);
        assert!(comparison.events() >= 2 * REQUESTS, "{}", comparison.events());
        let create_ids: Vec<String> = lines(&objects)
            .filter(|event| {
                text(event, "/Verb") == "create"
                    && text(event, "/ObjectRef/Resource") == "auditconfigs"
            })
            .map(|event| event["AuditID"].to_string())
            .collect();
        assert_eq!(create_ids.len(), 1, "its own creation is not delivered: {create_ids:?}");
    });
}

/// Every event of an archive.
fn lines(objects: &BTreeMap<String, Vec<u8>>) -> impl Iterator<Item = Value> {
    let events = objects.iter().filter(|(key, _)| key.ends_with(".json.gz"));
    events
        .flat_map(|(_, bytes)| archive::lines(bytes).unwrap())
        .map(|line| serde_json::from_str(&line).unwrap())
}
