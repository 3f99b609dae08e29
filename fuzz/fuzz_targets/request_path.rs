//! Request lines: the meaning of method and URL, and the selectors in the query.
//!
//! The input is `METHOD path?query`. It is used twice: as a server gets it (a URI that the HTTP
//! parser accepts), and unchanged.

#![no_main]

use apimachinery::RequestInfo;
use apimachinery::request_info::query_pairs;
use apimachinery::selector::Selector;
use apimachinery::selector::field_selector::FieldSelector;
use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let (method, url) = text.split_once(' ').unwrap_or(("GET", &text));
    let Ok(method) = method.parse::<Method>() else { return };
    let (path, query) =
        url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    check_info(&method, path, query);
    if let Ok(uri) = url.parse::<Uri>() {
        check_info(&method, uri.path(), uri.query());
    }
});

fn check_info(method: &Method, path: &str, query: Option<&str>) {
    let pairs = query_pairs(query);
    let info = RequestInfo::parse(method, path, &pairs);
    assert_eq!(info, RequestInfo::parse(method, path, &pairs));
    if info.is_resource_request {
        assert!(matches!(info.api_prefix.as_str(), "api" | "apis"), "{info:?}");
        assert_eq!(info.parts.first().map_or("", String::as_str), info.resource, "{info:?}");
        assert!(info.api_prefix == "apis" || info.api_group.is_empty(), "{info:?}");
        let pieces = [&info.namespace, &info.resource, &info.name, &info.subresource];
        assert!(pieces.iter().all(|piece| !piece.contains('/')), "{info:?}");
    } else {
        assert!(info.resource.is_empty() && info.name.is_empty(), "{info:?}");
        assert_eq!(info.verb, method.as_str().to_ascii_lowercase());
    }
    for (_, value) in &pairs {
        label_selector(value);
        field_selector(value);
    }
}

/// A parsed selector that is formatted and parsed again selects the same.
fn label_selector(text: &str) {
    let Ok(selector) = Selector::parse(text) else { return };
    let written = selector.to_string();
    let again = Selector::parse(&written)
        .unwrap_or_else(|error| panic!("{text:?} is written as {written:?}: {error}"));
    assert_eq!(again.to_string(), written, "{text:?}");
    let label = |key: &str| (key.len() % 2 == 1).then_some("1");
    assert_eq!(selector.matches(label), again.matches(label), "{text:?} and {written:?}");
}

/// Applies a field selector to an object. It matches or it does not; it must not panic.
fn field_selector(text: &str) {
    let object = json!({"metadata": {"name": "x"}, "status": {"state": "Running"}});
    let object = object.as_object().expect("an object");
    if let Ok(selector) = FieldSelector::parse(text, &["status.state"]) {
        assert!(!selector.is_empty() || selector.matches(object), "{text:?}");
    }
}
