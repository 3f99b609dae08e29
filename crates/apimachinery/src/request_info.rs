//! Derives verb, group, resource and name from a method and a URL.
//!
//! Follows `RequestInfoFactory` of `k8s.io/apiserver` exactly, because authorization and audit
//! policy depend on the result. Does not know which resources are served.

use std::time::Duration;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::selector::field_selector;
use crate::{ApiError, duration};

/// Path segments after a namespace that are subresources of the namespace, not resources in it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// Attributes derived from the URL and the method, as `RequestInfo` of
/// `k8s.io/apiserver/pkg/endpoints/request`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the request is for a resource. If false, it is for a non-resource path.
    pub is_resource_request: bool,
    /// The path without the query.
    pub path: String,
    /// Kubernetes verb; for a non-resource request the HTTP method in lower case.
    pub verb: String,
    /// `api` or `apis`.
    pub api_prefix: String,
    /// API group; empty for the core group.
    pub api_group: String,
    /// API version without the group.
    pub api_version: String,
    /// Namespace; empty for cluster-scoped resources and for all namespaces.
    pub namespace: String,
    /// Plural name of the resource.
    pub resource: String,
    /// Subresource, for example `status`; empty for the object itself.
    pub subresource: String,
    /// Object name, from the path or from a field selector on `metadata.name`.
    pub name: String,
    /// Path segments, starting with the resource.
    pub parts: Vec<String>,
}

impl RequestInfo {
    /// Parses a path (as sent, still percent-encoded) and the query pairs of [`query_pairs`].
    pub fn parse(method: &Method, raw_path: &str, query: &[(String, String)]) -> Self {
        let path = percent_decode_str(raw_path).decode_utf8_lossy().into_owned();
        let trimmed = path.trim_matches('/');
        let mut parts: Vec<&str> = Vec::with_capacity(8);
        if !trimmed.is_empty() {
            parts.extend(trimmed.split('/'));
        }
        let mut info = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                Self::for_resource(method, "api", "", version, rest, query)
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                Self::for_resource(method, "apis", group, version, rest, query)
            }
            [prefix @ ("api" | "apis"), _, _, ..] => {
                Self { api_prefix: (*prefix).to_owned(), ..Self::for_path(method) }
            }
            _ => Self::for_path(method),
        };
        info.path = path;
        info
    }

    fn for_path(method: &Method) -> Self {
        Self { verb: method.as_str().to_ascii_lowercase(), ..Self::default() }
    }

    fn for_resource(
        method: &Method,
        prefix: &str,
        group: &str,
        version: &str,
        rest: &[&str],
        query: &[(String, String)],
    ) -> Self {
        let (verb, rest) = match rest {
            // The deprecated prefixes `/watch/` and `/proxy/` determine the verb.
            [special @ ("watch" | "proxy"), rest @ ..] => (*special, rest),
            _ => (verb_of(method), rest),
        };
        let (namespace, parts) = match rest {
            ["namespaces", namespace] => (*namespace, rest),
            ["namespaces", namespace, sub, ..] if NAMESPACE_SUBRESOURCES.contains(sub) => {
                (*namespace, rest)
            }
            ["namespaces", namespace, parts @ ..] if !parts.is_empty() => (*namespace, parts),
            _ => ("", rest),
        };
        let part = |at: usize| parts.get(at).copied().unwrap_or_default();
        let mut info = Self {
            is_resource_request: true,
            path: String::new(),
            verb: verb.to_owned(),
            api_prefix: prefix.to_owned(),
            api_group: group.to_owned(),
            api_version: version.to_owned(),
            namespace: namespace.to_owned(),
            resource: part(0).to_owned(),
            subresource: if verb == "proxy" { String::new() } else { part(2).to_owned() },
            name: part(1).to_owned(),
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        };
        info.derive_verb_and_name(query);
        info
    }

    /// Changes the verb of a request without a name: get becomes list or watch, delete becomes
    /// deletecollection. Reads the name from a field selector on `metadata.name`.
    fn derive_verb_and_name(&mut self, query: &[(String, String)]) {
        if !self.name.is_empty() {
            return;
        }
        match self.verb.as_str() {
            "get" if is_watch(query) => "watch".clone_into(&mut self.verb),
            "get" => "list".clone_into(&mut self.verb),
            // deletecollection has no name, because a selector may match many objects.
            "delete" => return "deletecollection".clone_into(&mut self.verb),
            _ => return,
        }
        let selector = query_value(query, "fieldSelector").unwrap_or_default();
        if !selector.is_empty() {
            self.name = exact_name(selector).unwrap_or_default();
        }
    }
}

