//! Request bodies: the event names the object that is created, for every form of the body. Other
//! bodies are rejected and audited.
//!
//! A body follows its line after `||`; bytes that are not text are written as `\x00`, and a
//! backslash as two.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Target;

/// JSON bodies of creates: the rest of the path or the query, the status code, and the name in the
/// event.
const CREATES: &str = r#"
- => 201 c1 || {"metadata":{"name":"c1"}}
- => 201 c2 || {"apiVersion":"test.io/v1","kind":"Thing","metadata":{"name":"c2"}}
- => 201 c3 || {"metadata":{"name":"c3a","name":"c3"}}
- => 201 c4 || {"metadata":{"name":"c4a","n\\u0061me":"c4"}}
- => 201 c5 || {"metadata":{"name":"c5a"},"metadata":{"name":"c5"}}
- => 201 c6 || {"metadata":{"name":"c6"},"Metadata":{"name":"c6a"}}
- => 201 c7 || {"metadata":{"name":"c7","Name":"c7a"}}
- => 201 c8 || {"metadata":{"name":"c8","name\\u0000":"c8a"}}
- => 201 c9 || {"metadata":{"name":"c9","namespace":"shop"}}
- => 400 c10 || {"metadata":{"name":"c10","namespace":"other"}}
- => 201 c11 || {"metadata":{"name":"c11","namespace":"other","namespace":"shop"}}
- => 201 c12 || {"metadata":{"name":"c12","uid":"00000000-0000-0000-0000-000000000000","creationTimestamp":"1970-01-01T00:00:00Z","generation":9,"selfLink":"/x","deletionTimestamp":"1970-01-01T00:00:00Z"}}
- => 400 c13 || {"metadata":{"name":"c13","resourceVersion":"1"}}
- => 201 c14 || {"metadata":{"name":"c14","managedFields":[{"manager":"x"}]}}
- => 201 c15 || {"metadata":{"name":"c15","ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"y"}]}}
- => 422 c16 || {"metadata":{"name":"c16","ownerReferences":[{"name":"x"}]}}
- => 201 c17 || {"metadata":{"name":"c17","finalizers":["a/b","a/b"]}}
- => 422 c18 || {"metadata":{"name":"c18","finalizers":["no slash"]}}
- => 201 c19 || {"metadata":{"name":"c19","labels":{"a":"b","a":"c"}}}
- => 422 c20 || {"metadata":{"name":"c20","labels":{"a b":"c"}}}
- => 400 c21 || {"metadata":{"name":"c21","labels":{"a":1}}}
- => 201 c22 || {"metadata":{"name":"c22","annotations":{"authorization.k8s.io/decision":"allow"}}}
- => 422 - || {"metadata":{"generateName":"C23-"}}
- => 201 c24 || {"metadata":{"name":"c24","generateName":"c24a-"}}
- => 422 - || {"metadata":{"generateName":""}}
- => 422 - || {"metadata":{"name":""}}
- => 422 - || {"metadata":{}}
- => 422 - || {}
- => 422 - || {"metadata":null}
- => 422 - || {"metadata":{"name":null}}
- => 400 - || {"metadata":{"name":1}}
- => 400 - || {"metadata":{"name":["c25"]}}
- => 400 - || {"metadata":{"name":{"c":"26"}}}
- => 400 - || {"metadata":[{"name":"c27"}]}
- => 422 C28 || {"metadata":{"name":"C28"}}
- => 422 c29/secretb || {"metadata":{"name":"c29/secretb"}}
- => 422 ../c30 || {"metadata":{"name":"../c30"}}
- => 422 . || {"metadata":{"name":"."}}
- => 422 c31\u{0} || {"metadata":{"name":"c31\\u0000"}}
- => 422 c32\n || {"metadata":{"name":"c32\\n"}}
- => 400 - || {"metadata":{"name":"\\ud800"}}
- => 400 - || {"metadata":{"name":"c33"}} {"metadata":{"name":"c33a"}}
- => 400 - || {"metadata":{"name":"c34"}}]
- => 400 - || [{"metadata":{"name":"c35"}}]
- => 400 - || "c36"
- => 400 - || null
- => 400 - || 1e999
- => 400 - || {"metadata":{"name":"c37"},"spec":{"size":1e999}}
- => 422 c38 || {"metadata":{"name":"c38"},"spec":{"size":1.5}}
- => 422 c39 || {"metadata":{"name":"c39"},"spec":{"size":9223372036854775808}}
- => 201 c40 || {"metadata":{"name":"c40"},"spec":{"size":1e2}}
- => 400 - || {"metadata":{"name":"c41"},"spec":{"size":NaN}}
- => 400 - || {"metadata":{"name":"c42"},"spec":{"size":01}}
- => 201 c43 || {"metadata":{"name":"c43"},"spec":{"size":1},"spec":{"size":2}}
- => 422 c44 || {"metadata":{"name":"c44"},"spec":[]}
- => 201 c45 || {"metadata":{"name":"c45"},"status":{"x":1}}
- => 201 c46 || {"metadata":{"name":"c46"},"junk":1}
- => 400 c47 || {"apiVersion":"v1","metadata":{"name":"c47"}}
- => 400 c48 || {"kind":"Secret","metadata":{"name":"c48"}}
- => 400 c49 || {"apiVersion":"test.io/v2","kind":"Thing","metadata":{"name":"c49"}}
- => 400 c50 || {"kind":"Thing","kind":"Secret","metadata":{"name":"c50"}}
- => 201 c51 || {"kind":"Secret","kind":"Thing","metadata":{"name":"c51"}}
- => 400 - || {"kind":"ThingList","items":[{"metadata":{"name":"c52"}}]}
- => 400 c53 || {"kind":"DeleteOptions","metadata":{"name":"c53"}}
- => 400 - || \xef\xbb\xbf{"metadata":{"name":"c54"}}
- => 400 - || // comment\n{"metadata":{"name":"c55"}}
- => 400 - || {"metadata":{"name":"c56",}}
- => 400 - || {'metadata':{'name':'c57'}}
- => 400 - || {metadata:{name:"c58"}}
- => 400 - || {"metadata":{"name":"c59"
- => 400 - ||  
- => 400 - || k8s\x00
- => 409 allowed || {"metadata":{"name":"allowed"}}
?fieldValidation=Strict => 400 c60a || {"metadata":{"name":"c60","name":"c60a"}}
?fieldValidation=Strict => 400 c61 || {"metadata":{"name":"c61"},"junk":1}
?fieldValidation=Ignore => 201 c62 || {"metadata":{"name":"c62"},"junk":1}
?fieldValidation=nonsense => 422 - || {"metadata":{"name":"c63"}}
?dryRun=All => 201 c64 || {"metadata":{"name":"c64"}}
?dryRun=all => 422 - || {"metadata":{"name":"c65"}}
?dryRun= => 422 - || {"metadata":{"name":"c66"}}
?dryRun=None => 422 - || {"metadata":{"name":"c67"}}
?dryRun=All&dryRun=None => 422 - || {"metadata":{"name":"c68"}}
?dryRun=All&dryRun=All => 201 c69 || {"metadata":{"name":"c69"}}
?DryRun=All => 201 c70 || {"metadata":{"name":"c70"}}
?dryRun%3DAll => 201 c71 || {"metadata":{"name":"c71"}}
?dryRun=All;x=1 => 400 - || {"metadata":{"name":"c72"}}
?fieldManager=%00 => 422 - || {"metadata":{"name":"c73"}}
?fieldManager=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx => 422 - || {"metadata":{"name":"c74"}}
/c75 => 405 c75 || {"metadata":{"name":"c75"}}
/ => 201 c76 || {"metadata":{"name":"c76"}}
"#;

/// Content types and encodings of creates.
const TYPES: &str = r#"
alice POST {T} => 201 create things shop/t1 || {"metadata":{"name":"t1"}}
alice POST {T} | Content-Type: application/json => 201 create things shop/t2 || {"metadata":{"name":"t2"}}
alice POST {T} | Content-Type: application/json; charset=utf-8 => 201 create things shop/t3 || {"metadata":{"name":"t3"}}
alice POST {T} | Content-Type: application/json; charset=utf-16 => 400 create things shop/ || \xff\xfe{\x00}\x00
alice POST {T} | Content-Type: APPLICATION/JSON => 201 create things shop/t4 || {"metadata":{"name":"t4"}}
alice POST {T} | Content-Type: application/json | Content-Type: application/yaml => 400 create things shop/ || metadata: {name: t5}
alice POST {T} | Content-Type: application/json, application/yaml => 415 create things shop/ || {"metadata":{"name":"t6"}}
alice POST {T} | Content-Type: text/plain => 415 create things shop/ || {"metadata":{"name":"t7"}}
alice POST {T} | Content-Type: text/json => 415 create things shop/ || {"metadata":{"name":"t8"}}
alice POST {T} | Content-Type: application/x-www-form-urlencoded => 415 create things shop/ || {"metadata":{"name":"t9"}}
alice POST {T} | Content-Type: multipart/form-data; boundary=x => 415 create things shop/ || --x--
alice POST {T} | Content-Type: application/cbor => 415 create things shop/ || \xa1hmetadata\xa1dnamect10
alice POST {T} | Content-Type: application/vnd.kubernetes.protobuf => 415 create things shop/ || k8s\x00\n\x00
alice POST {T} | Content-Type: application/merge-patch+json => 415 create things shop/ || {"metadata":{"name":"t11"}}
alice POST {T} | Content-Type: application/xml => 415 create things shop/ || <thing/>
alice POST {T} | Content-Type: \xff => 415 create things shop/ || {"metadata":{"name":"t12"}}
alice POST {T} | Content-Type: => 201 create things shop/t13 || {"metadata":{"name":"t13"}}
alice POST {T} | Content-Type: ; => 201 create things shop/t14 || {"metadata":{"name":"t14"}}
alice POST {T} | Content-Encoding: gzip => 400 create things shop/ || \x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03
alice POST {T} | Content-Encoding: identity => 201 create things shop/t15 || {"metadata":{"name":"t15"}}
alice POST {T} | Content-Type: application/yaml => 201 create things shop/y1 || metadata: {name: y1}
alice POST {T} | Content-Type: application/yaml => 201 create things shop/y2 || metadata: {name: y2a, name: y2}
alice POST {T}?fieldValidation=Strict | Content-Type: application/yaml => 400 create things shop/y2b || metadata: {name: y2a, name: y2b}
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || metadata: {name: y3}\n---\nmetadata: {name: y3a}
alice POST {T} | Content-Type: application/yaml => 201 create things shop/y4 || a: &a {name: y4}\nmetadata: *a
alice POST {T} | Content-Type: application/yaml => 422 create things shop/ || metadata: {<<: {name: y5}}
alice POST {T} | Content-Type: application/yaml => 201 create things shop/y6 || metadata: {name: !!str y6}
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || metadata: {name: !!binary eTc=}
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || !!js/function x
alice POST {T} | Content-Type: application/yaml => 201 create things shop/yes || metadata: {name: yes}
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || metadata: {name: 1}
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || metadata: {name: 0o17}
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || metadata:\n\x09name: y8
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || \xff\xfem\x00
alice POST {T} | Content-Type: application/yaml => 201 create things shop/y9 || %YAML 1.1\n---\nmetadata: {name: y9}
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || ? {a: b}\n: c
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || [[[[[[[[[[
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || a: *unknown
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || &a [*a]
alice POST {T} | Content-Type: application/yaml => 201 create things shop/y10 || {"metadata":{"name":"y10"}}
alice POST {T} | Content-Type: application/yaml => 400 create things shop/ || 
alice POST {T} | Content-Type: text/yaml => 415 create things shop/ || metadata: {name: y11}
"#;

/// Updates and deletes of the existing thing `secretb` and note `n`.
const CHANGES: &str = r#"
alice POST /apis/test.io/v1/notes => 201 create notes /n || {"metadata":{"name":"n"},"spec":{"color":"red"}}
alice POST /apis/test.io/v1/namespaces/shop/notes => 404 create notes shop/ || {"metadata":{"name":"n2"}}
alice POST /apis/test.io/v1/namespaces/shop/keys => 201 create keys shop/k || {"metadata":{"name":"k"},"spec":{"key":"HUSH"}}
alice PUT {T}/secretb => 400 update things shop/secretb || {"metadata":{"name":"allowed"}}
alice PUT {T}/secretb => 400 update things shop/secretb || {"metadata":{"name":"secretb","namespace":"other"}}
alice PUT {T}/secretb => 422 update things shop/secretb || {"metadata":{"name":"secretb","uid":"other"}}
alice PUT {T}/secretb => 409 update things shop/secretb || {"metadata":{"name":"secretb","resourceVersion":"1"}}
alice PUT {T}/secretb => 422 update things shop/secretb || {"metadata":{"name":"secretb"}}
alice PUT {T}/nothing => 404 update things shop/nothing || {"metadata":{"name":"nothing"}}
alice PUT {T}/secretb => 400 update things shop/secretb || 
alice PUT {T}/secretb => 400 update things shop/secretb || null
alice PATCH {T}/secretb | Content-Type: application/merge-patch+json => 405 patch things shop/secretb || {}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 200 patch notes /n || {"spec":{"color":"blue"}}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 400 patch notes /n || {"metadata":{"name":"other"}}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 400 patch notes /n || {"metadata":{"namespace":"shop"}}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 422 patch notes /n || {"metadata":{"uid":"other"}}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 400 patch notes /n || {"metadata":null}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 400 patch notes /n || {"kind":"Thing"}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 200 patch notes /n || {"status":{"x":1}}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 400 patch notes /n || null
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 400 patch notes /n || []
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/merge-patch+json => 200 patch notes /n || {"spec":{"color":"a"},"spec":{"color":"b"}}
alice PATCH /apis/test.io/v1/notes/n/status | Content-Type: application/merge-patch+json => 200 patch notes/status /n || {"status":{"x":1},"spec":{"color":"green"}}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/json-patch+json => 400 patch notes /n || [{"op":"replace","path":"/metadata/name","value":"other"}]
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/json-patch+json => 400 patch notes /n || [{"op":"remove","path":"/metadata"}]
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/json-patch+json => 200 patch notes /n || [{"op":"add","path":"","value":{"metadata":{"name":"n"}}}]
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/json-patch+json => 422 patch notes /n || [{"op":"test","path":"/spec/color","value":"none"}]
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/json-patch+json => 422 patch notes /n || [{"op":"copy","from":"/spec","path":"/spec/a"}]
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/json-patch+json => 422 patch notes /n || [{"op":"add","path":"/spec/~2","value":1}]
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/json-patch+json => 422 patch notes /n || [{"op":"nonsense","path":"/spec"}]
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/json-patch+json => 400 patch notes /n || {"op":"remove","path":"/spec"}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/json => 415 patch notes /n || {}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/strategic-merge-patch+json => 415 patch notes /n || {}
alice PATCH /apis/test.io/v1/notes/n | Content-Type: application/apply-patch+yaml => 415 patch notes /n || {}
alice PATCH /apis/test.io/v1/notes/n?force=true | Content-Type: application/merge-patch+json => 422 patch notes /n || {}
alice PATCH /apis/test.io/v1/notes/none | Content-Type: application/merge-patch+json => 404 patch notes /none || {}
alice PATCH /apis/test.io/v1/namespaces/shop/keys/k | Content-Type: application/merge-patch+json => 200 patch keys shop/k || {"spec":{"key":"HUSH"}}
alice DELETE {T}/secretb => 409 delete things shop/secretb || {"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"other"}}
alice DELETE {T}/secretb => 409 delete things shop/secretb || {"preconditions":{"resourceVersion":"1"}}
alice DELETE {T}/secretb => 200 delete things shop/secretb || {"dryRun":["All"]}
alice DELETE {T}/secretb => 200 delete things shop/secretb || {"dryRun":["All","All"]}
alice DELETE {T}/secretb => 422 delete things shop/secretb || {"dryRun":["None"]}
alice DELETE {T}/secretb => 400 delete things shop/secretb || {"dryRun":"All"}
alice DELETE {T}/secretb?dryRun=All => 400 delete things shop/secretb || {"dryRun":[]}
alice DELETE {T}/secretb => 400 delete things shop/secretb || {"kind":"Secret"}
alice DELETE {T}/secretb => 422 delete things shop/secretb || {"propagationPolicy":"Nonsense"}
alice DELETE {T}/secretb => 422 delete things shop/secretb || {"orphanDependents":true,"propagationPolicy":"Orphan"}
alice DELETE {T}/secretb => 200 delete things shop/secretb || {"gracePeriodSeconds":-1}
alice DELETE {T}/secretb => 400 delete things shop/secretb || nonsense
alice DELETE {T}/secretb | Content-Type: text/plain => 415 delete things shop/secretb || {}
alice DELETE {T}/secretb | Content-Type: application/vnd.kubernetes.protobuf => 400 delete things shop/secretb || k8s\x00\xff
alice DELETE {T} => 405 deletecollection things shop/ || {"dryRun":["All"]}
limited DELETE {T}/allowed => 403 delete things shop/allowed || {}
limited PUT {T}/allowed => 403 update things shop/allowed || {"metadata":{"name":"allowed"}}
limited POST {T} => 403 create things shop/ || {"metadata":{"name":"allowed"}}
mallory POST {T} => 403 create things shop/ || {"metadata":{"name":"m"}}
mallory POST {T} => 403 create things shop/ || nonsense
anonymous POST {T} => 401 create things shop/ || {"metadata":{"name":"m"}}
alice DELETE {T}/secretb => 404 delete things shop/secretb || {"kind":"DeleteOptions","apiVersion":"v1","kind":"DeleteOptions"}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_event_names_the_object_that_a_body_creates() {
    let mut target = Target::open().await;
    let creates: Vec<String> =
        CREATES.lines().filter(|line| !line.is_empty()).map(create).collect();
    target.bodies(&creates.join("\n")).await;
    target.bodies(TYPES).await;
    check_objects(&mut target).await;
    target.close().await;
}

/// The full line of a create.
fn create(short: &str) -> String {
    let word = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
    let (suffix, rest) = short.split_once(" => ").unwrap();
    let (record, body) = rest.split_once(" || ").unwrap();
    let (code, name) = record.split_once(' ').unwrap();
    let (suffix, name) = (word(suffix), word(name));
    format!(
        "alice POST {{T}}{suffix} | Content-Type: application/json => {code} create things shop/{name} || {body}"
    )
}

/// Checks that every object has exactly one create event, and every successful create event has an
/// object.
async fn check_objects(target: &mut Target) {
    let mut alice = target.server.client("alice").await;
    let list = alice.call("GET", super::THINGS).await.body;
    let list: Value = serde_json::from_str(&list).unwrap();
    let items = list["items"].as_array().unwrap();
    let mut existing: BTreeSet<&str> =
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect();
    existing.retain(|name| !["allowed", "secretb"].contains(name));
    let events = target.events().await;
    let creates = events.iter().filter(|event| {
        let code = event.response_status.as_ref().map_or(0, |status| status.code);
        event.verb == "create" && code == 201 && !event.request_uri.contains("dryRun=All")
    });
    let named: Vec<&str> =
        creates.map(|event| event.object_ref.as_ref().unwrap().name.as_str()).collect();
    let recorded: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(existing, recorded);
    assert_eq!(named.len(), recorded.len(), "each is recorded once: {named:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_changes_and_deletions_are_recorded_as_such() {
    let mut target = Target::open().await;
    target.bodies(CHANGES).await;
    for event in target.events().await {
        let record = event::record::write(&event);
        assert!(!String::from_utf8_lossy(&record).contains("HUSH"), "{event:?}");
    }
    target.close().await;
}

/// Deep, wide and long documents are rejected with every content type, and audited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_wide_and_long_documents_are_rejected_and_recorded() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(5000), close.repeat(5000));
    let member = |value: &str| format!(r#"{{"metadata":{{"name":"d"}},"spec":{value}}}"#);
    let (json, yaml) = ("application/json", "application/yaml");
    let (merge, patch) = ("application/merge-patch+json", "application/json-patch+json");
    let mut target = Target::open().await;
    for (line, content_type, body) in [
        ("POST {T} => 400 create things shop/", json, member(&deep("[", "]"))),
        (
            "POST {T} => 400 create things shop/",
            json,
            member(&deep("{\"a\":", "}").replacen('}', "1}", 1)),
        ),
        ("POST {T} => 400 create things shop/", yaml, member(&deep("[", "]"))),
        (
            "POST {T} => 400 create things shop/",
            yaml,
            format!("metadata: {{name: d}}\nspec: {}", deep("{a: ", "}")),
        ),
        (
            "POST {T} => 413 create things shop/",
            json,
            member(&format!("\"{}\"", "x".repeat(3 << 20))),
        ),
        ("POST {T} => 400 create things shop/", json, member(&"9".repeat(1 << 20))),
        (
            "POST {T} => 400 create things shop/",
            yaml,
            format!("metadata: {{name: {}}}", "x".repeat(300_000)),
        ),
        (
            "POST {T} => 422 create things shop/long",
            json,
            format!(r#"{{"metadata":{{"name":"{}"}}}}"#, "x".repeat(100_000)),
        ),
        (
            "PATCH /apis/test.io/v1/notes/n => 400 patch notes /n",
            merge,
            deep("{\"a\":", "}").replacen('}', "1}", 1),
        ),
        ("PATCH /apis/test.io/v1/notes/n => 400 patch notes /n", patch, deep("[", "]")),
        (
            "DELETE {T}/secretb => 400 delete things shop/secretb",
            json,
            format!(r#"{{"junk":{}}}"#, deep("[", "]")),
        ),
        ("PUT {T}/secretb => 400 update things shop/secretb", json, deep("[", "]")),
    ] {
        let line = line.replacen(" => ", &format!(" | Content-Type: {content_type} => "), 1);
        let case = target.case(&format!("alice {line}"), body.as_bytes());
        target.send(vec![case]).await;
    }
    target.close().await;
}
