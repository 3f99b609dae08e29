//! Requests of clients, and their results without what differs between two runs.

use e2e::fixtures::https::{Response, Target, request};
use serde_json::Value;

/// The objects of the tests.
pub(crate) const PATH: &str = "/apis/wardle.example.com/v1alpha1/namespaces/default/flunders";
const GROUP: &str = "/apis/wardle.example.com/v1alpha1";

/// Headers that differ between two equal responses, or that belong to the connection.
const IGNORED_HEADERS: [&str; 6] =
    ["audit-id", "date", "content-length", "transfer-encoding", "connection", "last-modified"];
/// Fields that differ between two equal objects.
const IGNORED_FIELDS: [&str; 6] =
    ["uid", "resourceVersion", "creationTimestamp", "time", "continue", "remainingItemCount"];

/// What comes before a UID in a message.
const UID_MESSAGE: &str = "UID in record (";

/// A request and its result.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) line: String,
    pub(crate) result: String,
}

type Headers = &'static [(&'static str, &'static str)];

const NONE: Headers = &[];
const JSON: Headers = &[("Content-Type", "application/json")];
const YAML: Headers = &[("Content-Type", "application/yaml")];
const TABLE: Headers = &[("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
const METADATA: Headers =
    &[("Accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")];
const PROTOBUF: Headers = &[("Accept", "application/vnd.kubernetes.protobuf")];
const GZIP: Headers = &[("Accept-Encoding", "gzip")];
const MERGE: Headers = &[("Content-Type", "application/merge-patch+json")];
const JSON_PATCH: Headers = &[("Content-Type", "application/json-patch+json")];
const STRATEGIC: Headers = &[("Content-Type", "application/strategic-merge-patch+json")];
const APPLY: Headers = &[("Content-Type", "application/apply-patch+yaml")];
const OTHER_TYPE: Headers = &[("Content-Type", "text/csv")];
const DISCOVERY: Headers = &[(
    "Accept",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
)];

const FLUNDER: &str = r#"{"apiVersion":"wardle.example.com/v1alpha1","kind":"Flunder","metadata":{"name":"one","labels":{"app":"a"}},"spec":{"reference":"x"}}"#;
const SECOND: &str = "apiVersion: wardle.example.com/v1alpha1\nkind: Flunder\nmetadata:\n  name: two\nspec:\n  reference: second\n";
const APPLIED: &str = "apiVersion: wardle.example.com/v1alpha1\nkind: Flunder\nmetadata:\n  name: three\nspec:\n  reference: third\n";

/// Method, rest of the path, headers, body.
const REQUESTS: &[(&str, &str, Headers, &str)] = &[
    ("POST", "", JSON, FLUNDER),
    ("POST", "", JSON, FLUNDER),
    ("POST", "", YAML, SECOND),
    (
        "POST",
        "?dryRun=All",
        JSON,
        r#"{"apiVersion":"wardle.example.com/v1alpha1","kind":"Flunder","metadata":{"name":"dry"},"spec":{"reference":"x"}}"#,
    ),
    ("POST", "", JSON, "{"),
    ("POST", "", JSON, r#"{"kind":"Other","apiVersion":"v1"}"#),
    ("POST", "", OTHER_TYPE, "a,b"),
    (
        "POST",
        "?fieldValidation=Strict",
        JSON,
        r#"{"apiVersion":"wardle.example.com/v1alpha1","kind":"Flunder","metadata":{"name":"strict"},"unknown":1}"#,
    ),
    ("GET", "/one", NONE, ""),
    ("GET", "/one", TABLE, ""),
    ("GET", "/one", METADATA, ""),
    ("GET", "/one", PROTOBUF, ""),
    ("GET", "/one?pretty=true", NONE, ""),
    ("HEAD", "/one", NONE, ""),
    ("GET", "/none", NONE, ""),
    ("GET", "", NONE, ""),
    ("GET", "", TABLE, ""),
    ("GET", "?limit=1", NONE, ""),
    ("GET", "?labelSelector=app%3Da", NONE, ""),
    ("GET", "?labelSelector=%3D%3D", NONE, ""),
    ("GET", "?fieldSelector=metadata.name%3Dtwo", NONE, ""),
    ("GET", "", GZIP, ""),
    ("GET", "?watch=1&timeoutSeconds=1", NONE, ""),
    ("GET", "?watch=1&resourceVersion=1&timeoutSeconds=1", NONE, ""),
    ("PUT", "/none", JSON, FLUNDER),
    ("PATCH", "/one", MERGE, r#"{"metadata":{"labels":{"app":"b"}}}"#),
    ("PATCH", "/one", JSON_PATCH, r#"[{"op":"add","path":"/metadata/labels/c","value":"d"}]"#),
    ("PATCH", "/one", JSON_PATCH, r#"[{"op":"test","path":"/metadata/name","value":"no"}]"#),
    ("PATCH", "/one", STRATEGIC, r#"{"metadata":{"labels":{"e":"f"}}}"#),
    ("PATCH", "/one", OTHER_TYPE, "x"),
    ("PATCH", "/three?fieldManager=tests", APPLY, APPLIED),
    ("PATCH", "/three", APPLY, APPLIED),
    ("OPTIONS", "", NONE, ""),
    ("TRACE", "/one", NONE, ""),
    (
        "DELETE",
        "/two",
        JSON,
        r#"{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"other"}}"#,
    ),
    (
        "DELETE",
        "/two",
        JSON,
        r#"{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"}"#,
    ),
    ("DELETE", "/two", NONE, ""),
    ("DELETE", "?labelSelector=app", NONE, ""),
    ("DELETE", "/three", NONE, ""),
    ("GET", "", NONE, ""),
];

/// Paths of documents, and others below the group.
const DOCUMENTS: &[(&str, Headers)] = &[
    ("/apis/wardle.example.com/v1alpha1", NONE),
    ("/apis/wardle.example.com/v1alpha1/", NONE),
    ("/apis/wardle.example.com/v1alpha1/nothing", NONE),
    ("/apis/wardle.example.com/v1alpha1/namespaces/default/flunders/one/nothing", NONE),
    ("/apis/wardle.example.com/v1alpha1/fischers", NONE),
    ("/openapi/v3/apis/wardle.example.com/v1alpha1", NONE),
    ("/apis/wardle.example.com", DISCOVERY),
];

/// The results of all requests. The first user has all rights, the second none.
pub(crate) fn results(users: &[Target<'_>; 2]) -> Vec<Sent> {
    let [alice, mallory] = users;
    let mut results = Vec::new();
    let mut send = |target: &Target<'_>, line: String, headers: Headers, body: &str| {
        let response = request(target, &line, headers, body).unwrap();
        results.push(Sent { line, result: normalized(&response) });
    };
    for (method, rest, headers, body) in REQUESTS {
        send(alice, format!("{method} {PATH}{rest}"), headers, body);
    }
    for (path, headers) in DOCUMENTS {
        send(alice, format!("GET {path}"), headers, "");
    }
    for (method, rest, headers, body) in &REQUESTS[..12] {
        send(mallory, format!("{method} {PATH}{rest}"), headers, body);
    }
    let long = format!(
        r#"{{"apiVersion":"wardle.example.com/v1alpha1","kind":"Flunder","metadata":{{"name":"long","annotations":{{"a":"{}"}}}}}}"#,
        "x".repeat(200_000)
    );
    send(alice, format!("POST {PATH}"), JSON, &long);
    send(alice, format!("GET {GROUP}/flunders"), NONE, "");
    send(alice, format!("DELETE {PATH}/long"), NONE, "");
    results
}

/// A response without what differs between two runs.
fn normalized(response: &Response) -> String {
    let mut headers: Vec<String> = response
        .headers
        .iter()
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            format!("{}: {}", name.to_ascii_lowercase(), value.trim())
        })
        .filter(|line| !IGNORED_HEADERS.iter().any(|name| line.starts_with(&format!("{name}:"))))
        .collect();
    headers.sort();
    let bodies: Vec<String> = match serde_json::from_str::<Value>(&response.body) {
        Ok(body) => vec![body_of(body)],
        // A watch has one object on each line.
        Err(_) => response
            .body
            .lines()
            .map(|line| serde_json::from_str(line).map_or_else(|_| line.to_owned(), body_of))
            .collect(),
    };
    // Binary bodies contain the UID and the time.
    let is_text = headers.iter().any(|line| line.contains("json") || line.contains("text"));
    let bodies = if is_text { bodies } else { Vec::new() };
    format!("{} {headers:?} {bodies:?}", response.code)
}

fn body_of(mut body: Value) -> String {
    remove_ignored(&mut body);
    body.to_string()
}

fn remove_ignored(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|key, _| !IGNORED_FIELDS.contains(&key.as_str()));
            members.values_mut().for_each(remove_ignored);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_ignored),
        // Cells of tables contain the time of creation.
        Value::String(text) if text.len() == 20 && text.ends_with('Z') => text.clear(),
        // So do messages about a UID.
        Value::String(text) => {
            if let Some(start) = text.find(UID_MESSAGE) {
                text.truncate(start);
            }
        }
        _ => {}
    }
}
