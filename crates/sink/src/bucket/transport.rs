//! The way to a store: dials only what may be dialled, signs, and remembers what came back.
//!
//! `object_store` speaks the protocols; this is its HTTP client. Only what [`Reach`] allows is dialled,
//! redirects are not followed, and every step has its time. The body of a refusal is read for its
//! code only, and a [`Note`] takes it to whoever asked.
//!
//! Why there was no answer is for the log alone. Whoever names endpoints hears the same in each case,
//! and at the same time after the question: a check of a destination waits until that time is over,
//! and `delivery` says nothing before it. Else a profile could find out which ports are open where
//! only the server gets.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use rustls::ClientConfig;

use super::names::Resolver;
use super::reach::Reach;
use super::signer::Signer;
use crate::chain;

/// Time to get a connection.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes that are read of the answer to an upload, or of a refusal.
const WORDS_BYTES_MAX: usize = 64 << 10;
/// Time for them.
const WORDS_TIME_MAX: Duration = Duration::from_secs(10);
/// What is said of every request that got no answer.
pub(super) const SILENCE: &str = "no answer";
/// The checksum of an upload, in a request and in its answer.
const CHECKSUM: &str = "x-amz-checksum-sha256";
/// What some libraries say beside it.
const CHECKSUM_ALGORITHM: &str = "x-amz-sdk-checksum-algorithm";
/// Unused connections are closed after so long: before the stores do it.
const IDLE_TIME_MAX: Duration = Duration::from_secs(15);

/// The checksum that goes with an upload in place of the protocol's own.
#[derive(Clone, Debug)]
pub(super) enum UploadSum {
    /// `Content-MD5`.
    Md5(HeaderValue),
    /// None at all.
    None,
}

/// Where clouds keep the credentials of what runs in them. Nobody but the provider's own protocol may
/// ask there, so a profile cannot name them.
const METADATA_HOSTS: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];

/// What came back, for whoever sent the request.
#[derive(Clone, Debug, Default)]
pub(super) struct Note(Arc<Mutex<Seen>>);

/// What is remembered of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// `None` if there was no answer.
    pub(super) status: Option<StatusCode>,
    /// The store's word for it, such as `NoSuchBucket`; plain letters and digits.
    pub(super) code: String,
    /// How long it asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The region in which the bucket is, if the store says so.
    pub(super) region: String,
    /// Why there was no answer.
    pub(super) failure: String,
    /// There was not even a connection.
    pub(super) is_unreached: bool,
}

impl Seen {
    /// Nobody answered, and nobody is to know more than that.
    pub(super) fn is_silence(&self) -> bool {
        self.status.is_none() && self.failure == SILENCE
    }
}

impl Note {
    pub(super) fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, seen: Seen) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

/// The HTTP client of one destination.
#[derive(Clone, Debug)]
pub(super) struct Transport(HttpClient);

impl Transport {
    /// A way that is signed for by `signer`.
    pub(super) fn new(reach: Reach, tls: ClientConfig, signer: Option<Arc<Signer>>) -> Self {
        Self::with(reach, tls, signer, false)
    }

    /// A way on which the provider's own protocol asks for credentials where it runs.
    pub(super) fn with_metadata(reach: Reach, tls: ClientConfig) -> Self {
        Self::with(reach, tls, None, true)
    }

    fn with(reach: Reach, tls: ClientConfig, signer: Option<Arc<Signer>>, metadata: bool) -> Self {
        let client = builder()
            // A request that got no answer may have been carried out: only `delivery` repeats it.
            .retry_canceled_requests(true)
            .build(connector(&reach, tls, metadata));
        Self(HttpClient::new(Caller { client, reach, signer, metadata }))
    }

    pub(super) fn client(&self) -> HttpClient {
        self.0.clone()
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// Makes connections to where they are allowed.
pub(crate) type Connector = HttpsConnector<Tcp<Resolver>>;

/// Connections, over TLS where the address asks for it.
pub(crate) fn connector(reach: &Reach, tls: ClientConfig, metadata: bool) -> Connector {
    let mut tcp = Tcp::new_with_resolver(Resolver { reach: reach.clone(), metadata });
    tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp)
}

/// What all clients have in common.
pub(crate) fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(IDLE_TIME_MAX).pool_timer(TokioTimer::new()).timer(TokioTimer::new());
    builder
}

struct Caller {
    client: Client<Connector, HttpRequestBody>,
    reach: Reach,
    signer: Option<Arc<Signer>>,
    metadata: bool,
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Caller")
    }
}

/// Why a request got no answer, as far as everybody may know.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl Failure {
    /// Nobody answered. Why is logged.
    fn silence(uri: &Uri, why: &str) -> Self {
        let place = uri.authority().map_or("", |authority| authority.as_str());
        tracing::warn!(place, why, "a destination gives no answer");
        Self(SILENCE.to_owned())
    }
}

#[async_trait]
impl HttpService for Caller {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let note = request.extensions().get::<Note>().cloned().unwrap_or_default();
        self.send(request, &note).await.map_err(|failure| {
            let is_unreached = note.seen().is_unreached;
            note.set(Seen { failure: failure.0.clone(), is_unreached, ..Seen::default() });
            HttpError::new(HttpErrorKind::Unknown, failure)
        })
    }
}

