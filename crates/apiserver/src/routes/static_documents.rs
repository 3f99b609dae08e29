//! Documents that do not change while the server runs: discovery and OpenAPI. Each is encoded once
//! and sent with an `ETag`; a client that has it gets 304.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

use apimachinery::ApiError;
use aws_lc_rs::digest::{SHA512, digest};
use bytes::Bytes;
use event::Timestamp;
use http::header::{CACHE_CONTROL, ETAG, EXPIRES, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;

use crate::handler::api_response::JSON;
use crate::handler::encoding::{self, GZIP_MIN, YAML};
use crate::handler::negotiate::{accepted, is_pretty, not_acceptable, preferred, takes_gzip};
use crate::routes::discovery;
use crate::routes::openapi;
use crate::{ApiResponse, Request, Resource};

/// `Content-Type` of aggregated discovery. The aggregator accepts only these exact parameters.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// `Content-Type` of OpenAPI version 2 in protobuf.
const OPENAPI_V2: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// Media type that clients of all releases request; strictly, its syntax is not valid.
const OPENAPI_V2_REQUESTED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// `Content-Type` of OpenAPI version 3 in protobuf.
const OPENAPI_V3: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
/// See [`OPENAPI_V2_REQUESTED`].
const OPENAPI_V3_REQUESTED: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
/// Path of the index of OpenAPI version 3.
const OPENAPI_V3_INDEX: &str = "/openapi/v3";
/// Minimum size of an OpenAPI document for compression, in bytes.
const OPENAPI_GZIP_MIN: usize = 1400;
/// Cache lifetime of a document whose URL contains its hash, in microseconds.
const YEAR_MICROS: i64 = 365 * 24 * 3600 * 1_000_000;

/// All documents, by path.
pub(crate) struct Documents {
    plain: BTreeMap<String, Document>,
    /// Aggregated discovery at the same paths, requested with `as=APIGroupDiscoveryList`.
    aggregated: BTreeMap<String, Document>,
}

/// Converts a JSON document to protobuf.
type ToProtobuf = fn(&[u8]) -> Result<Vec<u8>, String>;

/// One document with its `ETag`.
pub(crate) struct Document {
    json: Page,
    /// Protobuf encoding, created on the first request.
    protobuf: OnceLock<Result<Page, String>>,
    /// Protobuf form and its encoder, if the document has one.
    to_protobuf: Option<(Form, ToProtobuf)>,
    hash: String,
    gzip_min: usize,
}

/// A document in one encoding.
struct Page {
    body: Bytes,
    /// Compressed on the first request.
    compressed: OnceLock<Bytes>,
}

/// Encoding of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Yaml,
    Aggregated,
    ProtobufV2,
    ProtobufV3,
}

impl Form {
    /// The media types by which clients request protobuf.
    const fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::ProtobufV2 => &[OPENAPI_V2, OPENAPI_V2_REQUESTED],
            Self::ProtobufV3 => &[OPENAPI_V3, OPENAPI_V3_REQUESTED],
            Self::Json | Self::Yaml | Self::Aggregated => &[],
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Yaml => YAML,
            Self::Aggregated => AGGREGATED,
            Self::ProtobufV2 => OPENAPI_V2,
            Self::ProtobufV3 => OPENAPI_V3,
        }
    }
}

impl Documents {
    /// Creates the documents of these resources.
    pub(crate) fn new(resources: &[Resource]) -> Self {
        let mut plain = written(discovery::legacy(resources));
        let (v2, v3): (ToProtobuf, ToProtobuf) = (openapi::encode_v2, openapi::encode_v3);
        let pages = openapi::v3(resources);
        plain.extend(pages.map(|(path, page)| {
            let to_protobuf = Some((Form::ProtobufV3, v3));
            (path, Document { to_protobuf, ..Document::openapi(page) })
        }));
        let hashes: Vec<(&str, &str)> = plain
            .iter()
            .filter_map(|(path, page)| Some((path.strip_prefix("/openapi/v3/")?, &*page.hash)))
            .collect();
        let index = Document::openapi(openapi::v3_index(&hashes).to_string());
        plain.insert(OPENAPI_V3_INDEX.to_owned(), index);
        let to_protobuf = Some((Form::ProtobufV2, v2));
        let v2 = Document { to_protobuf, ..Document::openapi(openapi::v2(resources)) };
        plain.insert("/openapi/v2".to_owned(), v2);
        Self { plain, aggregated: written(discovery::aggregated(resources)) }
    }

    /// Paths of all documents.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.plain.keys().map(String::as_str)
    }

    /// Responds to a request for a document; `None` if the path has no document.
    pub(crate) fn response(&self, request: &Request, now: Timestamp) -> Option<ApiResponse> {
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
        let form = if path == OPENAPI_V3_INDEX {
            // Upstream does not negotiate here.
            Form::Json
        } else if let Some((protobuf, _)) = plain.to_protobuf {
            match openapi_form(&request.headers, protobuf) {
                Some(form) => form,
                None => return Some(openapi_not_acceptable()),
            }
        } else {
            match discovery_form(&request.headers, aggregated.is_some()) {
                Some(form) => form,
                None => return Some(not_acceptable().into()),
            }
        };
        let document = aggregated.filter(|_| form == Form::Aggregated).unwrap_or(plain);
        let mut response = document.response(request, form);
        let cache = if path.starts_with("/openapi/v3/") && plain.is_named_by(request) {
            let expires = expiry(now);
            response.headers.extend(expires.map(|date| (EXPIRES, date)));
            "public, immutable"
        } else if aggregated.is_some() {
            "public"
        } else {
            "no-cache, private"
        };
        response.headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        Some(response)
    }
}

