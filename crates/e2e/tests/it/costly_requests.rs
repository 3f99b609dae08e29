//! No single request raises the server's memory by more than 64 MiB, whatever its content.
//!
//! Each case is the worst document that the authors found for a content type. The response may be
//! an error of the client, but not of the server. The kernel counts the peak memory of the process;
//! it is reset before each case.

use bytes::Bytes;
use e2e::fixtures::load_client::{Endpoint, Protocol};
use e2e::fixtures::proc_status;
use e2e::fixtures::standalone::{NAME, NAMESPACE, Standalone, keys};
use serde_json::json;

use crate::buckets::run;

/// Bytes that one request may cost.
const COST_MAX: u64 = 64 << 20;
/// Bytes of the longest body that is not rejected for its length.
const BODY_BYTES: usize = 3_145_728;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

/// A request that is meant to be as costly as possible.
struct Case {
    name: &'static str,
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: Vec<u8>,
}

#[test]
fn no_request_costs_more_than_64_mib() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let server = Standalone::start(folder.path()).await.unwrap();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME},
            "stringData": keys("one", "two")});
        server.make("/api/v1", "secrets", &secret).await.unwrap();
        let id = server.process.id();
        let mut violations = Vec::new();
        for case in creates().into_iter().chain(changes()) {
            let (code, cost) = cost(&server.admin, id, &case).await;
            println!("{}: {code}, {} KiB", case.name, cost >> 10);
            if code >= 500 || cost > COST_MAX {
                violations.push(format!("{}: answered {code}, {} MiB", case.name, cost >> 20));
            }
        }
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    });
}

/// The status code, and the bytes by which the peak exceeds the memory before the request.
async fn cost(endpoint: &Endpoint, process: u32, case: &Case) -> (u16, u64) {
    let mut connection = endpoint.connections(Protocol::Http1, 1).await.unwrap().remove(0);
    proc_status::forget_vm_hwm(process).unwrap();
    let before = proc_status::vm_rss(process).unwrap();
    let body = Bytes::from(case.body.clone());
    let headers = [("content-type", case.content_type)];
    let reply = connection.send(endpoint, case.method, &case.path, &headers, body).await.unwrap();
    let peak = proc_status::vm_hwm(process).unwrap();
    (reply.code, peak.saturating_sub(before))
}

impl Case {
    fn new(
        name: &'static str,
        method: &'static str,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Self {
        Self { name, method, path: path.to_owned(), content_type, body }
    }
}

/// Requests that create objects.
fn creates() -> Vec<Case> {
    let passkeys = "/apis/vault.kio.kasten.io/v1alpha1/passkeys";
    let rules = "/apis/siem.keepwatch.io/v1alpha1/detectionrules";
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    vec![
        Case::new("JSON: numbers", "POST", passkeys, JSON, object("[", "0,", "0]")),
        Case::new("JSON: empty lists", "POST", passkeys, JSON, object("[", "[],", "0]")),
        Case::new("JSON: short keys", "POST", passkeys, JSON, members()),
        Case::new("JSON: as deep as it is long", "POST", passkeys, JSON, object("", "[", "")),
        Case::new("JSON: escapes", "POST", passkeys, JSON, object("\"", "\\u0001", "\"")),
        Case::new(
            "JSON: one key again and again",
            "POST",
            passkeys,
            JSON,
            object("{", "\"a\":0,", "\"a\":0}"),
        ),
        Case::new(
            "JSON: owners without names",
            "POST",
            passkeys,
            JSON,
            metadata("ownerReferences", "{}"),
        ),
        Case::new(
            "JSON: wrong finalizers",
            "POST",
            passkeys,
            JSON,
            metadata("finalizers", "\"!\""),
        ),
        Case::new("YAML: numbers", "POST", passkeys, YAML, yaml_of("[", "0,", "0]", BODY_BYTES)),
        Case::new("YAML: what fits", "POST", passkeys, YAML, yaml_of("[", "0,", "0]", 190_000)),
        Case::new(
            "YAML: documents",
            "POST",
            passkeys,
            YAML,
            yaml_of("1\n", "---\n", "", BODY_BYTES),
        ),
        Case::new("YAML: aliases of aliases", "POST", passkeys, YAML, aliases()),
        Case::new("YAML: anchors", "POST", passkeys, YAML, yaml_of("[", "&a 0,", "0]", 190_000)),
        Case::new("protobuf: entries of a map", "POST", &secrets, PROTOBUF, entries()),
        Case::new(
            "protobuf: fields of no bytes",
            "POST",
            &secrets,
            PROTOBUF,
            unknown(&secret_of(&repeated(&[0x12, 0]))),
        ),
        Case::new("rule: numbers", "POST", rules, JSON, rule(&repeated(b"- 0\n"))),
        Case::new("rule: a wide expression", "POST", rules, JSON, rule(WIDE_EXPRESSION)),
        Case::new("another type", "POST", passkeys, "text/plain", repeated(b"x")),
    ]
}

/// Patches, and options of deletions.
fn changes() -> Vec<Case> {
    let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}");
    vec![
        Case::new(
            "DeleteOptions: junk",
            "DELETE",
            &secret,
            JSON,
            options("\"junk\":[", "0,", "0]"),
        ),
        Case::new(
            "DeleteOptions: dry runs",
            "DELETE",
            &secret,
            JSON,
            options("\"dryRun\":[", "\"All\",", "\"All\"]"),
        ),
        Case::new("merge patch: short keys", "PATCH", &secret, MERGE_PATCH, members()),
        Case::new("JSON patch: many operations", "PATCH", &secret, JSON_PATCH, operations()),
        Case::new("JSON patch: copies of copies", "PATCH", &secret, JSON_PATCH, copies()),
        Case::new(
            "strategic merge patch",
            "PATCH",
            &secret,
            "application/strategic-merge-patch+json",
            members(),
        ),
        Case::new(
            "apply",
            "PATCH",
            &secret,
            "application/apply-patch+yaml",
            yaml_of("[", "0,", "0]", 190_000),
        ),
    ]
}

