//! The format of `/metrics`: `OpenMetrics`, or the older text format for clients that accept only
//! that, compressed if the client accepts gzip.
//!
//! The protocol buffer format is not supported, because no client needs it.

use std::collections::HashMap;

use bytes::Bytes;
use http::header::VARY;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::ApiResponse;
use crate::handler::encoding::{GZIP_MIN, negotiate_gzip};
use crate::handler::negotiate::{accepted, takes_gzip};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The response to a request with these headers. `open_metrics` is the text in `OpenMetrics`.
pub(super) fn response(open_metrics: String, request: &HeaderMap) -> ApiResponse {
    let (content_type, text) = if accepts_only_text(request) {
        (TEXT, text_format(&open_metrics))
    } else {
        (OPEN_METRICS, open_metrics)
    };
    let headers = HeaderMap::from_iter([(VARY, HeaderValue::from_static("Accept"))]);
    let (code, body) = (StatusCode::OK, Bytes::from(text));
    let mut response =
        ApiResponse { code, headers, content_type, body, object: None, status: None };
    negotiate_gzip(&mut response, takes_gzip(request), GZIP_MIN, None);
    response
}

/// Whether the client accepts the text format by name and `OpenMetrics` not at all.
fn accepts_only_text(request: &HeaderMap) -> bool {
    let ranges = accepted(request);
    let names = |name: &str| ranges.iter().any(|range| range.media_type == name);
    names("text/plain") && !names("application/openmetrics-text")
}

/// Converts `OpenMetrics` to the text format 0.0.4, in which the samples of a counter or of
/// information have the name of their family.
fn text_format(open_metrics: &str) -> String {
    let mut suffixes = HashMap::new();
    for (name, kind) in open_metrics.lines().filter_map(|line| described(line, "# TYPE ")) {
        match kind {
            "counter" => suffixes.insert(name, "_total"),
            "info" => suffixes.insert(name, "_info"),
            _ => None,
        };
    }
    let mut text = String::with_capacity(open_metrics.len() + 8 * suffixes.len());
    for line in open_metrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let description = ["# HELP ", "# TYPE "]
            .iter()
            .find_map(|start| described(line, start).map(|(name, rest)| (*start, name, rest)));
        if let Some((start, name, rest)) = description {
            let rest = match (start, rest) {
                ("# TYPE ", "info" | "stateset") => "gauge",
                ("# TYPE ", "unknown") => "untyped",
                (_, rest) => rest,
            };
            let suffix = suffixes.get(name).copied().unwrap_or_default();
            text.extend([start, name, suffix, " ", rest]);
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// The name of a family, and the rest of the line.
fn described<'a>(line: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix(start)?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING};

    use super::*;

    const OPEN: &str = "# HELP requests Requests.\n# TYPE requests counter\nrequests_total{a=\"b\"} 2\n\
                        # HELP up_seconds Time.\n# TYPE up_seconds gauge\n# UNIT up_seconds seconds\n\
                        up_seconds 1\n# EOF\n";

    fn check(accept: &str, encoding: &str, expected: (&str, bool)) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        headers.insert(ACCEPT_ENCODING, encoding.parse().unwrap());
        let response = response(OPEN.repeat(2_000), &headers);
        let is_gzip = response.headers.contains_key(CONTENT_ENCODING);
        assert_eq!((response.content_type, is_gzip), expected, "{accept}");
    }

    #[test]
    fn the_form_is_the_one_that_the_client_accepts() {
        check("*/*", "identity", (OPEN_METRICS, false));
        check("text/plain;version=0.0.4", "gzip", (TEXT, true));
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2,*/*;q=0.1";
        check(prometheus, "gzip", (OPEN_METRICS, true));
    }

    #[test]
    fn the_text_format_names_families_like_their_samples() {
        let expected = "# HELP requests_total Requests.\n# TYPE requests_total counter\n\
                        requests_total{a=\"b\"} 2\n# HELP up_seconds Time.\n\
                        # TYPE up_seconds gauge\nup_seconds 1\n";
        assert_eq!(text_format(OPEN), expected);
    }
}
