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
        server.create("/api/v1", "secrets", &secret).await.unwrap();
        let id = server.process.id();
        let mut violations = Vec::new();
        for case in create_cases().into_iter().chain(change_cases()) {
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
    proc_status::reset_vm_hwm(process).unwrap();
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
fn create_cases() -> Vec<Case> {
    let rules = "/apis/siem.keepwatch.io/v1alpha1/detectionrules";
    let rule = |name, source: &[u8]| Case::new(name, "POST", rules, JSON, rule_with_source(source));
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    let secret = |name, body| Case::new(name, "POST", &secrets, PROTOBUF, body);
    let empty_fields = secret_with_fields(&repeat_to_fill(&[0x12, 0]));
    let mut cases = passkey_cases();
    cases.extend([
        secret("protobuf: entries of a map", secret_with_many_keys()),
        secret("protobuf: fields of no bytes", protobuf_envelope(&empty_fields)),
        rule("rule: numbers", &repeat_to_fill(b"- 0\n")),
        rule("rule: a wide expression", WIDE_EXPRESSION),
    ]);
    cases
}

/// Requests that create passkeys.
fn passkey_cases() -> Vec<Case> {
    let passkeys = "/apis/vault.kio.kasten.io/v1alpha1/passkeys";
    let case = |name, content_type, body| Case::new(name, "POST", passkeys, content_type, body);
    let json = |name, body| case(name, JSON, body);
    let yaml = |name, body| case(name, YAML, body);
    vec![
        json("JSON: numbers", passkey_with_spec("[", "0,", "0]")),
        json("JSON: empty lists", passkey_with_spec("[", "[],", "0]")),
        json("JSON: short keys", many_labels()),
        json("JSON: as deep as it is long", passkey_with_spec("", "[", "")),
        json("JSON: escapes", passkey_with_spec("\"", "\\u0001", "\"")),
        json("JSON: one key again and again", passkey_with_spec("{", "\"a\":0,", "\"a\":0}")),
        json("JSON: owners without names", passkey_with_metadata("ownerReferences", "{}")),
        json("JSON: wrong finalizers", passkey_with_metadata("finalizers", "\"!\"")),
        yaml("YAML: numbers", yaml_passkey("[", "0,", "0]", BODY_BYTES)),
        yaml("YAML: what fits", yaml_passkey("[", "0,", "0]", 190_000)),
        yaml("YAML: documents", yaml_passkey("1\n", "---\n", "", BODY_BYTES)),
        yaml("YAML: aliases of aliases", nested_aliases()),
        yaml("YAML: anchors", yaml_passkey("[", "&a 0,", "0]", 190_000)),
        case("another type", "text/plain", repeat_to_fill(b"x")),
    ]
}

/// Patches, and options of deletions.
fn change_cases() -> Vec<Case> {
    let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}");
    vec![
        Case::new(
            "DeleteOptions: junk",
            "DELETE",
            &secret,
            JSON,
            delete_options("\"junk\":[", "0,", "0]"),
        ),
        Case::new(
            "DeleteOptions: dry runs",
            "DELETE",
            &secret,
            JSON,
            delete_options("\"dryRun\":[", "\"All\",", "\"All\"]"),
        ),
        Case::new("merge patch: short keys", "PATCH", &secret, MERGE_PATCH, many_labels()),
        Case::new("JSON patch: many operations", "PATCH", &secret, JSON_PATCH, patch_operations()),
        Case::new("JSON patch: copies of copies", "PATCH", &secret, JSON_PATCH, doubling_copies()),
        Case::new(
            "strategic merge patch",
            "PATCH",
            &secret,
            "application/strategic-merge-patch+json",
            many_labels(),
        ),
        Case::new(
            "apply",
            "PATCH",
            &secret,
            "application/apply-patch+yaml",
            yaml_passkey("[", "0,", "0]", 190_000),
        ),
    ]
}

/// As many of `piece` as almost fill a body.
fn repeat_to_fill(piece: &[u8]) -> Vec<u8> {
    piece.repeat((BODY_BYTES - 4_096) / piece.len())
}

