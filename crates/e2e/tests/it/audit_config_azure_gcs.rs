//! An `AuditConfig` from creation to deletion, with third-party servers for Azure Blob Storage and
//! Google Cloud Storage.

use std::collections::BTreeMap;

use e2e::emulators::azurite::{ACCOUNT, Azurite};
use e2e::emulators::gcs::Gcs;
use e2e::fixtures::standalone::{BUCKET, Standalone};
use objectstore::{Bucket, Credentials, Provider, Put};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::audit_config_s3::{fails, record, store};
use crate::buckets::{destination, open, run};

/// Keys and settings of a provider, and the errors that wrong ones cause.
struct Cloud<'c> {
    secret_type: &'static str,
    store: Value,
    /// Valid keys.
    right: Value,
    /// Invalid keys, and the error of each.
    wrong: [(Value, &'static str); 2],
    /// The error of a missing bucket.
    missing: &'static str,
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
        right: keys(&Azurite::key()),
        wrong: [
            (keys("Y2FuYXJ5"), "the key does not belong to storage account `keepwatch`"),
            (keys("canary"), "the key of the storage account is not base64"),
        ],
        missing: "container `nobody-has-it` does not exist in storage account `keepwatch`",
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
        right: keys(&server.account().unwrap()),
        wrong: [
            (keys(&server.other_account().unwrap()), "the service account's key is not accepted"),
            (keys("{\"private_key\":\"canary\"}"), "the service account's key is malformed"),
        ],
        missing: "bucket `nobody-has-it` does not exist",
        objects: &|| server.objects(BUCKET),
    });
}

/// Each mistake is reported in the status and then fixed. Every recorded event is delivered once,
/// in order, and equal to the journal's.
fn check(cloud: &Cloud<'_>) {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let server = Standalone::start(folder.path()).await.unwrap();
        server.deliver(cloud.secret_type, &cloud.right, &cloud.store).await.unwrap();
        fails(&server, cloud.missing).await;
        store(&server, json!({"name": BUCKET})).await;
        server.wait_status("Success").await.unwrap();
        record(&server, 30).await;
        for (keys, error) in &cloud.wrong {
            server.change("secrets", &json!({"stringData": keys})).await.unwrap();
            fails(&server, error).await;
            record(&server, 10).await;
            server.change("secrets", &json!({"stringData": cloud.right})).await.unwrap();
            server.wait_status("Success").await.unwrap();
        }
        record(&server, 30).await;
        let (compared, end) = server.stop_and_compare(cloud.objects).await.unwrap();
        assert!(compared.events() >= 80, "{}", compared.events());
        assert_eq!(compared.last, end);
    });
}

#[test]
fn azure_keeps_the_first_of_two_uploads() {
    let server = Azurite::start(&[BUCKET]).unwrap();
    let mut wanted = destination(&server.endpoint(), BUCKET);
    wanted.provider = Provider::Azure(objectstore::Azure { endpoint: Some(server.endpoint()) });
    wanted.credentials =
        Credentials::AzureAccountKey { account: ACCOUNT.to_owned(), key: Azurite::key().into() };
    keeps_the_first(&open(&wanted));
    assert_eq!(server.objects(BUCKET).unwrap().len(), 1);
}

#[test]
fn google_keeps_the_first_of_two_uploads() {
    let server = Gcs::start(BUCKET).unwrap();
    let mut wanted = destination(server.endpoint(), BUCKET);
    wanted.provider =
        Provider::Gcs(objectstore::Gcs { endpoint: Some(server.endpoint().to_owned()) });
    let json = SecretString::from(server.account().unwrap());
    wanted.credentials = Credentials::GcpServiceAccount { json };
    keeps_the_first(&open(&wanted));
    assert_eq!(server.objects(BUCKET).unwrap().len(), 1);
}

/// An upload is repeated if its response was lost: the store reports that the object exists.
fn keeps_the_first(bucket: &Bucket) {
    let mut draft = bucket.object_builder("reader");
    let event = e2e::fixtures::archive::event(1);
    assert!(draft.push(1, bucket.now(), event::EventRef::from(&event)));
    let object = draft.seal(1).unwrap();
    run(async {
        assert_eq!(bucket.put(&object).await.unwrap(), Put::Created);
        assert_eq!(bucket.put(&object).await.unwrap(), Put::AlreadyExists);
        assert!(bucket.exists(&object.key).await.unwrap());
    });
}
