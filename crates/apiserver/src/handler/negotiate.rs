//! Content negotiation: object, metadata or table; JSON or YAML; compact or pretty; gzip.

use apimachinery::ApiError;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, StatusCode};

use crate::Request;
use crate::limits::{TABLE_SHARE, YAML_SHARE};

/// Form of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// The object or list itself.
    Plain,
    /// `PartialObjectMetadata` or its list.
    Partial(MetaVersion),
    /// A `Table`.
    Table(Include, MetaVersion),
}

/// Version of `meta.k8s.io` of `Table` and `PartialObjectMetadata`. Their content is the same in
/// all versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MetaVersion {
    V1,
    V1beta1,
}

impl MetaVersion {
    /// Value of `apiVersion`.
    pub(crate) const fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// Media type of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Json,
    Yaml,
}

/// Value of `includeObject`: what the rows of a table contain besides the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

/// Negotiated rendering of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rendering {
    pub(crate) form: Form,
    pub(crate) language: Language,
    /// Whether the output is indented.
    pub(crate) pretty: bool,
    /// Whether the client accepts gzip.
    pub(crate) gzip: bool,
}

impl Rendering {
    /// Negotiates the rendering of a request. Fails with 406 if no accepted media type is
    /// available.
    pub(crate) fn negotiate(request: &Request) -> Result<Self, ApiError> {
        let requested = requested_form(&request.headers, &request.info.verb)?;
        let mut form = requested.form;
        if let Form::Table(include, _) = &mut form {
            *include = include_object(request)?;
        }
        let (language, gzip) = (requested.language, takes_gzip(&request.headers));
        Ok(Self { form, language, pretty: requested.pretty || is_pretty(request), gzip })
    }

    /// Maximum size of objects, in bytes, that are rendered on the thread that serves the request.
    /// Copying is faster than parsing, indenting or compressing.
    pub(crate) fn inline_bytes_max(self) -> usize {
        let is_copied = self.form == Form::Plain
            && self.language == Language::Json
            && !(self.pretty || self.gzip);
        if is_copied { 4 << 20 } else { 256 << 10 }
    }

    /// Divisor of the size of a list in this rendering, because of the memory that it takes.
    pub(crate) fn bytes_share(self) -> usize {
        match (self.language, self.form) {
            (Language::Yaml, _) => YAML_SHARE,
            (Language::Json, Form::Table(..)) => TABLE_SHARE,
            (Language::Json, Form::Plain | Form::Partial(_)) => 1,
        }
    }

    /// Rendering of an error `Status`: in the requested media type, or as JSON if no accepted media
    /// type is available.
    pub(crate) fn for_error(request: &Request) -> Self {
        let ranges = accepted(&request.headers);
        let plain = ranges.iter().find(|range| {
            let is_plain = ["as", "g", "v"].iter().all(|key| range.parameter(key).is_empty());
            is_plain && (range.takes_json() || range.takes_yaml())
        });
        let language = plain.map_or(Language::Json, Range::language);
        Self { form: Form::Plain, language, pretty: is_pretty(request), gzip: false }
    }
}

/// The form that one entry of `Accept` requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RequestedForm {
    form: Form,
    language: Language,
    pretty: bool,
}

/// One entry of an `Accept` header.
pub(crate) struct Range {
    /// Media type in lower case, for example `application/json` or `*/*`.
    pub(crate) media_type: String,
    /// Parameters without `q`, in the order sent.
    pub(crate) parameters: Vec<(String, String)>,
    quality: f32,
}

