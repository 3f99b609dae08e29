//! AWS Signature Version 4.
//!
//! A pure function of the request, the credential and the time. `object_store` has a signer too
//! (`AwsAuthorizer`); this one exists because the time must be corrected by the store's clock,
//! which that one does not support, and because keys are held in memory that is zeroized.

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use ::http::{HeaderMap, HeaderName, HeaderValue};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use event::Timestamp;
use object_store::client::HttpRequest;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use sink::hex;

use super::keys::AwsCredential;

/// Signs a request for a service in a region. `None` if a header cannot hold a part of it.
pub(super) fn sign(
    request: &mut HttpRequest,
    credential: &AwsCredential,
    now: Timestamp,
    region: &str,
    service: &str,
) -> Option<()> {
    let amz_date: String =
        now.to_string().chars().filter(|character| !matches!(character, '-' | ':')).collect();
    let amz_date = format!("{}Z", amz_date.get(..15)?);
    let date = amz_date.get(..8)?.to_owned();
    let payload = payload_hash(request);
    let host = request.uri().authority()?.as_str().to_owned();
    let path = request.uri().path().to_owned();
    let query = canonical_query(request.uri().query().unwrap_or_default());
    let method = request.method().clone();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&host).ok()?);
    headers.insert("x-amz-date", HeaderValue::from_str(&amz_date).ok()?);
    headers.insert("x-amz-content-sha256", HeaderValue::from_str(&payload).ok()?);
    if let Some(token) = &credential.session_token {
        let mut token = HeaderValue::from_str(token.expose_secret()).ok()?;
        token.set_sensitive(true);
        headers.insert("x-amz-security-token", token);
    }
    let (signed, header_lines) = canonical_headers(headers);
    let canonical_request =
        format!("{method}\n{path}\n{query}\n{header_lines}\n{signed}\n{payload}");
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let hash = hex(digest(&SHA256, canonical_request.as_bytes()).as_ref());
    let string_to_sign = format!("AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{hash}");
    let initial_key =
        Zeroizing::new(format!("AWS4{}", credential.secret_access_key.expose_secret()));
    let key = [date.as_str(), region, service, "aws4_request"]
        .iter()
        .fold(hmac::Key::new(hmac::HMAC_SHA256, initial_key.as_bytes()), |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        });
    let signature = hex(hmac::sign(&key, string_to_sign.as_bytes()).as_ref());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
        credential.access_key_id
    );
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&authorization).ok()?);
    Some(())
}

/// The SHA-256 of the body. The checksum of an upload is the same, so it is not computed twice.
fn payload_hash(request: &HttpRequest) -> String {
    let checksum = request.headers().get("x-amz-checksum-sha256");
    let signed_checksum = checksum.and_then(|value| BASE64.decode(value.as_bytes()).ok());
    match (signed_checksum, request.body().as_bytes()) {
        (Some(hash), _) => hex(&hash),
        (None, Some(bytes)) => hex(digest(&SHA256, bytes).as_ref()),
        (None, None) if request.body().content_length() == 0 => hex(digest(&SHA256, &[]).as_ref()),
        (None, None) => "UNSIGNED-PAYLOAD".to_owned(),
    }
}

/// The names of the signed headers, and their lines: `host`, the content type, conditions, and all
/// headers of AWS.
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

/// The query in the canonical encoding, sorted by name.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            format!("{}={}", reencode(name), reencode(value))
        })
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn reencode(text: &str) -> String {
    let text = text.replace('+', " ");
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(&text).collect();
    percent_encoding::percent_encode(&bytes, &RESERVED).to_string()
}

/// All but the unreserved characters of RFC 3986.
const RESERVED: percent_encoding::AsciiSet =
    percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the S3 documentation, "GET Object".
    #[test]
    fn the_documented_request_gets_the_documented_signature() {
        let mut request = ::http::Request::get("https://examplebucket.s3.amazonaws.com/test.txt")
            .header("x-amz-meta-unused", "no")
            .body(object_store::client::HttpRequestBody::empty())
            .unwrap();
        request.headers_mut().remove("x-amz-meta-unused");
        let credential = AwsCredential {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
            expires: None,
        };
        let now = Timestamp::parse("2013-05-24T00:00:00Z").unwrap();
        sign(&mut request, &credential, now, "us-east-1", "s3").unwrap();
        let authorization = request.headers()[AUTHORIZATION].to_str().unwrap();
        let start = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                     SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=";
        assert!(authorization.starts_with(start), "{authorization}");
        assert_eq!(request.headers()["x-amz-date"], "20130524T000000Z");
        assert_eq!(
            request.headers()["x-amz-content-sha256"],
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    /// The example of the S3 documentation, "GET Bucket Lifecycle" and "List Objects".
    #[test]
    fn queries_are_encoded_and_sorted_as_documented() {
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
            let mut request = ::http::Request::get(uri)
                .body(object_store::client::HttpRequestBody::empty())
                .unwrap();
            let credential = AwsCredential {
                access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
                session_token: None,
                expires: None,
            };
            let now = Timestamp::parse("2013-05-24T00:00:00Z").unwrap();
            sign(&mut request, &credential, now, "us-east-1", "s3").unwrap();
            let authorization = request.headers()[AUTHORIZATION].to_str().unwrap();
            assert!(authorization.ends_with(expected), "{authorization}");
        }
        assert_eq!(canonical_query("b=a+b&a=x%2fy&c"), "a=x%2Fy&b=a%20b&c=");
    }
}
