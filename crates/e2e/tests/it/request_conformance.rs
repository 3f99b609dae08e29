//! Requests that kube-apiserver and Keepwatch must answer alike: request heads, paths, parameters,
//! media types.
//!
//! The same user sends each request to both servers, to a collection of each. If the status codes
//! differ for a reason, the line has both codes, and a comment states the reason.

use std::fmt::Write as _;

use e2e::fixtures::https::{self, Target};
use serde_json::Value;

use crate::fixture::shared;

/// An empty collection of kube-apiserver, and one of Keepwatch.
const COLLECTIONS: [&str; 2] = [
    "/api/v1/namespaces/kube-public/limitranges",
    "/apis/apps.kio.kasten.io/v1alpha1/namespaces/kube-public/restorepoints",
];

/// Request heads, with `|` between lines. `{C}` is the collection; after ` => ` are the codes of
/// both servers.
const HEADS: &str = "
GET {C} HTTP/1.1
GET {C} HTTP/1.0
GET {C} HTTP/1.1|Host:
GET {C} HTTP/1.1|Host: a
GET {C} HTTP/1.1|Host: a|Host: a
GET {C} HTTP/1.0|Host: a|Host: b
GET {C} HTTP/1.1|Host: [fe80::1%25eth0]:6443
GET {C} HTTP/1.1|Host: a/b
GET {C} HTTP/1.1|Host: a b
GET {C} HTTP/1.1|Host: root@a
GET {C} HTTP/1.1|Host : a
GET {C} HTTP/1.1|Host: a|X Y: z
GET {C} HTTP/1.1|Host: a|no colon
GET {C} HTTP/1.1|Host: a|Expect: 100-continue
GET {C} HTTP/1.1|Host: a|Expect: 200-ok
GET {C} HTTP/1.0|Expect: x
POST {C} HTTP/1.1|Host: a|Transfer-Encoding: gzip, chunked
POST {C} HTTP/1.1|Host: a|Transfer-Encoding: chunked|Transfer-Encoding: chunked
POST {C} HTTP/1.1|Host: a|Content-Length: 1|Content-Length: 2
POST {C} HTTP/1.1|Host: a|Content-Length: 1, 1
POST {C} HTTP/1.1|Host: a|Content-Length: x
GET {C} HTTP/2.0|Host: a => 505 400
GET http://other.example{C} HTTP/1.1|Host: a
GET http://other.example{C} HTTP/1.1
GET {C}%zz HTTP/1.1|Host: a
GET {C}? HTTP/1.1|Host: a
OPTIONS * HTTP/1.1
";

