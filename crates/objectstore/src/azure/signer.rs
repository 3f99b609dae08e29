//! Signatures by the key of an Azure storage account ("Shared Key").
//!
//! `object_store` has a signer too (`AzureAuthorizer`); this one holds the key in memory that is
//! zeroized.

use std::fmt;

use ::http::HeaderValue;
use ::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, DATE,
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE,
};
use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use object_store::client::HttpRequest;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sink::BoxError;

use crate::config::OpenError;
use crate::signing::RequestSigner;

/// Header with the checksum of an upload.
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// A header cannot hold the signature.
#[derive(Debug, thiserror::Error)]
#[error("the credentials contain characters that cannot be sent")]
struct Malformed;

/// Signs the requests to one storage account.
pub(super) struct SharedKeySigner {
    account: String,
    key: hmac::Key,
}

impl fmt::Debug for SharedKeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeySigner").field("account", &self.account).finish_non_exhaustive()
    }
}

impl SharedKeySigner {
    pub(super) fn new(account: &str, key: &SecretString) -> Result<Self, OpenError> {
        let key = BASE64.decode(key.expose_secret()).map_err(|_| OpenError::Value {
            reason: "the key of the storage account is not base64".to_owned(),
        })?;
        let key = Zeroizing::new(key);
        Ok(Self { account: account.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// The string to sign.
    fn string_to_sign(&self, request: &HttpRequest) -> String {
        let header = |name: &HeaderName| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().trim().to_owned()
        };
        let length =
            Some(header(&CONTENT_LENGTH)).filter(|length| length != "0").unwrap_or_default();
        // `x-ms-date` takes precedence over `Date`.
        let date =
            if request.headers().contains_key("x-ms-date") { String::new() } else { header(&DATE) };
        let standard_headers = [
            request.method().as_str().to_owned(),
            header(&CONTENT_ENCODING),
            header(&CONTENT_LANGUAGE),
            length,
            header(&CONTENT_MD5),
            header(&CONTENT_TYPE),
            date,
            header(&IF_MODIFIED_SINCE),
            header(&IF_MATCH),
            header(&IF_NONE_MATCH),
            header(&IF_UNMODIFIED_SINCE),
            header(&RANGE),
        ];
        let mut ms_headers: Vec<String> = request
            .headers()
            .keys()
            .filter(|name| name.as_str().starts_with("x-ms-"))
            .map(|name| format!("{}:{}\n", name.as_str(), header(name)))
            .collect();
        ms_headers.sort();
        let mut query: Vec<String> = request
            .uri()
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let value = value.replace('+', " ");
                let value = percent_encoding::percent_decode_str(&value).decode_utf8_lossy();
                format!("\n{}:{value}", name.to_lowercase())
            })
            .collect();
        query.sort();
        let (standard_headers, ms_headers, query) =
            (standard_headers.join("\n"), ms_headers.concat(), query.concat());
        format!("{standard_headers}\n{ms_headers}/{}{}{query}", self.account, request.uri().path())
    }
}

#[async_trait]
impl RequestSigner for SharedKeySigner {
    async fn sign(&self, request: &mut HttpRequest) -> Result<(), BoxError> {
        let signature = hmac::sign(&self.key, self.string_to_sign(request).as_bytes());
        let value = format!("SharedKey {}:{}", self.account, BASE64.encode(signature.as_ref()));
        let mut value = HeaderValue::from_str(&value).map_err(|_| Malformed)?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `object_store` sends; Azurite refuses it otherwise.
    #[test]
    fn the_date_is_signed() {
        let request = ::http::Request::put("https://acct.blob.core.windows.net/c/k")
            .header("date", "Fri, 26 Jun 2015 23:39:12 GMT")
            .body(object_store::client::HttpRequestBody::empty())
            .unwrap();
        let signer = SharedKeySigner::new("acct", &BASE64.encode("key").into()).unwrap();
        assert_eq!(
            signer.string_to_sign(&request),
            "PUT\n\n\n\n\n\nFri, 26 Jun 2015 23:39:12 GMT\n\n\n\n\n\n/acct/c/k"
        );
    }

    /// The form of the documentation's "Put Blob" example.
    #[test]
    fn the_string_to_sign_has_the_documented_order() {
        let request =
            ::http::Request::put("https://acct.blob.core.windows.net/c/k?timeout=20&b=x%20y")
                .header("x-ms-version", "2023-11-03")
                .header("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT")
                .header("x-ms-blob-type", "BlockBlob")
                .header("content-length", "11")
                .header("content-md5", "sum")
                .header("if-none-match", "*")
                .body(object_store::client::HttpRequestBody::empty())
                .unwrap();
        let signer = SharedKeySigner::new("acct", &BASE64.encode("key").into()).unwrap();
        assert_eq!(
            signer.string_to_sign(&request),
            "PUT\n\n\n11\nsum\n\n\n\n\n*\n\n\nx-ms-blob-type:BlockBlob\n\
             x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2023-11-03\n\
             /acct/c/k\nb:x y\ntimeout:20"
        );
    }
}
