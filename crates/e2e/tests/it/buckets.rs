//! Delivery to a real S3 server: with HTTP, with TLS, and with Object Lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery::Delivery;
use e2e::chaos::kill;
use e2e::emulators::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use e2e::fixtures::archive;
use event::Timestamp;
use objectstore::{
    Bucket, BucketConfig, Credentials, Destination, Limits, OpenError, Prefix, Provider, Retention,
    RetentionMode, S3, WorkloadIdentity,
};
use prometheus_client::registry::Registry;
use sink::Encoding;
use sink::http::EgressPolicy;
use store::Sqlite;

pub(crate) fn destination(endpoint: &str, bucket: &str) -> Destination {
    Destination {
        provider: Provider::S3(S3 {
            endpoint: Some(endpoint.to_owned()),
            region: String::new(),
            path_style: true,
        }),
        bucket: bucket.to_owned(),
        prefix: Prefix::default(),
        skip_tls_verify: false,
        ca_pem: None,
        credentials: keys(ACCESS_KEY, SECRET_KEY),
        retention: None,
        limits: Limits { seal_bytes: 64 << 10, seal_age: Duration::ZERO, ..Limits::default() },
    }
}

fn keys(id: &str, secret: &str) -> Credentials {
    Credentials::AwsAccessKey {
        access_key_id: id.to_owned(),
        secret_access_key: secret.into(),
        session_token: None,
        role: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "signatures want the time of day")]
fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(elapsed.as_micros()).unwrap())
}

pub(crate) fn open(destination: &Destination) -> Bucket {
    open_with(destination, &WorkloadIdentity::default())
}

pub(crate) fn open_with(destination: &Destination, workload_identity: &WorkloadIdentity) -> Bucket {
    let egress = EgressPolicy {
        allowed: ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).to_vec(),
        plain_http: true,
        ..EgressPolicy::default()
    };
    let encoding = Encoding::Kasten(event::k10::LineContext::default());
    let (workload_identity, clock) = (workload_identity.clone(), Arc::new(now));
    let config =
        BucketConfig { cluster: "test".to_owned(), encoding, egress, workload_identity, clock };
    Bucket::open(destination, config).unwrap()
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// Delivers 500 events and finds each of them once in the files of the S3 server.
fn check(server: &S3Server, destination: &Destination) {
    check_delivery(destination, &WorkloadIdentity::default(), || {
        server.objects(&destination.bucket)
    });
}

/// Delivers 500 events and finds each of them once.
pub(crate) fn check_delivery(
    destination: &Destination,
    workload_identity: &WorkloadIdentity,
    objects: impl FnOnce() -> anyhow::Result<BTreeMap<String, Vec<u8>>>,
) {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let clock = Arc::new(|| now().as_micros());
        let path = folder.path().join("store.db");
        let store = Sqlite::open(&path, store::Settings::default(), clock).unwrap();
        for number in 1..=500 {
            store::append(&store, archive::record(number)).await.unwrap();
        }
        let delivery = Delivery::new(store.journal(), &mut Registry::default());
        let bucket = open_with(destination, workload_identity);
        bucket.check().await.unwrap();
        delivery.attach("reader", bucket, 0).await.unwrap();
        delivery.delivered().await;
        delivery.close().await;
    });
    let delivered = archive::numbers(&objects().unwrap(), "reader").unwrap();
    assert_eq!(delivered, (1..=500).collect::<Vec<_>>());
}

#[test]
fn a_real_server_gets_every_event_once() {
    let server = S3Server::start(None).unwrap();
    server.create_bucket("archive", false).unwrap();
    check(&server, &destination(&server.endpoint(), "archive"));
}

