//! An object gets to its place, once.
//!
//! It is uploaded only if its key is free. "There already" is success, since a key tells its content.
//! Whatever else happens is to be tried again: the variant of the error says how soon that makes
//! sense. Refused keys are renewed, and a clock that is wrong corrected, before anybody hears of it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, StatusCode, Uri};
use md5::{Digest as _, Md5};
use object_store::aws::{AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMode, PutOptions, PutPayload, RetryConfig};

use secrecy::ExposeSecret as _;

use super::credentials::Source;
use super::signer::Signer;
use super::transport::{ContentMd5, Note, Seen, Transport, chain, is_metadata};
use super::{
    Bucket, Credentials, Destination, Object, OpenError, Parts, Provider, azure, sigv4, tls,
};
use crate::DeliverError;

/// The region to sign for where a store has none.
const REGION_DEFAULT: &str = "us-east-1";

/// Where Google's objects are.
const GOOGLE: &str = "https://storage.googleapis.com";
/// Keeps `object_store` from looking for an account where none is wanted.
const NO_ACCOUNT: &str =
    r#"{"private_key":"","private_key_id":"","client_email":"","disable_oauth":true}"#;

/// How an object came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// By this upload.
    Stored,
    /// By an earlier one.
    AlreadyThere,
}

/// What a store said, without what it said in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// An answer.
    #[error("the store answered {status}{}{code}", if code.is_empty() { "" } else { " " })]
    Answer { status: u16, code: String },
    /// None.
    #[error("{0}")]
    Silence(String),
}

impl Bucket {
    /// Uploads an object unless it is there.
    pub async fn put(&self, object: &Object) -> Result<Put, DeliverError> {
        let mut renewed = false;
        loop {
            match self.put_once(&object.key, object.body.iter().cloned().collect()).await {
                Ok(put) => return Ok(put),
                Err(seen) if !renewed && self.can_renew(&seen).await => renewed = true,
                Err(seen) => return Err(error(&seen)),
            }
        }
    }

    /// Whether there is an object under a key.
    pub async fn holds(&self, key: &str) -> Result<bool, DeliverError> {
        let note = Note::default();
        let options = object_store::GetOptions { head: true, ..Default::default() };
        let options = options.with_extensions(extensions(&note));
        match self.store.get_opts(&path(key)?, options).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) if note.seen().code != "NoSuchBucket" => Ok(false),
            Err(other) => Err(error(&seen(&note, &other))),
        }
    }

    pub(super) async fn put_once(&self, key: &str, payload: PutPayload) -> Result<Put, Seen> {
        let note = Note::default();
        let path = path(key).map_err(|error| Seen { failure: chain(&error), ..Seen::default() })?;
        let mut extensions = extensions(&note);
        if let Some(sum) = self.content_md5(&payload) {
            extensions.insert(sum);
        }
        let options = PutOptions { mode: PutMode::Create, extensions, ..Default::default() };
        match self.store.put_opts(&path, payload, options).await {
            Ok(_) => Ok(Put::Stored),
            Err(error) => {
                let seen = seen(&note, &error);
                let is_there = match (seen.status, &error) {
                    (Some(StatusCode::PRECONDITION_FAILED), _) => true,
                    // Azure's word for it; elsewhere 409 is a concurrent attempt.
                    (Some(StatusCode::CONFLICT), _) => seen.code == "BlobAlreadyExists",
                    (None, Error::AlreadyExists { .. }) => {
                        seen.failure.is_empty() || self.is_folder()
                    }
                    _ => false,
                };
                if is_there { Ok(Put::AlreadyThere) } else { Err(seen) }
            }
        }
    }

    /// S3 has a checksum of its own; Google and Azure check this one.
    fn content_md5(&self, payload: &PutPayload) -> Option<ContentMd5> {
        if !matches!(self.destination.provider, Provider::Gcs { .. } | Provider::Azure { .. }) {
            return None;
        }
        let mut sum = Md5::new();
        payload.iter().for_each(|part| sum.update(part));
        HeaderValue::from_str(&BASE64.encode(sum.finalize())).ok().map(ContentMd5)
    }

    fn is_folder(&self) -> bool {
        matches!(self.destination.provider, Provider::File { .. })
    }

    /// Whether the same request may fare better at once: with other keys, or with the right time.
    pub(super) async fn can_renew(&self, seen: &Seen) -> bool {
        let Some(signer) = &self.signer else { return false };
        match seen.code.as_str() {
            "RequestTimeTooSkewed" => true,
            "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired" => {
                signer.renew().await
            }
            _ if matches!(seen.status, Some(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED)) => {
                signer.renew().await
            }
            _ => false,
        }
    }
}

