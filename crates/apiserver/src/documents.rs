//! Documents that do not change while the server runs: discovery and OpenAPI. Written once, sent
//! with an `ETag`, and not sent again to whoever has them.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use event::Timestamp;
use http::header::{CACHE_CONTROL, ETAG, EXPIRES, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha512};

use crate::answer::JSON;
use crate::negotiate::{accepted, is_pretty, not_acceptable};
use crate::{Answer, ApiError, Request, Resource, discovery, openapi};

/// `Content-Type` of aggregated discovery. The aggregator takes it with exactly these parameters.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// How long a document whose hash is in its address may be kept.
const YEAR_MICROS: i64 = 365 * 24 * 3600 * 1_000_000;

/// All documents, by path.
pub(crate) struct Documents {
    plain: BTreeMap<String, Document>,
    /// The same paths in another form, asked for by `as=APIGroupDiscoveryList`.
    aggregated: BTreeMap<String, Document>,
}

/// One document with its `ETag`.
pub(crate) struct Document {
    body: Bytes,
    hash: String,
}

impl Documents {
    /// Writes the documents on the given kinds.
    pub(crate) fn of(resources: &[Resource]) -> Self {
        let mut plain = written(discovery::legacy(resources));
        let pages = openapi::v3(resources);
        plain.extend(pages.map(|(path, page)| (path, Document::of(page))));
        let hashes: Vec<(&str, &str)> = plain
            .iter()
            .filter_map(|(path, page)| Some((path.strip_prefix("/openapi/v3/")?, &*page.hash)))
            .collect();
        let index = Document::of(openapi::v3_index(&hashes).to_string());
        plain.insert("/openapi/v3".to_owned(), index);
        plain.insert("/openapi/v2".to_owned(), Document::of(openapi::v2(resources)));
        Self { plain, aggregated: written(discovery::aggregated(resources)) }
    }

    /// Answers a request for a document; `None` when the path is not of one.
    pub(crate) fn answer(&self, request: &Request, now: Timestamp) -> Option<Answer> {
        let path = match request.info.path.trim_end_matches('/') {
            "" => return None,
            path => path,
        };
        let plain = self.plain.get(path)?;
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let message = "the server does not allow this method on the requested resource";
            let code = StatusCode::METHOD_NOT_ALLOWED;
            return Some(ApiError::new(code, "MethodNotAllowed", message).into());
        }
        let aggregated = self.aggregated.get(path);
        let Some(is_aggregated) = choice(&request.headers, aggregated.is_some()) else {
            return Some(not_acceptable().into());
        };
        let mut answer = match aggregated {
            Some(document) if is_aggregated => document.answer(request, AGGREGATED),
            _ => plain.answer(request, JSON),
        };
        let cache = if path.starts_with("/openapi/v3/") && plain.is_named_by(request) {
            let expires = expiry(now);
            answer.headers.extend(expires.map(|date| (EXPIRES, date)));
            "public, immutable"
        } else if aggregated.is_some() {
            "public"
        } else {
            "no-cache, private"
        };
        answer.headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        Some(answer)
    }
}

fn written(pages: impl IntoIterator<Item = (String, Value)>) -> BTreeMap<String, Document> {
    pages.into_iter().map(|(path, page)| (path, Document::of(page.to_string()))).collect()
}

impl Document {
    fn of(page: String) -> Self {
        let body = Bytes::from(page);
        let mut hash = String::new();
        for byte in Sha512::digest(&body) {
            // Writing into a string cannot fail.
            let _written = write!(hash, "{byte:02X}");
        }
        Self { body, hash }
    }

    fn answer(&self, request: &Request, content_type: &'static str) -> Answer {
        let etag = format!("\"{}\"", self.hash);
        let known = request.headers.get_all(IF_NONE_MATCH).iter();
        let is_known = known
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|value| matches!(value.trim().trim_start_matches("W/"), tag if tag == etag));
        let mut answer = Answer {
            code: if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK },
            headers: HeaderMap::new(),
            content_type,
            body: if is_known { Bytes::new() } else { self.pretty(request) },
            object: None,
            status: None,
        };
        answer.headers.insert(VARY, HeaderValue::from_static("Accept"));
        answer.headers.extend(HeaderValue::from_str(&etag).ok().map(|etag| (ETAG, etag)));
        answer
    }

    fn pretty(&self, request: &Request) -> Bytes {
        if !is_pretty(request) {
            return self.body.clone();
        }
        let value: Result<Value, _> = serde_json::from_slice(&self.body);
        let pretty = value.and_then(|value| serde_json::to_vec_pretty(&value));
        pretty.map_or_else(|_| self.body.clone(), Bytes::from)
    }

    /// Whether the address carries the document's hash.
    fn is_named_by(&self, request: &Request) -> bool {
        request.query.iter().any(|(key, value)| key == "hash" && *value == self.hash)
    }
}

/// Whether the aggregated form is preferred; `None` when no form will do.
fn choice(headers: &HeaderMap, offers_aggregated: bool) -> Option<bool> {
    let ranges = accepted(headers);
    ranges.iter().filter(|range| range.takes_json()).find_map(|range| match range.parameter("as") {
        "" => Some(false),
        "APIGroupDiscoveryList"
            if offers_aggregated
                && range.parameter("g") == "apidiscovery.k8s.io"
                && range.parameter("v") == "v2" =>
        {
            Some(true)
        }
        _ => None,
    })
}

fn expiry(now: Timestamp) -> Option<HeaderValue> {
    let seconds = u64::try_from((now.as_micros() + YEAR_MICROS) / 1_000_000).ok()?;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    HeaderValue::from_str(&httpdate::fmt_http_date(time)).ok()
}
