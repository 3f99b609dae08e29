//! An `AuditConfig` from creation to deletion, with third-party servers for Azure Blob Storage and
//! Google Cloud Storage.

use std::collections::BTreeMap;

use e2e::emulators::azurite::{ACCOUNT, Azurite};
use e2e::emulators::gcs::Gcs;
use e2e::fixtures::standalone::{BUCKET, Standalone};
use objectstore::{Bucket, Credentials, Provider, PutOutcome};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::audit_config_s3::{patch_object_store, send_requests, wait_failed};
use crate::buckets::{destination, open, run};

/// Keys and settings of a provider, and the errors that wrong ones cause.
struct Cloud<'c> {
    secret_type: &'static str,
    store: Value,
    /// Valid keys.
    valid_keys: Value,
    /// Invalid keys, and the error of each.
    invalid_keys: [(Value, &'static str); 2],
    /// The error of a missing bucket.
    missing_bucket_error: &'static str,
    objects: &'c dyn Fn() -> anyhow::Result<BTreeMap<String, Vec<u8>>>,
}

#[test]
fn an_audit_config_works_with_azurite() {
    let server = Azurite::start(&[BUCKET]).unwrap();
    let keys = |key: &str| {
        json!({"azure_storage_account_id": ACCOUNT, "azure_storage_key": key,
            "azure_storage_environment": "AzureCloud"})
    };
    check(&Cloud {
        secret_type: "AzStorageAccount",
        store: json!({"objectStoreType": "Azure", "name": "nobody-has-it",
            "endpoint": server.endpoint()}),
        valid_keys: keys(&Azurite::key()),
        invalid_keys: [
            (keys("Y2FuYXJ5"), "the key does not belong to the storage account"),
            (keys("canary"), "the key of the storage account is not base64"),
        ],
        missing_bucket_error: "container `nobody-has-it` does not exist in the storage account of the profile's Secret",
        objects: &|| server.objects(BUCKET),
    });
}

#[test]
fn an_audit_config_works_with_fake_gcs() {
    let server = Gcs::start(BUCKET).unwrap();
    let keys = |account: &str| json!({"project-id": "audit", "service-account.json": account});
    check(&Cloud {
        secret_type: "GcpServiceAccountKey",
        store: json!({"objectStoreType": "GCS", "name": "nobody-has-it",
            "endpoint": server.endpoint()}),
        valid_keys: keys(&server.account().unwrap()),
        invalid_keys: [
            (keys(&server.other_account().unwrap()), "the service account's key is not accepted"),
            (keys("{\"private_key\":\"canary\"}"), "the service account's key is malformed"),
        ],
        missing_bucket_error: "bucket `nobody-has-it` does not exist",
        objects: &|| server.objects(BUCKET),
    });
}

/// Each mistake is reported in the status and then fixed. Every recorded event is delivered once,
/// in order, and equal to the journal's.
fn check(cloud: &Cloud<'_>) {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let server = Standalone::start(folder.path()).await.unwrap();
        server
            .create_destination_with(cloud.secret_type, &cloud.valid_keys, &cloud.store)
            .await
            .unwrap();
        wait_failed(&server, cloud.missing_bucket_error).await;
        patch_object_store(&server, json!({"name": BUCKET})).await;
        server.wait_status("Success").await.unwrap();
        send_requests(&server, 30).await;
        for (keys, error) in &cloud.invalid_keys {
            server.change("secrets", &json!({"stringData": keys})).await.unwrap();
            wait_failed(&server, error).await;
            send_requests(&server, 10).await;
            server.change("secrets", &json!({"stringData": cloud.valid_keys})).await.unwrap();
            server.wait_status("Success").await.unwrap();
        }
        send_requests(&server, 30).await;
        let (comparison, end) = server.stop_and_compare(cloud.objects).await.unwrap();
        assert!(comparison.events() >= 80, "{}", comparison.events());
        assert_eq!(comparison.last, end);
    });
}

#[test]
fn azure_keeps_the_first_of_two_uploads() {
    let server = Azurite::start(&[BUCKET]).unwrap();
    let mut destination = destination(&server.endpoint(), BUCKET);
    destination.provider =
        Provider::Azure(objectstore::Azure { endpoint: Some(server.endpoint()) });
    destination.credentials =
        Credentials::AzureAccountKey { account: ACCOUNT.to_owned(), key: Azurite::key().into() };
    check_second_upload(&open(&destination));
    assert_eq!(server.objects(BUCKET).unwrap().len(), 1);
}

#[test]
fn google_keeps_the_first_of_two_uploads() {
    let server = Gcs::start(BUCKET).unwrap();
    let mut destination = destination(server.endpoint(), BUCKET);
    destination.provider =
        Provider::Gcs(objectstore::Gcs { endpoint: Some(server.endpoint().to_owned()) });
    let json = SecretString::from(server.account().unwrap());
    destination.credentials = Credentials::GcpServiceAccount { json };
    check_second_upload(&open(&destination));
    assert_eq!(server.objects(BUCKET).unwrap().len(), 1);
}

/// An upload is repeated if its response was lost: the store reports that the object exists.
fn check_second_upload(bucket: &Bucket) {
    let mut builder = bucket.object_builder("reader");
    let event = e2e::fixtures::archive::event(1);
    assert!(builder.push(1, bucket.now(), event::EventRef::from(&event)));
    let object = builder.seal(1).unwrap();
    run(async {
        assert_eq!(bucket.put(&object).await.unwrap(), PutOutcome::Created);
        assert_eq!(bucket.put(&object).await.unwrap(), PutOutcome::AlreadyExists);
        assert!(bucket.exists(&object.key).await.unwrap());
    });
}