impl Range {
    /// Value of a parameter; empty if it is absent.
    pub(crate) fn parameter(&self, key: &str) -> &str {
        let parameter = self.parameters.iter().find(|(name, _)| name == key);
        parameter.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Whether the range includes JSON.
    pub(crate) fn takes_json(&self) -> bool {
        matches!(self.media_type.as_str(), "application/json" | "application/*" | "*/*")
    }

    /// Whether the range is YAML.
    pub(crate) fn takes_yaml(&self) -> bool {
        self.media_type == "application/yaml"
    }

    fn language(&self) -> Language {
        if self.takes_yaml() { Language::Yaml } else { Language::Json }
    }

    /// Sort key: of two ranges with equal quality, the more specific one comes first.
    fn vagueness(&self) -> u8 {
        if self.media_type == "*/*" { 2 } else { u8::from(self.media_type.ends_with("/*")) }
    }
}

/// Entries of `Accept` that the client accepts, best first; `*/*` if the header is absent.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<Range> {
    let mut ranges = preferred(headers);
    ranges.retain(|range| range.quality > 0.0);
    ranges
}

/// Entries of `Accept`, best first, also those with `q=0`; `*/*` if the header is absent.
pub(crate) fn preferred(headers: &HeaderMap) -> Vec<Range> {
    let mut ranges = ranges(headers, &ACCEPT);
    if ranges.is_empty() {
        ranges.push(Range { media_type: "*/*".to_owned(), parameters: Vec::new(), quality: 1.0 });
    }
    ranges.sort_by(|a, b| {
        b.quality.total_cmp(&a.quality).then_with(|| a.vagueness().cmp(&b.vagueness()))
    });
    ranges
}

/// The 406 error.
pub(crate) fn not_acceptable() -> ApiError {
    ApiError::new(
        StatusCode::NOT_ACCEPTABLE,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml",
    )
}

/// Whether the client accepts gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers, &ACCEPT_ENCODING);
    ranges.iter().any(|range| range.media_type == "gzip" && range.quality > 0.0)
}

/// Whether to indent: by the parameter `pretty`, otherwise by the user agent, as upstream.
pub(crate) fn is_pretty(request: &Request) -> bool {
    if let Some((_, value)) = request.query.iter().find(|(key, _)| key == "pretty") {
        return !matches!(value.to_ascii_lowercase().as_str(), "0" | "false");
    }
    let agent = request.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = agent.unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|reader| agent.starts_with(reader))
}

/// Selects the best entry that is available. Fails with 406 if a list is requested as the metadata
/// of one object, or the reverse.
fn requested_form(headers: &HeaderMap, verb: &str) -> Result<RequestedForm, ApiError> {
    let ranges = accepted(headers);
    let (range, requested) = ranges
        .iter()
        .find_map(|range| Some((range, requested_by(range, verb)?)))
        .ok_or_else(not_acceptable)?;
    let unfit = match (verb, range.parameter("as")) {
        ("list", "PartialObjectMetadata") => "is a list",
        ("create" | "get" | "patch" | "update", "PartialObjectMetadataList") => "is not a list",
        _ => return Ok(requested),
    };
    let kind = range.parameter("as");
    let message = format!("you requested {kind}, but the requested object {unfit}");
    Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message))
}

fn requested_by(range: &Range, verb: &str) -> Option<RequestedForm> {
    // A watch is a stream, and streams are not available as YAML.
    let is_offered = range.takes_json() || (range.takes_yaml() && verb != "watch");
    if !is_offered {
        return None;
    }
    if !matches!(range.parameter("stream"), "" | "watch") {
        return None;
    }
    let version = match (range.parameter("g"), range.parameter("v")) {
        ("meta.k8s.io", "v1") => Some(MetaVersion::V1),
        ("meta.k8s.io", "v1beta1") => Some(MetaVersion::V1beta1),
        _ => None,
    };
    let form = match range.parameter("as") {
        "" => Form::Plain,
        "Table" => Form::Table(Include::Metadata, version?),
        "PartialObjectMetadata" | "PartialObjectMetadataList" => Form::Partial(version?),
        _ => return None,
    };
    let pretty = range.parameter("pretty") == "1";
    Some(RequestedForm { form, language: range.language(), pretty })
}

