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

async fn ask(server: &Standalone) {
    let path = format!("/api/v1/namespaces/{NAMESPACE}");
    for _ in 0..REQUESTS {
        assert_eq!(send(&server.admin, "GET", &path, None).await.unwrap().0, 200);
    }
}

/// Waits until the server has counted this many delivered events.
async fn wait_delivered(server: &Standalone, count: u64) {
    let what = format!("{count} events are delivered");
    wait(&what, async || Ok((server.progress().await?.delivered >= count).then_some(())))
        .await
        .unwrap();
}

/// Sends more requests and checks that their events stay in the journal and nothing is delivered.
async fn is_paused(server: &Standalone, good: &S3Server) {
    let before = (server.progress().await.unwrap(), good.objects(BUCKET).unwrap().len());
    ask(server).await;
    let after = (server.progress().await.unwrap(), good.objects(BUCKET).unwrap().len());
    assert_eq!((after.0.delivered, after.1), (before.0.delivered, before.1));
    assert!(after.0.lag >= before.0.lag + REQUESTS, "{before:?} {after:?}");
}

fn bucket(name: &str) -> Value {
    json!({"spec": {"locationSpec": {"objectStore": {"name": name}}}})
}

fn secret(key: &str) -> Value {
    json!({"data": {"aws_secret_access_key": STANDARD.encode(key)}})
}

#[test]
fn breaking_a_profile_pauses_delivery_and_fixing_it_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let good = S3Server::start(None).unwrap();
    good.make_bucket(BUCKET, false).unwrap();
    run(async {
        let server = Standalone::start(folder.path()).await.unwrap();
        server
            .create_destination(&good.endpoint(), BUCKET, &keys(ACCESS_KEY, SECRET_KEY))
            .await
            .unwrap();
        server.wait_status("Success").await.unwrap();
        ask(&server).await;
        wait_delivered(&server, REQUESTS).await;

        for (plural, broken, message, fixed) in [
            (
                "profiles",
                bucket("no-such-bucket"),
                "bucket `no-such-bucket` does not exist in region `us-east-1`",
                bucket(BUCKET),
            ),
            (
                "secrets",
                secret("canary-of-a-wrong-key"),
                "the secret key does not belong to access key `AKIAKEEPWATCH`",
                secret(SECRET_KEY),
            ),
        ] {
            server.change(plural, &broken).await.unwrap();
            let error = server.wait_status("Failed").await.unwrap();
            assert!(error.contains(message) && !error.contains("canary"), "{error}");
            is_paused(&server, &good).await;
            let before = server.progress().await.unwrap();
            server.change(plural, &fixed).await.unwrap();
            server.wait_status("Success").await.unwrap();
            wait_delivered(&server, before.delivered + before.lag).await;
        }
        ask(&server).await;
        let (compared, last) = server.stop_and_compare(|| good.objects(BUCKET)).await.unwrap();
        assert_eq!(compared.last, last);
        assert!(compared.events() >= 4 * REQUESTS, "{}", compared.events());
    });
}

#[test]
fn a_repaired_destination_receives_events_since_its_creation() {
    let folder = tempfile::tempdir().unwrap();
    let good = S3Server::start(None).unwrap();
    run(async {
        let server = Standalone::start(folder.path()).await.unwrap();
        ask(&server).await;
        server
            .create_destination(&good.endpoint(), BUCKET, &keys(ACCESS_KEY, SECRET_KEY))
            .await
            .unwrap();
        let error = server.wait_status("Failed").await.unwrap();
        assert!(error.contains("bucket `archive` does not exist"), "{error}");
        ask(&server).await;
        let progress = server.progress().await.unwrap();
        assert!(progress.delivered == 0 && progress.lag >= REQUESTS, "{progress:?}");

        // The bucket is created; no object changes.
        good.make_bucket(BUCKET, false).unwrap();
        server.wait_status("Success").await.unwrap();
        ask(&server).await;
        let mut objects = BTreeMap::new();
        let found = server.stop_and_compare(|| {
            objects = good.objects(BUCKET)?;
            Ok(objects.clone())
        });
        let (compared, last) = found.await.unwrap();
        assert_eq!(compared.last, last);
        assert!(compared.events() >= 2 * REQUESTS, "{}", compared.events());
        let made: Vec<String> = lines(&objects)
            .filter(|event| {
                text(event, "/Verb") == "create"
                    && text(event, "/ObjectRef/Resource") == "auditconfigs"
            })
            .map(|event| event["AuditID"].to_string())
            .collect();
        assert_eq!(made.len(), 1, "its own creation is not there: {made:?}");
    });
}

/// Every event of an archive.
fn lines(objects: &BTreeMap<String, Vec<u8>>) -> impl Iterator<Item = Value> {
    let events = objects.iter().filter(|(key, _)| key.ends_with(".json.gz"));
    events
        .flat_map(|(_, bytes)| archive::lines(bytes).unwrap())
        .map(|line| serde_json::from_str(&line).unwrap())
}
