//! Signatures of AWS, version 4, and the headers that have to be signed with a request.
//!
//! Signing happens here and not in `object_store`, so that the retention of an object is signed with
//! it, a clock that is wrong is corrected by the store's own, and renewed keys count at once.

use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use event::Timestamp;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use object_store::client::HttpRequest;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use super::Clock;
use super::credentials::{AwsKeys, KeysError, Source};
use super::destination::Retention;

/// The suffix of objects of events: they alone are retained.
const RETAINED: &str = ".json.gz";

/// Signs the requests of one destination.
pub(super) struct Signer {
    source: Source,
    region: String,
    service: &'static str,
    clock: Clock,
    /// Seconds that the store's clock is ahead of ours.
    skew: AtomicI64,
    retention: Option<Retention>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("region", &self.region).finish_non_exhaustive()
    }
}

impl Signer {
    pub(super) fn new(
        source: Source,
        region: String,
        service: &'static str,
        clock: Clock,
        retention: Option<Retention>,
    ) -> Self {
        Self { source, region, service, clock, skew: AtomicI64::new(0), retention }
    }

    /// Adds what is to be signed, and the signature.
    pub(super) async fn sign(&self, request: &mut HttpRequest) -> Result<(), KeysError> {
        let keys = self.source.keys().await?;
        let now = self.now();
        let malformed = || KeysError::Malformed;
        if let Some(retention) = self.retention
            && request.method() == Method::PUT
            && request.uri().path().ends_with(RETAINED)
        {
            let until = now
                .as_micros()
                .saturating_add(i64::try_from(retention.period.as_micros()).unwrap_or(i64::MAX));
            let until = Timestamp::from_micros(until).to_string();
            let headers = request.headers_mut();
            headers.insert(
                "x-amz-object-lock-mode",
                HeaderValue::from_static(retention.mode.as_str()),
            );
            let until = HeaderValue::from_str(&until).map_err(|_| malformed())?;
            headers.insert("x-amz-object-lock-retain-until-date", until);
        }
        authorize(request, &keys, now, &self.region, self.service).ok_or_else(malformed)
    }

    /// Other keys may help: whether there are any.
    pub(super) async fn renew(&self) -> bool {
        self.source.renew().await
    }

    /// Takes the store's word for the time, when it complains about ours.
    pub(super) fn learn(&self, code: &str, server_time: Option<i64>) {
        if let Some(theirs) = server_time.filter(|_| code == "RequestTimeTooSkewed") {
            let ours = (self.clock)().as_micros().div_euclid(1_000_000);
            self.skew.store(theirs.saturating_sub(ours), Ordering::Relaxed);
        }
    }

    fn now(&self) -> Timestamp {
        let skew = self.skew.load(Ordering::Relaxed).saturating_mul(1_000_000);
        Timestamp::from_micros((self.clock)().as_micros().saturating_add(skew))
    }
}

/// Signs a request with these keys; `None` if something in it cannot stand in a header.
pub(super) fn authorize(
    request: &mut HttpRequest,
    keys: &AwsKeys,
    now: Timestamp,
    region: &str,
    service: &str,
) -> Option<()> {
    let stamp: String = now.to_string().chars().filter(|one| *one != '-' && *one != ':').collect();
    let stamp = format!("{}Z", stamp.get(..15)?);
    let day = stamp.get(..8)?.to_owned();
    let payload = payload_hash(request);
    let host = request.uri().authority()?.as_str().to_owned();
    let path = request.uri().path().to_owned();
    let query = canonical_query(request.uri().query().unwrap_or_default());
    let method = request.method().clone();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&host).ok()?);
    headers.insert("x-amz-date", HeaderValue::from_str(&stamp).ok()?);
    headers.insert("x-amz-content-sha256", HeaderValue::from_str(&payload).ok()?);
    if let Some(token) = &keys.session_token {
        let mut token = HeaderValue::from_str(token.expose_secret()).ok()?;
        token.set_sensitive(true);
        headers.insert("x-amz-security-token", token);
    }
    let (signed, canonical) = canonical_headers(headers);
    let request_text = format!("{method}\n{path}\n{query}\n{canonical}\n{signed}\n{payload}");
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let hash = hex(digest(&SHA256, request_text.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hash}");
    let first = Zeroizing::new(format!("AWS4{}", keys.secret.expose_secret()));
    let key = [day.as_str(), region, service, "aws4_request"]
        .iter()
        .fold(hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes()), |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        });
    let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
        keys.id
    );
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&authorization).ok()?);
    Some(())
}

