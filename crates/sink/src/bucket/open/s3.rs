//! AWS S3, and what speaks its protocol.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, Checksum, S3ConditionalPut};

use super::super::credentials::Source;
use super::super::signer::Signer;
use super::super::transport::Transport;
use super::super::{Credentials, Destination, OpenError, Parts, sigv4, tls};
use super::{Opened, checked, named, once};
use crate::chain;

/// The region to sign for where a store has none.
const REGION_DEFAULT: &str = "us-east-1";

pub(super) fn open(
    destination: &Destination,
    parts: &Parts,
    endpoint: Option<&str>,
    region: &str,
    path_style: bool,
) -> Opened {
    let region = if region.is_empty() { REGION_DEFAULT } else { region };
    let bucket = named(destination)?;
    if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(OpenError::Value { what: format!("{region:?} is not the name of a region") });
    }
    let tls = tls::config(destination.ca_pem.as_deref(), destination.skip_tls_verify)?;
    let signer = match &destination.credentials {
        Credentials::None => None,
        credentials => Some(Arc::new(Signer::Aws(sigv4::Signer::new(
            Source::open(credentials, parts, region, &tls)?,
            region.to_owned(),
            "s3",
            Arc::clone(&parts.clock),
            destination.retention,
        )))),
    };
    let transport = Transport::new(parts.reach.clone(), tls, signer.clone());
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_skip_signature(true)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(once())
        .with_http_connector(transport);
    if let Some(endpoint) = endpoint {
        let (scheme, authority) = checked(endpoint, parts)?;
        let host = if path_style { authority } else { format!("{bucket}.{authority}") };
        builder = builder
            .with_virtual_hosted_style_request(!path_style)
            .with_endpoint(format!("{scheme}://{host}"));
    } else {
        // A dot in a bucket's name is not covered by AWS's certificate.
        let virtual_host = !path_style && !bucket.contains('.');
        builder = builder.with_virtual_hosted_style_request(virtual_host);
    }
    let store = builder.build().map_err(|error| OpenError::Value { what: chain(&error) })?;
    Ok((Arc::new(store), signer))
}