/// Methods and targets. The reasons of errors must be equal too. kube-apiserver has no HEAD, and
/// restore points cannot be replaced.
const REQUESTS: &str = "
GET {C}
GET {C}/
GET {C}/nothing
HEAD {C} => 405 200
GET /{C}
PUT {C}/nothing => 400 405
DELETE {C}/nothing
GET {C}?limit=1
GET {C}?limit=-1
GET {C}?limit=x
GET {C}?continue=x
GET {C}?resourceVersion=0
GET {C}?resourceVersion=x
GET {C}?resourceVersionMatch=Exact
GET {C}?resourceVersion=0&resourceVersionMatch=Exact
GET {C}?resourceVersion=1&resourceVersionMatch=Other
GET {C}?resourceVersionMatch=NotOlderThan&resourceVersion=0
GET {C}?sendInitialEvents=true
GET {C}?labelSelector=a
GET {C}?labelSelector=!a
GET {C}?labelSelector=a%3Db,c!%3Dd
GET {C}?labelSelector=a%20in%20(b,c)
GET {C}?labelSelector=a%20in%20()
GET {C}?labelSelector=a%20notin%20()
GET {C}?labelSelector=a%20in%20(b
GET {C}?labelSelector=a%3E1
GET {C}?labelSelector=a%3Ex
GET {C}?labelSelector=-a
GET {C}?labelSelector=a%3Db%3Dc
GET {C}?labelSelector=,
GET {C}?fieldSelector=metadata.name%3Dx
GET {C}?fieldSelector=metadata.name!%3Dx
GET {C}?fieldSelector=metadata.namespace%3Dkube-public
GET {C}?fieldSelector=metadata.name%3Dx,metadata.name%3Dy
GET {C}?fieldSelector=metadata.uid%3Dx
GET {C}?fieldSelector=x
GET {C}?watch=1&timeoutSeconds=1
GET {C}?watch=true&timeoutSeconds=1&resourceVersion=0
GET {C}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true
GET {C}?watch=1&timeoutSeconds=1&sendInitialEvents=true
GET {C}?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true
GET {C}?timeout=1s
GET {C}?timeout=x
GET {C}?pretty=true
GET {C}?unknown=1
DELETE {C}/nothing?dryRun=All
DELETE {C}/nothing?dryRun=x
DELETE {C}/nothing?propagationPolicy=x
DELETE {C}/nothing?gracePeriodSeconds=x
POST {C}?dryRun=x
POST {C}?fieldValidation=x
";

/// Values of the header `Accept`.
const ACCEPTED: &str = "
*/*
application/json
application/yaml
application/json;as=Table;v=v1;g=meta.k8s.io
application/json;as=Table;v=v1beta1;g=meta.k8s.io
application/json;as=Table;v=v9;g=meta.k8s.io
application/json;as=Table;v=v9;g=meta.k8s.io,application/json
application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io
application/json;as=Other;v=v1;g=meta.k8s.io
text/html
text/html,*/*
text/html,application/json;q=0.1
";

/// The status code, and the reason if the response is an error.
fn status_and_reason(target: &Target<'_>, bytes: &str) -> (u16, String) {
    let response = https::exchange(target, bytes.as_bytes()).unwrap();
    let status: Value = serde_json::from_str(&response.body).unwrap_or_default();
    let reason = status.get("reason").and_then(Value::as_str).unwrap_or_default();
    (response.code, reason.to_owned())
}

/// Sends each line of a table to both servers and lists the differences.
fn check(table: &str, compares_reasons: bool, format_request: impl Fn(&str) -> String) {
    let (plane, keepwatch) = shared();
    let admin = plane.admin();
    let targets = [plane.target(admin), keepwatch.target(Some(&admin.identity))];
    let mut differences = String::new();
    for line in table.lines().filter(|line| !line.is_empty()) {
        let (request, codes) = line.split_once(" => ").unwrap_or((line, ""));
        let [kube_apiserver, keepwatch_response] = [0, 1].map(|index| {
            status_and_reason(
                &targets[index],
                &format_request(request).replace("{C}", COLLECTIONS[index]),
            )
        });
        let is_equal = if codes.is_empty() {
            kube_apiserver.0 == keepwatch_response.0
                && (!compares_reasons || kube_apiserver.1 == keepwatch_response.1)
        } else {
            codes == format!("{} {}", kube_apiserver.0, keepwatch_response.0)
        };
        if !is_equal {
            writeln!(
                differences,
                "{line}: kube-apiserver {kube_apiserver:?}, Keepwatch {keepwatch_response:?}"
            )
            .unwrap();
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn request_heads_are_rejected_as_by_kube_apiserver() {
    let format_request =
        |head: &str| format!("{}\r\nConnection: close\r\n\r\n", head.replace('|', "\r\n"));
    check(HEADS, false, format_request);
}

#[test]
fn requests_are_answered_as_by_kube_apiserver() {
    let format_request = |request: &str| {
        let has_body = ["PUT", "POST"].iter().any(|method| request.starts_with(method));
        let length =
            if has_body { "Content-Type: application/json\r\nContent-Length: 2\r\n" } else { "" };
        let body = if has_body { "{}" } else { "" };
        format!("{request} HTTP/1.1\r\nHost: a\r\n{length}Connection: close\r\n\r\n{body}")
    };
    check(REQUESTS, true, format_request);
}

#[test]
fn media_types_are_negotiated_as_by_kube_apiserver() {
    let format_request = |accept: &str| {
        format!("GET {{C}} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
    };
    check(ACCEPTED, true, format_request);
}