/// An object whose field `spec` is `start`, many of `piece`, and `end`.
fn passkey_with_spec(start: &str, piece: &str, end: &str) -> Vec<u8> {
    let head = r#"{"apiVersion":"vault.kio.kasten.io/v1alpha1","kind":"Passkey","metadata":{"name":"a"},"spec":"#;
    [head.as_bytes(), start.as_bytes(), &repeat_to_fill(piece.as_bytes()), end.as_bytes(), b"}"]
        .concat()
}

/// An object whose metadata has a list of 60,001 of `item`: as many invalid values could be
/// reported.
fn passkey_with_metadata(field: &str, item: &str) -> Vec<u8> {
    let head =
        r#"{"apiVersion":"vault.kio.kasten.io/v1alpha1","kind":"Passkey","metadata":{"name":"a","#;
    let items = format!("{item},").repeat(60_000).into_bytes();
    [head.as_bytes(), b"\"", field.as_bytes(), b"\":[", &items, item.as_bytes(), b"]}}"].concat()
}

/// The same in YAML, with this many bytes.
fn yaml_passkey(start: &str, piece: &str, end: &str, bytes: usize) -> Vec<u8> {
    let head =
        "apiVersion: vault.kio.kasten.io/v1alpha1\nkind: Passkey\nmetadata: {name: a}\nspec: ";
    let pieces = piece.repeat((bytes - 4_096) / piece.len());
    format!("{head}{start}{pieces}{end}\n").into_bytes()
}

/// Labels with short, distinct keys.
fn many_labels() -> Vec<u8> {
    let labels: Vec<String> = (0..260_000).map(|number| format!("\"{number:x}\":0")).collect();
    format!(r#"{{"metadata":{{"labels":{{{}}}}}}}"#, labels.join(",")).into_bytes()
}

/// Lists of ten aliases each, nested twelve levels deep.
fn nested_aliases() -> Vec<u8> {
    let mut text = "a0: &a0 [0,0,0,0,0,0,0,0,0,0]\n".to_owned();
    for level in 1..12 {
        let lower = format!("*a{},", level - 1).repeat(10);
        let list = format!("a{level}: &a{level} [{lower}0]\n");
        text.push_str(&list);
    }
    text.into_bytes()
}

fn delete_options(start: &str, piece: &str, end: &str) -> Vec<u8> {
    let head = r#"{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"none"},"#;
    [head.as_bytes(), start.as_bytes(), &repeat_to_fill(piece.as_bytes()), end.as_bytes(), b"}"]
        .concat()
}

fn patch_operations() -> Vec<u8> {
    let operation = r#"{"op":"add","path":"/metadata/annotations","value":{}},"#;
    [
        b"[",
        &repeat_to_fill(operation.as_bytes())[..],
        &operation.as_bytes()[..operation.len() - 1],
        b"]",
    ]
    .concat()
}

/// Each operation doubles the object.
fn doubling_copies() -> Vec<u8> {
    let operation =
        |number| format!(r#"{{"op":"copy","from":"/metadata","path":"/metadata/copy{number}"}}"#);
    let all: Vec<String> = (0..64).map(operation).collect();
    format!("[{}]", all.join(",")).into_bytes()
}

/// A Secret with many entries in its data, all of them empty.
fn secret_with_many_keys() -> Vec<u8> {
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
    protobuf_envelope(&secret_with_fields(&fields))
}

/// The fields of a Secret with the name `a`, and these fields.
fn secret_with_fields(fields: &[u8]) -> Vec<u8> {
    // Field 1 is metadata, whose field 1 is the name.
    [&[0x0a, 3, 0x0a, 1, b'a'][..], fields].concat()
}

/// Kubernetes' envelope around the bytes of an object, `runtime.Unknown`.
fn protobuf_envelope(raw: &[u8]) -> Vec<u8> {
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
fn rule_with_source(source: &[u8]) -> Vec<u8> {
    let source = String::from_utf8_lossy(source);
    json!({"apiVersion": "siem.keepwatch.io/v1alpha1", "kind": "DetectionRule",
        "metadata": {"name": "costly"}, "spec": {"sigma": source}})
    .to_string()
    .into_bytes()
}
