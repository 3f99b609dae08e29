//! The HTTP client of one destination: enforces the egress policy, signs, and records responses.
//!
//! `object_store` speaks the protocols and sends its requests through this client. It connects only
//! where the policy permits, follows no redirect, and has a timeout for each step. It reads only
//! the code of an error's body; a [`ResponseSlot`] passes it to the caller.
//!
//! The cause of a missing response is only logged. The author of a profile sees the same text after
//! the same time for every cause: the check of a destination waits until its timeout, and
//! `delivery` reports nothing earlier. Otherwise a profile could find out which ports are open in
//! the server's network.

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use ::http::header::DATE;
use ::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use rustls::ClientConfig;
use sink::error_chain;
use sink::http::{
    Connector, EgressPolicy, check_uri, client_builder, connector, is_metadata_host, retry_after,
};

use super::response::{
    CHECKSUM, NO_RESPONSE, ResponseInfo, ResponseSlot, error_code, integrity_error,
    read_error_body, sanitize_code,
};
use crate::signing::RequestSigner;

/// Header in which some libraries name the algorithm of [`CHECKSUM`].
const CHECKSUM_ALGORITHM: &str = "x-amz-sdk-checksum-algorithm";

/// The checksum that replaces `object_store`'s in an upload.
#[derive(Clone, Debug)]
pub(crate) enum UploadChecksum {
    /// `Content-MD5`.
    Md5(HeaderValue),
    /// No checksum.
    None,
}

/// Gives `object_store` the HTTP client of one destination.
#[derive(Clone, Debug)]
pub(crate) struct Transport(HttpClient);

impl Transport {
    /// A client whose requests `signer` signs.
    pub(crate) fn new(
        egress: EgressPolicy,
        tls: ClientConfig,
        signer: Option<Arc<dyn RequestSigner>>,
    ) -> Self {
        Self::with(egress, tls, signer, false)
    }

    /// A client with which `object_store` may also get credentials from the cloud's metadata
    /// service.
    pub(crate) fn with_metadata(egress: EgressPolicy, tls: ClientConfig) -> Self {
        Self::with(egress, tls, None, true)
    }

    fn with(
        egress: EgressPolicy,
        tls: ClientConfig,
        signer: Option<Arc<dyn RequestSigner>>,
        allows_metadata_hosts: bool,
    ) -> Self {
        let client = client_builder()
            // Retries only requests that were never sent. A request without a response may have
            // been executed, so only `delivery` repeats it.
            .retry_canceled_requests(true)
            .build(connector(&egress, tls, allows_metadata_hosts));
        Self(HttpClient::new(SigningService { client, egress, signer, allows_metadata_hosts }))
    }

    pub(crate) fn client(&self) -> HttpClient {
        self.0.clone()
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// Signs requests and sends them.
struct SigningService {
    client: Client<Connector, HttpRequestBody>,
    egress: EgressPolicy,
    signer: Option<Arc<dyn RequestSigner>>,
    /// Hosts of metadata services are exempt from the policy.
    allows_metadata_hosts: bool,
}

impl fmt::Debug for SigningService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningService")
    }
}

/// Why a request got no response, without details that the author of a profile must not see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl Failure {
    /// The destination did not respond. The reason is only logged.
    fn no_response(uri: &Uri, why: &str) -> Self {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        tracing::warn!(authority, why, "no response from a destination");
        Self(NO_RESPONSE.to_owned())
    }
}

#[async_trait]
impl HttpService for SigningService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let slot = request.extensions().get::<ResponseSlot>().cloned().unwrap_or_default();
        self.send(request, &slot).await.map_err(|failure| {
            let is_connect_error = slot.info().is_connect_error;
            let failure_text = failure.0.clone();
            slot.set(ResponseInfo {
                failure: failure_text,
                is_connect_error,
                ..ResponseInfo::default()
            });
            HttpError::new(HttpErrorKind::Unknown, failure)
        })
    }
}

impl SigningService {
    async fn send(
        &self,
        mut request: HttpRequest,
        slot: &ResponseSlot,
    ) -> Result<HttpResponse, Failure> {
        let uri = request.uri().clone();
        self.check_uri(&uri)?;
        if let Some(checksum) = request.extensions().get::<UploadChecksum>().cloned() {
            let headers = request.headers_mut();
            headers.remove(CHECKSUM);
            headers.remove(CHECKSUM_ALGORITHM);
            if let UploadChecksum::Md5(md5) = checksum {
                headers.insert("content-md5", md5);
            }
        }
        if let Some(signer) = &self.signer {
            let signed = signer.sign(&mut request).await;
            signed.map_err(|error| Failure(error_chain(&*error)))?;
        }
        let is_upload = request.method() == Method::PUT;
        let checksum = request.headers().get(CHECKSUM).cloned();
        let (mut head, body) = self.exchange(&uri, request, slot).await?.into_parts();
        let mut info = ResponseInfo {
            status: Some(head.status),
            retry_after: retry_after(&head.headers),
            region: sanitize_code(
                head.headers.get("x-amz-bucket-region").map_or(&[], |value| value.as_bytes()),
            ),
            ..ResponseInfo::default()
        };
        if head.status.is_success() && !is_upload {
            slot.set(info);
            let failed = |error: hyper::Error| HttpError::new(HttpErrorKind::Interrupted, error);
            return Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body.map_err(failed))));
        }
        let text = read_error_body(body).await;
        if head.status.is_success() {
            info.code = integrity_error(checksum.as_ref(), &head.headers, &text);
            if !info.code.is_empty() {
                // `object_store` looks at the status only.
                head.status = StatusCode::BAD_GATEWAY;
            }
        } else {
            let header_code = ["x-ms-error-code", "x-minio-error-code"]
                .into_iter()
                .find_map(|name| head.headers.get(name));
            info.code = header_code
                .map_or_else(|| error_code(&text), |value| sanitize_code(value.as_bytes()));
            if let Some(signer) = &self.signer {
                signer.observe_clock_skew(&info.code, server_time(&head.headers));
            }
        }
        slot.set(info);
        // The metadata service of AWS answers a PUT with a session token. Other bodies are dropped.
        let text = if head.status.is_success() { text } else { Bytes::new() };
        Ok(HttpResponse::from_parts(head, HttpResponseBody::from(text)))
    }

    async fn exchange(
        &self,
        uri: &Uri,
        request: HttpRequest,
        slot: &ResponseSlot,
    ) -> Result<Response<Incoming>, Failure> {
        let limit = self.egress.response_timeout;
        match tokio::time::timeout(limit, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let is_connect_error = error.is_connect();
                slot.set(ResponseInfo { is_connect_error, ..ResponseInfo::default() });
                // A denied name and an unknown one look the same: the author of a profile must not
                // find out which names belong to the internal network.
                Err(Failure::no_response(uri, &error_chain(&error)))
            }
            Err(_) => Err(Failure::no_response(uri, &format!("none within {limit:?}"))),
        }
    }

    /// Checks a URL with an IP address, which does not pass the resolver.
    fn check_uri(&self, uri: &Uri) -> Result<(), Failure> {
        if self.allows_metadata_hosts && uri.host().is_some_and(is_metadata_host) {
            return Ok(());
        }
        check_uri(&self.egress, uri).map_err(Failure)
    }
}

/// The time by the store's clock, in seconds since 1970.
fn server_time(headers: &HeaderMap) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}