#[test]
fn objects_in_a_locked_bucket_are_retained() {
    let server = S3Server::start(None).unwrap();
    server.create_bucket("locked", true).unwrap();
    let mut destination = destination(&server.endpoint(), "locked");
    let period = Duration::from_hours(48);
    destination.retention = Some(Retention { mode: RetentionMode::Compliance, period });
    check(&server, &destination);
    let objects = server.objects("locked").unwrap();
    let key = objects.keys().find(|key| key.ends_with(".json.gz")).unwrap();
    let url = format!("{}/locked/{}", server.endpoint(), key.replace('=', "%3D"));
    let head = server.curl(&["-I", &url]).unwrap().to_ascii_lowercase();
    assert!(head.contains("x-amz-object-lock-mode: compliance"), "{head}");
}

#[test]
fn tls_is_verified_unless_the_operator_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let ca = testkit::pki::Authority::new("ca");
    let (certificate, key) = ca.server().write(folder.path(), "s3");
    let server = S3Server::start(Some((&certificate, &key))).unwrap();
    server.create_bucket("archive", false).unwrap();
    let mut destination = destination(&server.endpoint(), "archive");
    let error = run(open(&destination).check()).unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    destination.ca_pem = Some(ca.pem().into_bytes());
    check(&server, &destination);
    destination.ca_pem = None;
    destination.skip_tls_verify = true;
    run(open(&destination).check()).unwrap();
}

#[test]
fn errors_of_a_destination_say_what_to_do() {
    let server = S3Server::start(None).unwrap();
    server.create_bucket("archive", false).unwrap();
    let endpoint = &server.endpoint();
    let check_error = |destination: &Destination, part: &str| {
        let error = run(open(destination).check()).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("canary"), "{error}");
    };
    check_error(
        &destination(endpoint, "nobody"),
        "bucket `nobody` does not exist in region `us-east-1`",
    );
    let mut archive = destination(endpoint, "archive");
    archive.credentials = keys(ACCESS_KEY, "canary-wrong");
    check_error(&archive, "the secret key does not belong to the access key");
    archive.credentials = keys("AKIANOBODY", "canary-wrong");
    check_error(&archive, "the access key does not exist");
    check_error(
        &destination("http://127.0.0.1:1", "archive"),
        "endpoint http://127.0.0.1:1 cannot be reached",
    );
}

#[test]
fn internal_endpoints_are_not_dialled() {
    let encoding = Encoding::V1;
    let config = BucketConfig {
        cluster: "test".to_owned(),
        encoding,
        egress: EgressPolicy::default(),
        workload_identity: WorkloadIdentity::default(),
        clock: Arc::new(now),
    };
    for endpoint in [
        "https://127.0.0.1",
        "https://[::1]:9000",
        "https://169.254.169.254",
        "https://metadata.google.internal",
        "http://example.com",
        "https://user@example.com",
        "https://example.com/path",
        "ftp://example.com",
    ] {
        let result = Bucket::open(&destination(endpoint, "archive"), config.clone());
        assert!(matches!(result, Err(OpenError::Endpoint { .. })), "{endpoint}");
    }
    // The address that a name or an unusual number resolves to is checked when it is dialled.
    for endpoint in
        ["https://localhost", "https://2130706433", "https://0x7f000001", "https://127.1"]
    {
        let bucket = Bucket::open(&destination(endpoint, "archive"), config.clone()).unwrap();
        let error = run(bucket.check()).unwrap_err().to_string();
        let errors = ["loopback", "no answer"];
        assert!(errors.iter().any(|word| error.contains(word)), "{endpoint}: {error}");
    }
}

#[test]
fn kills_during_uploads_lose_and_duplicate_nothing() {
    let child = std::path::Path::new(env!("CARGO_BIN_EXE_e2e"));
    run(kill::uploads::uploads(child, 12, Some(4))).unwrap();
}

#[test]
fn an_outage_loses_and_duplicates_nothing() {
    run(e2e::chaos::outage::run(1, 5, 200, None)).unwrap();
}

#[test]
fn rotated_keys_cas_and_tokens_are_used_under_load() {
    run(e2e::chaos::rotate::run(2)).unwrap();
}