/// The checksum of an upload is its hash: it is not computed twice.
fn payload_hash(request: &HttpRequest) -> String {
    let checksum = request.headers().get("x-amz-checksum-sha256");
    let known = checksum.and_then(|value| BASE64.decode(value.as_bytes()).ok());
    match (known, request.body().as_bytes()) {
        (Some(hash), _) => hex(&hash),
        (None, Some(bytes)) => hex(digest(&SHA256, bytes).as_ref()),
        (None, None) if request.body().content_length() == 0 => hex(digest(&SHA256, &[]).as_ref()),
        (None, None) => "UNSIGNED-PAYLOAD".to_owned(),
    }
}

/// Signed are `host`, the type of the content, and all that is AWS's own or a condition.
fn canonical_headers(headers: &HeaderMap) -> (String, String) {
    let is_signed = |name: &HeaderName| {
        name == HOST
            || name == CONTENT_TYPE
            || name.as_str().starts_with("x-amz-")
            || name.as_str() == "if-none-match"
    };
    let mut signed: Vec<(&str, String)> = headers
        .iter()
        .filter(|(name, _)| is_signed(name))
        .map(|(name, value)| {
            (name.as_str(), String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        })
        .collect();
    signed.sort();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let lines: Vec<String> =
        signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    (names.join(";"), lines.concat())
}

/// The query in AWS's own spelling, in the order of its names.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            format!("{}={}", respell(name), respell(value))
        })
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn respell(text: &str) -> String {
    let text = text.replace('+', " ");
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(&text).collect();
    percent_encoding::percent_encode(&bytes, &STRICT).to_string()
}

/// Everything but the unreserved characters.
const STRICT: percent_encoding::AsciiSet =
    percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the S3 documentation, "GET Object".
    #[test]
    fn the_documented_request_gets_the_documented_signature() {
        let mut request = http::Request::get("https://examplebucket.s3.amazonaws.com/test.txt")
            .header("x-amz-meta-unused", "no")
            .body(object_store::client::HttpRequestBody::empty())
            .unwrap();
        request.headers_mut().remove("x-amz-meta-unused");
        let keys = AwsKeys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
            expires: None,
        };
        let now = Timestamp::parse("2013-05-24T00:00:00Z").unwrap();
        authorize(&mut request, &keys, now, "us-east-1", "s3").unwrap();
        let found = request.headers()[AUTHORIZATION].to_str().unwrap();
        let start = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                     SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=";
        assert!(found.starts_with(start), "{found}");
        assert_eq!(request.headers()["x-amz-date"], "20130524T000000Z");
        assert_eq!(
            request.headers()["x-amz-content-sha256"],
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    /// The example of the S3 documentation, "GET Bucket Lifecycle" and "List Objects".
    #[test]
    fn queries_are_spelled_and_ordered_as_documented() {
        for (uri, expected) in [
            (
                "https://examplebucket.s3.amazonaws.com/?lifecycle",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let mut request = http::Request::get(uri)
                .body(object_store::client::HttpRequestBody::empty())
                .unwrap();
            let keys = AwsKeys {
                id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
                session_token: None,
                expires: None,
            };
            let now = Timestamp::parse("2013-05-24T00:00:00Z").unwrap();
            authorize(&mut request, &keys, now, "us-east-1", "s3").unwrap();
            let found = request.headers()[AUTHORIZATION].to_str().unwrap();
            assert!(found.ends_with(expected), "{found}");
        }
        assert_eq!(canonical_query("b=a+b&a=x%2fy&c"), "a=x%2Fy&b=a%20b&c=");
    }
}
