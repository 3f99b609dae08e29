//! Checks of buckets and endpoints that all providers share. Nothing is sent.
//!
//! The controller checks profiles too; these checks are for callers that open destinations without
//! it.

use std::time::Duration;

use ::http::Uri;
use ::http::uri::Authority;
use object_store::RetryConfig;
use sink::http::{EgressPolicy, is_metadata_host};

use crate::config::OpenError;
use crate::destination::Destination;

/// The name of the bucket, if it is well-formed.
pub(crate) fn bucket_name(destination: &Destination) -> Result<&str, OpenError> {
    let bucket = destination.bucket.as_str();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if bucket.is_empty() || bucket.starts_with('.') || !bucket.bytes().all(is_plain) {
        return Err(OpenError::Value { reason: format!("{bucket:?} is not the name of a bucket") });
    }
    Ok(bucket)
}

/// Switches off the retries of `object_store`: the crate `delivery` retries.
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() }
}

/// Scheme and authority of an endpoint, which has to be the URL of a server without a path.
pub(crate) fn parse_endpoint(
    endpoint: &str,
    egress: &EgressPolicy,
) -> Result<(String, String), OpenError> {
    let invalid = |reason: &str| OpenError::Endpoint {
        endpoint: endpoint.to_owned(),
        reason: reason.to_owned(),
    };
    let url =
        if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") };
    let uri: Uri =
        url.parse().map_err(|_| invalid("is not an address such as https://s3.example.com"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    egress.check_scheme(&uri).map_err(invalid)?;
    let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    if is_metadata_host(host) {
        return Err(invalid("is a metadata service, which is not allowed as a destination"));
    }
    if host.is_empty() || authority.contains('@') {
        return Err(invalid("must consist of a host without a user"));
    }
    if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
        return Err(invalid(
            "has a path or a query: the bucket and the path have their own fields",
        ));
    }
    if let Ok(address) = host.trim_matches(['[', ']']).parse()
        && let Some(why) = egress.denial(address)
    {
        return Err(invalid(&format!("{why}, which is not allowed as a destination")));
    }
    Ok((scheme.to_owned(), authority.to_owned()))
}