impl Caller {
    async fn send(&self, mut request: HttpRequest, note: &Note) -> Result<HttpResponse, Failure> {
        let uri = request.uri().clone();
        self.may_dial(&uri)?;
        if let Some(sum) = request.extensions().get::<UploadSum>().cloned() {
            let headers = request.headers_mut();
            headers.remove(CHECKSUM);
            headers.remove(CHECKSUM_ALGORITHM);
            if let UploadSum::Md5(sum) = sum {
                headers.insert("content-md5", sum);
            }
        }
        if let Some(signer) = &self.signer {
            signer.sign(&mut request).await.map_err(|error| Failure(chain(&error)))?;
        }
        let is_upload = request.method() == Method::PUT;
        let sum = request.headers().get(CHECKSUM).cloned();
        let (mut head, body) = self.answer(&uri, request, note).await?.into_parts();
        let mut seen = Seen {
            status: Some(head.status),
            retry_after: retry_after(&head.headers),
            region: word(
                head.headers.get("x-amz-bucket-region").map_or(&[], |value| value.as_bytes()),
            ),
            ..Seen::default()
        };
        if head.status.is_success() && !is_upload {
            note.set(seen);
            let failed = |error: hyper::Error| HttpError::new(HttpErrorKind::Interrupted, error);
            return Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body.map_err(failed))));
        }
        let text = words(body).await;
        if head.status.is_success() {
            seen.code = objection(sum.as_ref(), &head.headers, &text);
            if !seen.code.is_empty() {
                // `object_store` believes the head.
                head.status = StatusCode::BAD_GATEWAY;
            }
        } else {
            let named = ["x-ms-error-code", "x-minio-error-code"]
                .into_iter()
                .find_map(|name| head.headers.get(name));
            seen.code = named.map_or_else(|| code(&text), |value| word(value.as_bytes()));
            if let Some(signer) = &self.signer {
                signer.learn(&seen.code, server_time(&head.headers));
            }
        }
        note.set(seen);
        // The metadata service of AWS answers a PUT with a session; nobody else's words count.
        let text = if head.status.is_success() { text } else { Bytes::new() };
        Ok(HttpResponse::from_parts(head, HttpResponseBody::from(text)))
    }

    async fn answer(
        &self,
        uri: &Uri,
        request: HttpRequest,
        note: &Note,
    ) -> Result<Response<Incoming>, Failure> {
        let patience = self.reach.patience;
        match tokio::time::timeout(patience, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                note.set(Seen { is_unreached: error.is_connect(), ..Seen::default() });
                // A name that may not be dialled is not told from one that leads nowhere: the author of
                // a profile must not learn which names lead into the network.
                Err(Failure::silence(uri, &chain(&error)))
            }
            Err(_) => Err(Failure::silence(uri, &format!("none within {patience:?}"))),
        }
    }

    /// What is no name does not pass the resolver.
    fn may_dial(&self, uri: &Uri) -> Result<(), Failure> {
        if self.metadata && uri.host().is_some_and(is_metadata) {
            return Ok(());
        }
        may_dial(&self.reach, uri).map_err(Failure)
    }
}

/// Why an address may not be dialled, as far as it stands in a URL. Names are the resolver's.
pub(crate) fn may_dial(reach: &Reach, uri: &Uri) -> Result<(), String> {
    if uri.scheme_str() != Some("https") && !reach.plain_http {
        return Err("plain http is not allowed".to_owned());
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>().ok().and_then(|address| reach.refusal(address)) {
        Some(why) => Err(format!("{host} {why}")),
        None => Ok(()),
    }
}

/// Whether a host is where clouds keep credentials.
pub(crate) fn is_metadata(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    METADATA_HOSTS.iter().any(|known| host.eq_ignore_ascii_case(known))
}

/// What is wrong with an answer that says an upload has succeeded; usually nothing.
fn objection(sum: Option<&HeaderValue>, headers: &HeaderMap, text: &[u8]) -> String {
    let is_other = sum
        .zip(headers.get(CHECKSUM))
        .is_some_and(|(sent, stored)| sent.as_bytes() != stored.as_bytes());
    if is_other { "BadDigest".to_owned() } else { code(text) }
}

/// A body that is words, as far as it comes soon.
async fn words(body: Incoming) -> Bytes {
    let read = Limited::new(body, WORDS_BYTES_MAX).collect();
    match tokio::time::timeout(WORDS_TIME_MAX, read).await {
        Ok(Ok(read)) => read.to_bytes(),
        Ok(Err(_)) | Err(_) => Bytes::new(),
    }
}

/// The `<Code>` of an XML refusal, the reason of one in JSON, or nothing.
fn code(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if text.trim_start().starts_with('{') {
        return code_of_json(&text).unwrap_or_default();
    }
    let after = text.split_once("<Code>").map_or("", |(_, after)| after);
    word(after.split_once("</Code>").map_or("", |(code, _)| code).as_bytes())
}

/// As Google's and Azure's other interfaces have it, and stores that speak S3 with JSON in refusals.
fn code_of_json(text: &str) -> Option<String> {
    let whole: serde_json::Value = serde_json::from_str(text).ok()?;
    let places =
        ["/error/errors/0/reason", "/error/code", "/error/status", "/Code", "/code", "/error"];
    let mut words = places.iter().filter_map(|place| whole.pointer(place)?.as_str());
    words.next().map(|found| word(found.as_bytes()))
}

/// Letters, digits, `-`, `_` and `.` only, and few of them: it goes into logs and statuses.
fn word(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if bytes.len() > 64 || !bytes.iter().all(plain) {
        return String::new();
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// Seconds, or a time.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    at.duration_since(now).ok()
}

/// What the store's clock says, in seconds since 1970.
fn server_time(headers: &HeaderMap) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}
