//! Builds the Google Cloud Storage client of a destination.

use std::sync::Arc;

use object_store::gcp::GoogleCloudStorageBuilder;
use secrecy::ExposeSecret as _;
use sink::http::tls;

use super::provider::Gcs;
use crate::config::{BucketConfig, OpenError};
use crate::credentials::Credentials;
use crate::destination::Destination;
use crate::endpoint::{bucket_name, no_retries, parse_endpoint};
use crate::http::Transport;
use crate::signing::{Client, OpenResult};

/// The public endpoint of Google Cloud Storage.
const GOOGLE: &str = "https://storage.googleapis.com";
/// A placeholder key, so that `object_store` does not search the environment for an account.
const NO_ACCOUNT: &str =
    r#"{"private_key":"","private_key_id":"","client_email":"","disable_oauth":true}"#;

pub(super) fn open(gcs: &Gcs, destination: &Destination, config: &BucketConfig) -> OpenResult {
    let tls = tls::config(destination.ca_pem.as_deref(), destination.skip_tls_verify)?;
    let (scheme, authority) =
        parse_endpoint(gcs.endpoint.as_deref().unwrap_or(GOOGLE), &config.egress)?;
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket_name(destination)?)
        .with_base_url(&format!("{scheme}://{authority}"))
        .with_retry(no_retries());
    let egress = config.egress.clone();
    let builder = match &destination.credentials {
        Credentials::None => builder
            .with_skip_signature(true)
            .with_service_account_key(NO_ACCOUNT)
            .with_http_connector(Transport::new(egress, tls, None)),
        Credentials::GcpServiceAccount { json } => builder
            .with_service_account_key(json.expose_secret())
            .with_http_connector(Transport::new(egress, tls, None)),
        Credentials::GcpMetadataServer => {
            builder.with_http_connector(Transport::with_metadata(egress, tls))
        }
        _ => return Err(OpenError::Credentials { provider: "Google Cloud Storage" }),
    };
    // The source of the error may quote the key, so it is not shown.
    let malformed =
        |_| OpenError::Value { reason: "the service account's key is malformed".to_owned() };
    Ok(Client { store: Arc::new(builder.build().map_err(malformed)?), signer: None })
}