fn include_object(request: &Request) -> Result<Include, ApiError> {
    let value = request.query.iter().find(|(key, _)| key == "includeObject");
    match value.map(|(_, value)| value.as_str()).unwrap_or_default() {
        "" | "Metadata" => Ok(Include::Metadata),
        "None" => Ok(Include::None),
        "Object" => Ok(Include::Object),
        value => Err(ApiError::bad_request(format!(
            "includeObject: Invalid value: {value:?}: must be 'Metadata', 'Object', 'None', or empty"
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

/// The media type of a request body without its parameters, in lower case; empty if the header is missing.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    // A header that is not UTF-8 does not count as missing.
    let header = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let header = header.unwrap_or_default();
    let media_type = header.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const JSON: Language = Language::Json;
    const YAML: Language = Language::Yaml;
    const TABLE: Form = Form::Table(Include::Metadata, MetaVersion::V1);
    const PARTIAL: Form = Form::Partial(MetaVersion::V1);

    #[track_caller]
    fn check(verb: &str, accept: &str, expected: Option<(Form, Language)>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        let requested = requested_form(&headers, verb)
            .ok()
            .map(|requested| (requested.form, requested.language));
        assert_eq!(requested, expected, "{verb} {accept}");
    }

    #[test]
    fn the_best_offered_media_type_is_chosen() {
        let plain = Some((Form::Plain, JSON));
        for (accept, expected) in [
            ("application/json", plain),
            ("*/*", plain),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some((TABLE, JSON))),
            (
                "application/json;as=Table;v=v1beta1;g=meta.k8s.io, application/json",
                Some((Form::Table(Include::Metadata, MetaVersion::V1beta1), JSON)),
            ),
            ("application/json;as=Table;v=v1alpha1;g=meta.k8s.io, application/json", plain),
            ("application/json;as=Table", None),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                Some((PARTIAL, JSON)),
            ),
            (
                "application/json;q=0.5, application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9",
                Some((TABLE, JSON)),
            ),
            ("application/json;q=0, */*;q=0.1", plain),
            ("application/json;stream=watch", plain),
            ("application/json;stream=other", None),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/vnd.kubernetes.protobuf, */*", plain),
            ("text/html", None),
            ("application/json;as=Chair;v=v1;g=meta.k8s.io", None),
        ] {
            check("list", accept, expected);
        }
    }

    #[test]
    fn yaml_is_offered_unless_the_response_is_streamed() {
        let (plain, yaml) = (Some((Form::Plain, JSON)), Some((Form::Plain, YAML)));
        for (accept, of_get, of_watch) in [
            ("application/yaml", yaml, None),
            ("application/yaml, application/json", yaml, plain),
            ("application/yaml;q=0.5, application/json;q=0.4", yaml, plain),
            ("application/yaml;q=0.4, application/json;q=0.5", plain, plain),
            ("application/yaml;q=0, application/json", plain, plain),
            ("*/*, application/yaml", yaml, plain),
            ("application/*, text/html, application/yaml;q=0.9", plain, plain),
            ("application/yaml;as=Table;v=v1;g=meta.k8s.io", Some((TABLE, YAML)), None),
        ] {
            check("get", accept, of_get);
            check("watch", accept, of_watch);
        }
    }

    #[test]
    fn objects_and_lists_have_different_metadata_types() {
        let object =
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json";
        let many = object.replace("Metadata;", "MetadataList;");
        let partial = Some((PARTIAL, JSON));
        for (verb, of_one, of_many) in [
            ("get", partial, None),
            ("list", None, partial),
            ("watch", partial, partial),
            ("create", partial, None),
            ("update", partial, None),
            ("patch", partial, None),
            ("delete", partial, partial),
        ] {
            check(verb, object, of_one);
            check(verb, &many, of_many);
        }
    }

    #[test]
    fn without_a_header_any_media_type_is_accepted() {
        assert_eq!(
            requested_form(&HeaderMap::new(), "get").map(|requested| requested.form),
            Ok(Form::Plain)
        );
    }
}
