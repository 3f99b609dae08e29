//! Google Cloud Storage.

use std::sync::Arc;

use object_store::gcp::GoogleCloudStorageBuilder;
use secrecy::ExposeSecret as _;

use super::super::transport::Transport;
use super::super::{Credentials, Destination, OpenError, Parts, tls};
use super::{Opened, checked, named, once};

/// Where Google's objects are.
const GOOGLE: &str = "https://storage.googleapis.com";
/// Keeps `object_store` from looking for an account where none is wanted.
const NO_ACCOUNT: &str =
    r#"{"private_key":"","private_key_id":"","client_email":"","disable_oauth":true}"#;

pub(super) fn open(destination: &Destination, parts: &Parts, endpoint: Option<&str>) -> Opened {
    let tls = tls::config(destination.ca_pem.as_deref(), destination.skip_tls_verify)?;
    let (scheme, authority) = checked(endpoint.unwrap_or(GOOGLE), parts)?;
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(named(destination)?)
        .with_base_url(&format!("{scheme}://{authority}"))
        .with_retry(once());
    let reach = parts.reach.clone();
    let builder = match &destination.credentials {
        Credentials::None => builder
            .with_skip_signature(true)
            .with_service_account_key(NO_ACCOUNT)
            .with_http_connector(Transport::new(reach, tls, None)),
        Credentials::GcpServiceAccount { json } => builder
            .with_service_account_key(json.expose_secret())
            .with_http_connector(Transport::new(reach, tls, None)),
        Credentials::GcpAmbient => {
            builder.with_http_connector(Transport::with_metadata(reach, tls))
        }
        _ => return Err(OpenError::Credentials { provider: "Google Cloud Storage" }),
    };
    // What is behind the error may quote the key.
    let malformed =
        |_| OpenError::Value { what: "the service account's key is malformed".to_owned() };
    Ok((Arc::new(builder.build().map_err(malformed)?), None))
}