fn written(pages: impl IntoIterator<Item = (String, Value)>) -> BTreeMap<String, Document> {
    pages.into_iter().map(|(path, page)| (path, Document::new(page.to_string()))).collect()
}

impl Page {
    fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), compressed: OnceLock::new() }
    }
}

impl Document {
    fn new(page: String) -> Self {
        let mut hash = String::new();
        for byte in digest(&SHA512, page.as_bytes()).as_ref() {
            // Writing to a string cannot fail.
            let _written = write!(hash, "{byte:02X}");
        }
        let (protobuf, to_protobuf) = (OnceLock::new(), None);
        Self { json: Page::new(page), protobuf, to_protobuf, hash, gzip_min: GZIP_MIN }
    }

    fn openapi(page: String) -> Self {
        Self { gzip_min: OPENAPI_GZIP_MIN, ..Self::new(page) }
    }

    fn response(&self, request: &Request, form: Form) -> ApiResponse {
        let mut response = ApiResponse {
            code: StatusCode::OK,
            headers: HeaderMap::new(),
            content_type: form.content_type(),
            body: Bytes::new(),
            object: None,
            status: None,
        };
        // All forms have the same ETag; `Vary` distinguishes them.
        let etag = format!("\"{}\"", self.hash);
        response.headers.insert(VARY, HeaderValue::from_static("Accept"));
        response.headers.extend(HeaderValue::from_str(&etag).ok().map(|etag| (ETAG, etag)));
        let known = request.headers.get_all(IF_NONE_MATCH).iter();
        let is_known = known
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|value| matches!(value.trim().trim_start_matches("W/"), tag if tag == etag));
        if is_known {
            response.code = StatusCode::NOT_MODIFIED;
            return response;
        }
        let page = match self.page(form) {
            Ok(page) => page,
            Err(error) => return ApiError::internal(error).into(),
        };
        let mut cache = None;
        response.body = if form == Form::Yaml {
            encoding::yaml(&page.body)
        } else if !self.is_protobuf(form) && is_pretty(request) {
            encoding::indented(&page.body)
        } else {
            cache = Some(&page.compressed);
            page.body.clone()
        };
        let is_accepted = takes_gzip(&request.headers);
        encoding::negotiate_gzip(&mut response, is_accepted, self.gzip_min, cache);
        response
    }

    fn page(&self, form: Form) -> Result<&Page, &String> {
        match self.to_protobuf {
            Some((_, write)) if self.is_protobuf(form) => {
                self.protobuf.get_or_init(|| write(&self.json.body).map(Page::new)).as_ref()
            }
            _ => Ok(&self.json),
        }
    }

    fn is_protobuf(&self, form: Form) -> bool {
        self.to_protobuf.is_some_and(|(protobuf, _)| protobuf == form)
    }

    /// Whether the URL contains the hash of the document.
    fn is_named_by(&self, request: &Request) -> bool {
        request.query.iter().any(|(key, value)| key == "hash" && *value == self.hash)
    }
}

/// The form of OpenAPI that the client accepts. As upstream, all parameters of a media type except
/// `q` are ignored, and `q=0` is only the lowest preference.
fn openapi_form(headers: &HeaderMap, protobuf: Form) -> Option<Form> {
    preferred(headers).iter().find_map(|range| {
        let media_type = if range.media_type == "*" { "*/*" } else { &range.media_type };
        let (kind, subtype) = media_type.split_once('/')?;
        if !matches!(kind, "application" | "*") {
            return None;
        }
        let is = |media_type: &str| media_type.strip_prefix("application/") == Some(subtype);
        if matches!(subtype, "json" | "*") {
            Some(Form::Json)
        } else {
            protobuf.media_types().iter().any(|media_type| is(media_type)).then_some(protobuf)
        }
    })
}

/// 406 as upstream's handlers of OpenAPI send it: without a body.
fn openapi_not_acceptable() -> ApiResponse {
    ApiResponse {
        code: StatusCode::NOT_ACCEPTABLE,
        headers: HeaderMap::from_iter([(VARY, HeaderValue::from_static("Accept"))]),
        content_type: "",
        body: Bytes::new(),
        object: None,
        status: None,
    }
}

/// The form of a discovery document that the client accepts.
fn discovery_form(headers: &HeaderMap, is_aggregated: bool) -> Option<Form> {
    accepted(headers).iter().find_map(|range| {
        let version = (range.parameter("g"), range.parameter("v"));
        match range.parameter("as") {
            "" if range.takes_yaml() => Some(Form::Yaml),
            "" if range.takes_json() => Some(Form::Json),
            "APIGroupDiscoveryList"
                if range.takes_json()
                    && is_aggregated
                    && version == ("apidiscovery.k8s.io", "v2") =>
            {
                Some(Form::Aggregated)
            }
            _ => None,
        }
    })
}

fn expiry(now: Timestamp) -> Option<HeaderValue> {
    let seconds = u64::try_from((now.as_micros() + YEAR_MICROS) / 1_000_000).ok()?;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    HeaderValue::from_str(&httpdate::fmt_http_date(time)).ok()
}
