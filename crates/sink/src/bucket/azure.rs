//! Signatures of Azure by the key of a storage account ("Shared Key").
//!
//! Signing happens here and not in `object_store`, so that the checksum of an upload is signed with it.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE,
};
use object_store::client::HttpRequest;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::OpenError;

/// The header with an upload's checksum.
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// Signs the requests to one account.
pub(super) struct Signer {
    account: String,
    key: hmac::Key,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Signer {
    pub(super) fn new(account: &str, key: &SecretString) -> Result<Self, OpenError> {
        let key = BASE64.decode(key.expose_secret()).map_err(|_| OpenError::Value {
            what: "the key of the storage account is not base64".to_owned(),
        })?;
        let key = Zeroizing::new(key);
        Ok(Self { account: account.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// Adds the signature; `None` if something in it cannot stand in a header.
    pub(super) fn sign(&self, request: &mut HttpRequest) -> Option<()> {
        let signature = hmac::sign(&self.key, self.text(request).as_bytes());
        let value = format!("SharedKey {}:{}", self.account, BASE64.encode(signature.as_ref()));
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        Some(())
    }

    /// What is signed.
    fn text(&self, request: &HttpRequest) -> String {
        let header = |name: &HeaderName| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().trim().to_owned()
        };
        let length =
            Some(header(&CONTENT_LENGTH)).filter(|length| length != "0").unwrap_or_default();
        // A date in a header of Azure's own counts before this one.
        let date =
            if request.headers().contains_key("x-ms-date") { String::new() } else { header(&DATE) };
        let plain = [
            request.method().as_str().to_owned(),
            header(&http::header::CONTENT_ENCODING),
            header(&http::header::CONTENT_LANGUAGE),
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
        let mut own: Vec<String> = request
            .headers()
            .keys()
            .filter(|name| name.as_str().starts_with("x-ms-"))
            .map(|name| format!("{}:{}\n", name.as_str(), header(name)))
            .collect();
        own.sort();
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
        let (plain, own, query) = (plain.join("\n"), own.concat(), query.concat());
        format!("{plain}\n{own}/{}{}{query}", self.account, request.uri().path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `object_store` sends; Azurite refuses it otherwise.
    #[test]
    fn a_plain_date_is_signed() {
        let request = http::Request::put("https://acct.blob.core.windows.net/c/k")
            .header("date", "Fri, 26 Jun 2015 23:39:12 GMT")
            .body(object_store::client::HttpRequestBody::empty())
            .unwrap();
        let signer = Signer::new("acct", &BASE64.encode("key").into()).unwrap();
        assert_eq!(
            signer.text(&request),
            "PUT\n\n\n\n\n\nFri, 26 Jun 2015 23:39:12 GMT\n\n\n\n\n\n/acct/c/k"
        );
    }

    /// The form of the documentation's "Put Blob" example.
    #[test]
    fn what_is_signed_stands_in_the_documented_order() {
        let request =
            http::Request::put("https://acct.blob.core.windows.net/c/k?timeout=20&b=x%20y")
                .header("x-ms-version", "2023-11-03")
                .header("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT")
                .header("x-ms-blob-type", "BlockBlob")
                .header("content-length", "11")
                .header("content-md5", "sum")
                .header("if-none-match", "*")
                .body(object_store::client::HttpRequestBody::empty())
                .unwrap();
        let signer = Signer::new("acct", &BASE64.encode("key").into()).unwrap();
        assert_eq!(
            signer.text(&request),
            "PUT\n\n\n11\nsum\n\n\n\n\n*\n\n\nx-ms-blob-type:BlockBlob\n\
             x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2023-11-03\n\
             /acct/c/k\nb:x y\ntimeout:20"
        );
    }
}