fn verb_of(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// Any value other than an explicit false counts as true.
fn is_watch(query: &[(String, String)]) -> bool {
    query_value(query, "watch")
        .is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
}

/// The name that a field selector requires, if it is valid as a path segment. Among several terms,
/// the first in sorted order, as upstream sorts them.
fn exact_name(selector: &str) -> Option<String> {
    let mut terms = field_selector::split(selector);
    terms.sort_unstable();
    let name = terms.iter().find_map(|term| {
        let value = term.strip_prefix("metadata.name")?.strip_prefix('=')?;
        Some(value.strip_prefix('=').unwrap_or(value))
    })?;
    let fits = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%', '\\']);
    fits.then(|| name.to_owned())
}

/// Timeout that the client requests; `None` if the parameter is absent or zero.
pub fn timeout(query: &[(String, String)]) -> Result<Option<Duration>, ApiError> {
    let Some(text) = query_value(query, "timeout").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let Some(duration) = duration::parse(text) else {
        let message =
            format!("invalid timeout specified in the request URL: invalid duration {text:?}");
        return Err(ApiError::bad_request(message));
    };
    Ok((!duration.is_zero()).then_some(duration))
}

/// First value of a query parameter.
pub fn query_value<'q>(query: &'q [(String, String)], key: &str) -> Option<&'q str> {
    query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Splits and decodes a query, in the order sent. Pairs with a semicolon are dropped, as Go does.
