//! Temporary AWS credentials from third-party servers: STS with an access key and with a web
//! identity token (moto), and the instance metadata service (amazon-ec2-metadata-mock).
//!
//! moto checks the signature, the session token and the permissions of the role.

use e2e::emulators::imds::Metadata;
use e2e::emulators::moto::{Moto, ROLE};
use objectstore::{Credentials, Role, WebIdentity, WorkloadIdentity};

use crate::buckets::{check_delivery, destination, open_with, run};

const BUCKET: &str = "issued";

/// A bucket that only the role may write to, and an access key that may only assume the role.
fn moto() -> (Moto, String, String) {
    let server = Moto::start(&[BUCKET]).unwrap();
    let (id, secret) = server.create_role().unwrap();
    (server, id, secret)
}

/// Delivers with these credentials and checks that each event arrived once, in order.
fn check(server: &Moto, credentials: Credentials, workload_identity: &WorkloadIdentity) {
    let mut destination = destination(server.endpoint(), BUCKET);
    destination.credentials = credentials;
    check_delivery(&destination, workload_identity, || server.objects(BUCKET));
}

#[test]
fn a_role_is_assumed_with_an_access_key() {
    let (server, id, secret) = moto();
    let keys = |role: Option<&str>| Credentials::AwsAccessKey {
        access_key_id: id.clone(),
        secret_access_key: secret.clone().into(),
        session_token: None,
        role: role.map(|arn| Role {
            arn: arn.to_owned(),
            external_id: None,
            sts_endpoint: Some(server.endpoint().to_owned()),
        }),
    };
    let mut destination = destination(server.endpoint(), BUCKET);
    destination.credentials = keys(None);
    let error =
        run(open_with(&destination, &WorkloadIdentity::default()).check()).unwrap_err().to_string();
    assert!(error.contains("access denied"), "{error}");
    check(&server, keys(Some(ROLE)), &WorkloadIdentity::default());
}

#[test]
fn a_role_is_assumed_with_a_token() {
    let (server, ..) = moto();
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "token-of-the-pod\n").unwrap();
    let web_identity = Some(WebIdentity {
        token_file,
        role_arn: ROLE.to_owned(),
        sts_endpoint: Some(server.endpoint().to_owned()),
    });
    let workload_identity = WorkloadIdentity { web_identity, ..WorkloadIdentity::default() };
    server.skip_next_verification().unwrap();
    check(&server, Credentials::AwsDefaultChain { role: None }, &workload_identity);
}

#[test]
fn the_instance_metadata_service_provides_keys() {
    let (server, id, secret) = moto();
    let issued = server.assume_role((&id, &secret)).unwrap();
    let metadata = Metadata::start(&issued).unwrap();
    let workload_identity =
        WorkloadIdentity { instance: Some(metadata.endpoint()), ..WorkloadIdentity::default() };
    check(&server, Credentials::AwsDefaultChain { role: None }, &workload_identity);
}
