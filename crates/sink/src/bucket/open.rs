//! From a destination to a client of its store: one file for each protocol, folders here.
//!
//! Nobody is talked to. What a bucket and an endpoint may be called is checked here once more, for
//! whoever opens a destination without the controller.

mod azure;
mod google;
mod s3;

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use object_store::{ObjectStore, RetryConfig};

use super::folder::Folder;
use super::signer::Signer;
use super::transport::is_metadata;
use super::{Destination, OpenError, Parts, Provider};
use crate::chain;

/// A store, and who signs for it.
type Opened = Result<(Arc<dyn ObjectStore>, Option<Arc<Signer>>), OpenError>;

/// The store of a destination, and who signs for it.
pub(super) fn store(destination: &Destination, parts: &Parts) -> Opened {
    match &destination.provider {
        Provider::S3 { endpoint, region, path_style } => {
            s3::open(destination, parts, endpoint.as_deref(), region, *path_style)
        }
        Provider::File { root, path } => {
            let folder = Folder::new(root, path);
            folder.make().map_err(|error| OpenError::Value {
                what: format!("{folder} cannot be used: {}", chain(&error)),
            })?;
            Ok((Arc::new(folder), None))
        }
        Provider::Gcs { endpoint } => google::open(destination, parts, endpoint.as_deref()),
        Provider::Azure { endpoint } => azure::open(destination, parts, endpoint.as_deref()),
    }
}

/// The bucket, if it is the name of one.
fn named(destination: &Destination) -> Result<&str, OpenError> {
    let bucket = destination.bucket.as_str();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if bucket.is_empty() || bucket.starts_with('.') || !bucket.bytes().all(is_plain) {
        return Err(OpenError::Value { what: format!("{bucket:?} is not the name of a bucket") });
    }
    Ok(bucket)
}

/// `delivery` repeats, and knows when.
fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() }
}

/// Scheme and authority of an endpoint that is a plain address of a server.
fn checked(endpoint: &str, parts: &Parts) -> Result<(String, String), OpenError> {
    let refused =
        |what: &str| OpenError::Endpoint { endpoint: endpoint.to_owned(), what: what.to_owned() };
    let full =
        if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") };
    let uri: Uri =
        full.parse().map_err(|_| refused("is not an address such as https://s3.example.com"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    parts.reach.check_scheme(&uri).map_err(refused)?;
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    if is_metadata(host) {
        return Err(refused("is a metadata service, which destinations may not be"));
    }
    if host.is_empty() || authority.contains('@') {
        return Err(refused("has to name a host, and nothing before it"));
    }
    if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
        return Err(refused(
            "has something behind its host: bucket and path have their own fields",
        ));
    }
    if let Ok(address) = host.trim_matches(['[', ']']).parse()
        && let Some(why) = parts.reach.refusal(address)
    {
        return Err(refused(&format!("{why}, which destinations may not be")));
    }
    Ok((scheme.to_owned(), authority.to_owned()))
}
