//! What form of an answer a client accepts: the object, its metadata, or a table; plain or pretty.

use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};
use http::{HeaderMap, StatusCode};

use crate::{ApiError, Request};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object or list itself.
    Plain,
    /// `PartialObjectMetadata` or its list.
    Partial,
    /// A `Table`.
    Table(Include),
}

/// What the rows of a table carry beside their cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rendering {
    pub(crate) form: Form,
    /// Indented, for people.
    pub(crate) pretty: bool,
    /// The client takes gzip.
    pub(crate) gzip: bool,
}

impl Rendering {
    /// What this request asks for, or 406.
    pub(crate) fn of(request: &Request) -> Result<Self, ApiError> {
        let mut form = form(&request.headers)?;
        if let Form::Table(include) = &mut form {
            *include = include_object(request)?;
        }
        let gzip = ranges(&request.headers, &ACCEPT_ENCODING)
            .iter()
            .any(|range| range.media_type == "gzip" && range.quality > 0.0);
        Ok(Self { form, pretty: is_pretty(request), gzip })
    }
}

/// One entry of an `Accept` header.
pub(crate) struct Range {
    /// Such as `application/json` or `*/*`, in lower case.
    pub(crate) media_type: String,
    /// Without `q`, in the order sent.
    pub(crate) parameters: Vec<(String, String)>,
    quality: f32,
}

impl Range {
    /// The value of a parameter; empty when it is not there.
    pub(crate) fn parameter(&self, key: &str) -> &str {
        let found = self.parameters.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Whether JSON is within it.
    pub(crate) fn takes_json(&self) -> bool {
        matches!(self.media_type.as_str(), "application/json" | "application/*" | "*/*")
    }
}

/// The entries of `Accept`, best first; everything when there is no such header.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<Range> {
    let mut ranges = ranges(headers, &ACCEPT);
    if ranges.is_empty() {
        ranges.push(Range { media_type: "*/*".to_owned(), parameters: Vec::new(), quality: 1.0 });
    }
    ranges.retain(|range| range.quality > 0.0);
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    ranges
}

/// The refusal of what a client accepts.
pub(crate) fn not_acceptable() -> ApiError {
    ApiError::new(
        StatusCode::NOT_ACCEPTABLE,
        "NotAcceptable",
        "only the following media types are accepted: application/json",
    )
}

/// Whether people will read it.
pub(crate) fn is_pretty(request: &Request) -> bool {
    if let Some((_, value)) = request.query.iter().find(|(key, _)| key == "pretty") {
        return !matches!(value.to_ascii_lowercase().as_str(), "0" | "false");
    }
    let agent = request.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = agent.unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|reader| agent.starts_with(reader))
}

fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    accepted(headers).iter().find_map(form_of).ok_or_else(not_acceptable)
}

fn form_of(range: &Range) -> Option<Form> {
    if !range.takes_json() {
        return None;
    }
    let is_meta = range.parameter("g") == "meta.k8s.io" && range.parameter("v") == "v1";
    match range.parameter("as") {
        "" => Some(Form::Plain),
        "Table" if is_meta => Some(Form::Table(Include::Metadata)),
        "PartialObjectMetadata" | "PartialObjectMetadataList" if is_meta => Some(Form::Partial),
        _ => None,
    }
}

fn include_object(request: &Request) -> Result<Include, ApiError> {
    let value = request.query.iter().find(|(key, _)| key == "includeObject");
    match value.map(|(_, value)| value.as_str()).unwrap_or_default() {
        "" | "Metadata" => Ok(Include::Metadata),
        "None" => Ok(Include::None),
        "Object" => Ok(Include::Object),
        other => Err(ApiError::bad_request(format!(
            "includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

fn ranges(headers: &HeaderMap, name: &http::HeaderName) -> Vec<Range> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(range).collect()
}

fn range(text: &str) -> Option<Range> {
    let mut pieces = text.split(';').map(str::trim);
    let media_type = pieces.next().filter(|piece| !piece.is_empty())?.to_ascii_lowercase();
    let mut range = Range { media_type, parameters: Vec::new(), quality: 1.0 };
    for piece in pieces {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if key == "q" {
            range.quality = value.parse().unwrap_or(1.0);
        } else {
            range.parameters.push((key.to_owned(), value.to_owned()));
        }
    }
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn check(accept: &str, expected: Option<Form>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        assert_eq!(form(&headers).ok(), expected, "{accept}");
    }

    #[test]
    fn the_best_form_that_is_offered() {
        let table = Some(Form::Table(Include::Metadata));
        check("application/json", Some(Form::Plain));
        check("*/*", Some(Form::Plain));
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            table,
        );
        check(
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io, application/json",
            Some(Form::Plain),
        );
        check(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            Some(Form::Partial),
        );
        check("application/json;q=0.5, application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9", table);
        check("application/json;q=0, */*;q=0.1", Some(Form::Plain));
        check("application/yaml", None);
        check("text/html", None);
        check("application/json;as=Chair;v=v1;g=meta.k8s.io", None);
    }

    #[test]
    fn no_header_means_anything() {
        assert_eq!(form(&HeaderMap::new()).ok(), Some(Form::Plain));
    }
}
