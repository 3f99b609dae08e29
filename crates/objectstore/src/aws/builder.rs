//! Builds the S3 client of a destination.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, Checksum, S3ConditionalPut};
use sink::error_chain;
use sink::http::tls;

use super::credentials::AwsCredentials;
use super::provider::S3;
use super::signer::SigV4Signer;
use crate::config::{BucketConfig, OpenError};
use crate::credentials::Credentials;
use crate::destination::Destination;
use crate::endpoint::{bucket_name, no_retries, parse_endpoint};
use crate::http::Transport;
use crate::signing::{Client, OpenResult, RequestSigner};

pub(super) fn open(s3: &S3, destination: &Destination, config: &BucketConfig) -> OpenResult {
    let (region, path_style) = (s3.signing_region(), s3.path_style);
    let bucket = bucket_name(destination)?;
    if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(OpenError::Value { reason: format!("{region:?} is not the name of a region") });
    }
    let tls = tls::config(destination.ca_pem.as_deref(), destination.skip_tls_verify)?;
    let signer = match &destination.credentials {
        Credentials::None => None,
        credentials => Some(Arc::new(SigV4Signer::new(
            AwsCredentials::open(credentials, config, region, &tls)?,
            region.to_owned(),
            Arc::clone(&config.clock),
            destination.retention,
        )) as Arc<dyn RequestSigner>),
    };
    let transport = Transport::new(config.egress.clone(), tls, signer.clone());
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_skip_signature(true)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(no_retries())
        .with_http_connector(transport);
    if let Some(endpoint) = &s3.endpoint {
        let (scheme, authority) = parse_endpoint(endpoint, &config.egress)?;
        let host = if path_style { authority } else { format!("{bucket}.{authority}") };
        builder = builder
            .with_virtual_hosted_style_request(!path_style)
            .with_endpoint(format!("{scheme}://{host}"));
    } else {
        // AWS's wildcard certificate does not cover a bucket's name with a dot.
        let virtual_host = !path_style && !bucket.contains('.');
        builder = builder.with_virtual_hosted_style_request(virtual_host);
    }
    let store =
        builder.build().map_err(|error| OpenError::Value { reason: error_chain(&error) })?;
    Ok(Client { store: Arc::new(store), signer })
}
