//! Azure Blob Storage.

use std::sync::Arc;

use object_store::azure::MicrosoftAzureBuilder;

use super::super::azure;
use super::super::signer::Signer;
use super::super::transport::Transport;
use super::super::{Credentials, Destination, OpenError, Parts, tls};
use super::{Opened, checked, named, once};
use crate::chain;

/// Longest name of a storage account.
const ACCOUNT_BYTES_MAX: usize = 24;

pub(super) fn open(destination: &Destination, parts: &Parts, endpoint: Option<&str>) -> Opened {
    let tls = tls::config(destination.ca_pem.as_deref(), destination.skip_tls_verify)?;
    let builder =
        MicrosoftAzureBuilder::new().with_container_name(named(destination)?).with_retry(once());
    let reach = parts.reach.clone();
    let (account, builder, signer) = match &destination.credentials {
        Credentials::AzureKey { account, key } => {
            let signer = Arc::new(Signer::Azure(Box::new(azure::Signer::new(account, key)?)));
            let transport = Transport::new(reach, tls, Some(Arc::clone(&signer)));
            let builder = builder.with_skip_signature(true).with_http_connector(transport);
            (account, builder, Some(signer))
        }
        Credentials::AzureAmbient { account } => {
            (account, builder.with_http_connector(Transport::with_metadata(reach, tls)), None)
        }
        _ => return Err(OpenError::Credentials { provider: "Azure Blob Storage" }),
    };
    let is_name = (1..=ACCOUNT_BYTES_MAX).contains(&account.len())
        && account.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name {
        // It comes from a Secret, and what was put there may be another of its values.
        let what = "the Secret's azure_storage_account_id is not the name of a storage account \
                    (3 to 24 lower-case letters and digits)"
            .to_owned();
        return Err(OpenError::Value { what });
    }
    let (scheme, authority) = match endpoint {
        Some(endpoint) => checked(endpoint, parts)?,
        None => ("https".to_owned(), format!("{account}.blob.core.windows.net")),
    };
    let builder = builder
        .with_account(account)
        .with_allow_http(scheme == "http")
        .with_endpoint(format!("{scheme}://{authority}"));
    let store = builder.build().map_err(|error| OpenError::Value { what: chain(&error) })?;
    Ok((Arc::new(store), signer))
}