pub fn query_pairs(query: Option<&str>) -> Vec<(String, String)> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Vec::new() };
    query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.contains(';'))
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `method url` → `verb prefix group/version namespace resource/subresource name`, with `-` for
    /// empty parts.
    fn check(table: &str) {
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (request, expected) = line.split_once("->").unwrap();
            let (method, url) = request.trim().split_once(' ').unwrap();
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            let method: Method = method.parse().unwrap();
            let info = RequestInfo::parse(&method, path.trim(), &query_pairs(Some(query.trim())));
            let word = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
            let actual = if info.is_resource_request {
                format!(
                    "{} {} {}/{} {} {}/{} {}",
                    word(&info.verb),
                    word(&info.api_prefix),
                    word(&info.api_group),
                    word(&info.api_version),
                    word(&info.namespace),
                    word(&info.resource),
                    word(&info.subresource),
                    word(&info.name)
                )
            } else {
                format!("path {}", info.verb)
            };
            assert_eq!(actual, expected.trim(), "{request}");
        }
    }

    #[test]
    fn resource_paths_are_parsed_as_by_kubernetes() {
        check(
            "
            GET /api/v1/namespaces -> list api -/v1 - namespaces/- -
            GET /api/v1/namespaces/other -> get api -/v1 other namespaces/- other
            GET /api/v1/namespaces/other/pods -> list api -/v1 other pods/- -
            GET /api/v1/namespaces/other/pods/foo -> get api -/v1 other pods/- foo
            HEAD /api/v1/namespaces/other/pods/foo -> get api -/v1 other pods/- foo
            GET /api/v1/pods -> list api -/v1 - pods/- -
            HEAD /api/v1/pods -> list api -/v1 - pods/- -
            GET /api/v1/namespaces/other/pods/foo/status -> get api -/v1 other pods/status foo
            GET /api/v1/namespaces/other/status -> get api -/v1 other namespaces/status other
            PUT /api/v1/namespaces/other/finalize -> update api -/v1 other namespaces/finalize other
            GET /apis/g.io/v1/nodes/n/sub/more -> get apis g.io/v1 - nodes/sub n
            POST /apis/g.io/v1/namespaces/a/things -> create apis g.io/v1 a things/- -
            PATCH /apis/g.io/v1/namespaces/a/things/b -> patch apis g.io/v1 a things/- b
            PUT /apis/g.io/v1/namespaces/a/things/b -> update apis g.io/v1 a things/- b
            DELETE /apis/g.io/v1/namespaces/a/things/b -> delete apis g.io/v1 a things/- b
            DELETE /apis/g.io/v1/namespaces/a/things -> deletecollection apis g.io/v1 a things/- -
            OPTIONS /apis/g.io/v1/things -> - apis g.io/v1 - things/- -
            GET /apis/g.io/v1/things/ -> list apis g.io/v1 - things/- -
            GET /apis/g.io/v1/namespaces/a%2Fb/things -> get apis g.io/v1 a b/- things
            ",
        );
    }

    #[test]
    fn a_query_makes_a_get_a_watch_and_names_an_object() {
        check(
            "
            GET /api/v1/pods?watch=true -> watch api -/v1 - pods/- -
            GET /api/v1/pods?watch -> watch api -/v1 - pods/- -
            GET /api/v1/pods?watch=1 -> watch api -/v1 - pods/- -
            GET /api/v1/pods?watch=nonsense -> watch api -/v1 - pods/- -
            GET /api/v1/pods?watch=false -> list api -/v1 - pods/- -
            GET /api/v1/pods?watch=False -> list api -/v1 - pods/- -
            GET /api/v1/pods?watch=0 -> list api -/v1 - pods/- -
            GET /api/v1/namespaces/a/pods/x?watch=true -> get api -/v1 a pods/- x
            GET /api/v1/watch/namespaces/a/pods -> watch api -/v1 a pods/- -
            GET /api/v1/watch/pods -> watch api -/v1 - pods/- -
            GET /api/v1/proxy/namespaces/a/pods/x/y/z -> proxy api -/v1 a pods/- x
            GET /api/v1/pods?fieldSelector=metadata.name%3Dx -> list api -/v1 - pods/- x
            GET /api/v1/pods?fieldSelector=a=b,metadata.name==x -> list api -/v1 - pods/- x
            GET /api/v1/pods?fieldSelector=metadata.name!=x -> list api -/v1 - pods/- -
            GET /api/v1/pods?fieldSelector=metadata.name=a/b -> list api -/v1 - pods/- -
            GET /api/v1/pods?watch=1&fieldSelector=metadata.name=x -> watch api -/v1 - pods/- x
            DELETE /api/v1/pods?fieldSelector=metadata.name=x -> deletecollection api -/v1 - pods/- -
            GET /api/v1/pods?fieldSelector=metadata.name=y,metadata.name=x -> list api -/v1 - pods/- x
            POST /api/v1/pods?fieldSelector=metadata.name=x -> create api -/v1 - pods/- -
            ",
        );
    }

    #[test]
    fn everything_else_is_a_path() {
        check(
            "
            GET / -> path get
            GET /api -> path get
            GET /api/v1 -> path get
            GET /apis -> path get
            GET /apis/g.io -> path get
            GET /apis/g.io/v1 -> path get
            POST /healthz -> path post
            GET /other/v1/pods/x/y -> path get
            ",
        );
    }

    #[test]
    fn queries_are_decoded_in_order() {
        let pairs = query_pairs(Some("b=1&a=x+y%3D&c&d;e=1&b=2"));
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("b", "1"), ("a", "x y="), ("c", ""), ("b", "2")]);
    }
}