/// As many of `piece` as almost fill a body.
fn repeated(piece: &[u8]) -> Vec<u8> {
    piece.repeat((BODY_BYTES - 4_096) / piece.len())
}

/// An object whose field `spec` is `start`, many of `piece`, and `end`.
fn object(start: &str, piece: &str, end: &str) -> Vec<u8> {
    let head = r#"{"apiVersion":"vault.kio.kasten.io/v1alpha1","kind":"Passkey","metadata":{"name":"a"},"spec":"#;
    [head.as_bytes(), start.as_bytes(), &repeated(piece.as_bytes()), end.as_bytes(), b"}"].concat()
}

/// An object whose metadata has a list of 60,001 of `item`: as many invalid values could be
/// reported.
fn metadata(field: &str, item: &str) -> Vec<u8> {
    let head =
        r#"{"apiVersion":"vault.kio.kasten.io/v1alpha1","kind":"Passkey","metadata":{"name":"a","#;
    let items = format!("{item},").repeat(60_000).into_bytes();
    [head.as_bytes(), b"\"", field.as_bytes(), b"\":[", &items, item.as_bytes(), b"]}}"].concat()
}

/// The same in YAML, with this many bytes.
fn yaml_of(start: &str, piece: &str, end: &str, bytes: usize) -> Vec<u8> {
    let head =
        "apiVersion: vault.kio.kasten.io/v1alpha1\nkind: Passkey\nmetadata: {name: a}\nspec: ";
    let pieces = piece.repeat((bytes - 4_096) / piece.len());
    format!("{head}{start}{pieces}{end}\n").into_bytes()
}

/// Labels with short, distinct keys.
fn members() -> Vec<u8> {
    let labels: Vec<String> = (0..260_000).map(|number| format!("\"{number:x}\":0")).collect();
    format!(r#"{{"metadata":{{"labels":{{{}}}}}}}"#, labels.join(",")).into_bytes()
}

/// Lists of ten aliases each, nested twelve levels deep.
fn aliases() -> Vec<u8> {
    let mut text = "a0: &a0 [0,0,0,0,0,0,0,0,0,0]\n".to_owned();
    for level in 1..12 {
        let lower = format!("*a{},", level - 1).repeat(10);
        let list = format!("a{level}: &a{level} [{lower}0]\n");
        text.push_str(&list);
    }
    text.into_bytes()
}

fn options(start: &str, piece: &str, end: &str) -> Vec<u8> {
    let head = r#"{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"none"},"#;
    [head.as_bytes(), start.as_bytes(), &repeated(piece.as_bytes()), end.as_bytes(), b"}"].concat()
}

fn operations() -> Vec<u8> {
    let one = r#"{"op":"add","path":"/metadata/annotations","value":{}},"#;
    [b"[", &repeated(one.as_bytes())[..], &one.as_bytes()[..one.len() - 1], b"]"].concat()
}

/// Each operation doubles the object.
fn copies() -> Vec<u8> {
    let one =
        |number| format!(r#"{{"op":"copy","from":"/metadata","path":"/metadata/copy{number}"}}"#);
    let all: Vec<String> = (0..64).map(one).collect();
    format!("[{}]", all.join(",")).into_bytes()
}

/// A Secret with many entries in its data, all of them empty.
fn entries() -> Vec<u8> {
    let mut fields = Vec::new();
    for number in 0..300_000_u32 {
        let key = format!("{number:x}");
        let entry = [&[0x0a, u8::try_from(key.len()).unwrap()], key.as_bytes()].concat();
        fields.extend([0x12, u8::try_from(entry.len()).unwrap()]);
        fields.extend(entry);
        if fields.len() > BODY_BYTES - 8_192 {
            break;
        }
    }
    unknown(&secret_of(&fields))
}

/// The fields of a Secret with the name `a`, and these fields.
fn secret_of(fields: &[u8]) -> Vec<u8> {
    // Field 1 is metadata, whose field 1 is the name.
    [&[0x0a, 3, 0x0a, 1, b'a'][..], fields].concat()
}

/// Kubernetes' envelope around the bytes of an object, `runtime.Unknown`.
fn unknown(raw: &[u8]) -> Vec<u8> {
    let type_meta = [&[0x0a, 2][..], b"v1", &[0x12, 6], b"Secret"].concat();
    let head = [&[0x0a, u8::try_from(type_meta.len()).unwrap()][..], &type_meta].concat();
    let mut len = raw.len();
    let mut varint = Vec::new();
    while len > 0x7f {
        varint.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
        len >>= 7;
    }
    varint.push(u8::try_from(len).unwrap());
    [b"k8s\0", &head[..], &[0x12], &varint, raw].concat()
}

/// A rule that is valid except for the size of its compiled regular expression.
const WIDE_EXPRESSION: &[u8] = b"title: costly\nid: costly\nlevel: low
logsource: {product: kubernetes, service: audit}
detection: {a: {user.username|re: '(a{1,1000}){1,1000}'}, condition: a}\n";

/// A `DetectionRule` with this Sigma source.
fn rule(source: &[u8]) -> Vec<u8> {
    let source = String::from_utf8_lossy(source);
    json!({"apiVersion": "siem.keepwatch.io/v1alpha1", "kind": "DetectionRule",
        "metadata": {"name": "costly"}, "spec": {"sigma": source}})
    .to_string()
    .into_bytes()
}
