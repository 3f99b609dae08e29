//! Builds the Azure Blob Storage client of a destination.

use std::sync::Arc;

use object_store::azure::MicrosoftAzureBuilder;
use sink::error_chain;
use sink::http::tls;

use super::provider::Azure;
use super::signer::SharedKeySigner;
use crate::config::{BucketConfig, OpenError};
use crate::credentials::Credentials;
use crate::destination::Destination;
use crate::endpoint::{bucket_name, no_retries, parse_endpoint};
use crate::http::Transport;
use crate::signing::{Client, OpenResult, RequestSigner};

/// Longest name of a storage account.
const ACCOUNT_BYTES_MAX: usize = 24;

pub(super) fn open(azure: &Azure, destination: &Destination, config: &BucketConfig) -> OpenResult {
    let tls = tls::config(destination.ca_pem.as_deref(), destination.skip_tls_verify)?;
    let builder = MicrosoftAzureBuilder::new()
        .with_container_name(bucket_name(destination)?)
        .with_retry(no_retries());
    let egress = config.egress.clone();
    let (account, builder, signer) = match &destination.credentials {
        Credentials::AzureAccountKey { account, key } => {
            let signer: Arc<dyn RequestSigner> = Arc::new(SharedKeySigner::new(account, key)?);
            let transport = Transport::new(egress, tls, Some(Arc::clone(&signer)));
            let builder = builder.with_skip_signature(true).with_http_connector(transport);
            (account, builder, Some(signer))
        }
        Credentials::AzureManagedIdentity { account } => {
            (account, builder.with_http_connector(Transport::with_metadata(egress, tls)), None)
        }
        _ => return Err(OpenError::Credentials { provider: "Azure Blob Storage" }),
    };
    let is_name = (1..=ACCOUNT_BYTES_MAX).contains(&account.len())
        && account.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name {
        // The value comes from a Secret and may be the key by mistake, so the error does not show
        // it.
        let reason = "the Secret's azure_storage_account_id is not the name of a storage account \
                    (3 to 24 lower-case letters and digits)"
            .to_owned();
        return Err(OpenError::Value { reason });
    }
    let (scheme, authority) = match &azure.endpoint {
        Some(endpoint) => parse_endpoint(endpoint, &config.egress)?,
        None => ("https".to_owned(), format!("{account}.blob.core.windows.net")),
    };
    let builder = builder
        .with_account(account)
        .with_allow_http(scheme == "http")
        .with_endpoint(format!("{scheme}://{authority}"));
    let store =
        builder.build().map_err(|error| OpenError::Value { reason: error_chain(&error) })?;
    Ok(Client { store: Arc::new(store), signer })
}