/// What is to be done about it.
fn error(seen: &Seen) -> DeliverError {
    let source = Box::new(refused(seen));
    match seen.status.map(|status| status.as_u16()) {
        // Rights, bucket, region: somebody has to act, or to finish acting.
        Some(301 | 307 | 308 | 400 | 401 | 403 | 404 | 405) => {
            DeliverError::Misconfigured { source }
        }
        _ => DeliverError::Retry { after: seen.retry_after, source },
    }
}

pub(super) fn refused(seen: &Seen) -> Refused {
    match seen.status {
        Some(status) => Refused::Answer { status: status.as_u16(), code: seen.code.clone() },
        None => Refused::Silence(seen.failure.clone()),
    }
}

/// What came back; what `object_store` says itself only where nothing went over a network.
pub(super) fn seen(note: &Note, error: &Error) -> Seen {
    let mut seen = note.seen();
    if seen.status.is_none() && seen.failure.is_empty() {
        seen.failure = chain(error);
    }
    seen
}

pub(super) fn extensions(note: &Note) -> object_store::Extensions {
    let mut extensions = object_store::Extensions::default();
    extensions.insert(note.clone());
    extensions
}

pub(super) fn path(key: &str) -> Result<Path, DeliverError> {
    Path::parse(key).map_err(|error| DeliverError::Misconfigured { source: error.into() })
}

/// A store, and who signs for it.
type Opened = Result<(Arc<dyn ObjectStore>, Option<Arc<Signer>>), OpenError>;

/// The store of a destination, and who signs for it.
pub(super) fn open_store(destination: &Destination, parts: &Parts) -> Opened {
    match &destination.provider {
        Provider::S3 { endpoint, region, path_style } => {
            open_s3(destination, parts, endpoint.as_deref(), region, *path_style)
        }
        Provider::File { root } => {
            let unusable = |what: String| OpenError::Value { what };
            let store = LocalFileSystem::new_with_prefix(root).map_err(|error| {
                unusable(format!("folder {} cannot be used: {}", root.display(), chain(&error)))
            })?;
            Ok((Arc::new(store.with_fsync(true)), None))
        }
        Provider::Gcs { endpoint } => open_gcs(destination, parts, endpoint.as_deref()),
        Provider::Azure { endpoint } => open_azure(destination, parts, endpoint.as_deref()),
    }
}

fn open_s3(
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

fn open_gcs(destination: &Destination, parts: &Parts, endpoint: Option<&str>) -> Opened {
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

fn open_azure(destination: &Destination, parts: &Parts, endpoint: Option<&str>) -> Opened {
    let tls = tls::config(destination.ca_pem.as_deref(), destination.skip_tls_verify)?;
    let builder =
        MicrosoftAzureBuilder::new().with_container_name(named(destination)?).with_retry(once());
    let reach = parts.reach.clone();
    let (account, builder, signer) = match &destination.credentials {
        Credentials::AzureKey { account, key } => {
            let signer = Arc::new(Signer::Azure(azure::Signer::new(account, key)?));
            let transport = Transport::new(reach, tls, Some(Arc::clone(&signer)));
            let builder = builder.with_skip_signature(true).with_http_connector(transport);
            (account, builder, Some(signer))
        }
        Credentials::AzureAmbient { account } => {
            (account, builder.with_http_connector(Transport::with_metadata(reach, tls)), None)
        }
        _ => return Err(OpenError::Credentials { provider: "Azure Blob Storage" }),
    };
    if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let what = format!("{account:?} is not the name of a storage account");
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
pub(super) fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() }
}

/// Scheme and authority of an endpoint that is a plain address of a server.
pub(super) fn checked(endpoint: &str, parts: &Parts) -> Result<(String, String), OpenError> {
    let refused =
        |what: &str| OpenError::Endpoint { endpoint: endpoint.to_owned(), what: what.to_owned() };
    let full =
        if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") };
    let uri: Uri =
        full.parse().map_err(|_| refused("is not an address such as https://s3.example.com"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    match scheme {
        "https" => {}
        "http" if parts.reach.plain_http => {}
        "http" => {
            return Err(refused(
                "is plain http, which is not allowed here: use https, or allow it by a setting",
            ));
        }
        _ => return Err(refused("has to begin with https://")),
    }
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
