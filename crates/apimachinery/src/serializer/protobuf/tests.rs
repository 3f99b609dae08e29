//! Tests of decoding, with messages as Go encodes them.

use serde_json::json;

use super::*;
use crate::protobuf::{put_bytes, put_number};

type Parts<'a> = &'a [(u64, Part<'a>)];

/// A part of a message.
#[derive(Clone, Copy)]
enum Part<'a> {
    Number(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Parts(Parts<'a>),
}

use Part::{Bytes, Number, Parts as Inner, Text};

fn encoded(parts: Parts<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, part) in parts {
        match part {
            Number(value) => put_number(&mut out, *number, value.cast_unsigned()),
            Text(text) => put_bytes(&mut out, *number, text.as_bytes()),
            Bytes(bytes) => put_bytes(&mut out, *number, bytes),
            Inner(parts) => put_bytes(&mut out, *number, &encoded(parts)),
        }
    }
    out
}

fn body(api_version: &str, kind: &str, parts: Parts<'_>) -> Vec<u8> {
    let type_meta = encoded(&[(1, Text(api_version)), (2, Text(kind))]);
    let envelope = encoded(&[
        (1, Bytes(&type_meta)),
        (2, Bytes(&encoded(parts))),
        (3, Text("")),
        (4, Text("")),
    ]);
    [MAGIC, &envelope].concat()
}

fn read_as(api_version: &str, kind: &str, body: &[u8]) -> Result<Value, String> {
    decode(body, kind, message(api_version, kind).unwrap())
}

#[track_caller]
fn check(kind: &str, parts: Parts<'_>, mut expected: Value) {
    let body = body("v1", kind, parts);
    expected["apiVersion"] = "v1".into();
    expected["kind"] = kind.into();
    assert_eq!(read_as("v1", kind, &body), Ok(expected));
    for cut in 0..body.len() {
        // A truncated body must at most return an error.
        drop(read_as("v1", kind, &body[..cut]));
    }
}

const TIME: Part<'_> = Inner(&[(1, Number(1_700_000_000)), (2, Number(123_456_789))]);

/// Regression: the decoder dropped `resourceVersion`, so an update failed with `resourceVersion:
/// must be specified`.
#[test]
fn object_meta_is_decoded_completely() {
    let pair = Inner(&[(1, Text("team")), (2, Text("shop"))]);
    let owner = Inner(&[
        (5, Text("apps/v1")),
        (1, Text("Deployment")),
        (3, Text("web")),
        (4, Text("u-2")),
        (6, Number(1)),
        (7, Number(0)),
    ]);
    let manager = Inner(&[
        (1, Text("helm")),
        (2, Text("Update")),
        (3, Text("v1")),
        (4, TIME),
        (6, Text("FieldsV1")),
        (7, Inner(&[(1, Text(r#"{"f:data":{}}"#))])),
        (8, Text("status")),
    ]);
    let metadata = Inner(&[
        (1, Text("keys")),
        (2, Text("keys-")),
        (3, Text("shop")),
        (4, Text("")),
        (5, Text("u-1")),
        (6, Text("77")),
        (7, Number(3)),
        (8, TIME),
        (9, TIME),
        (10, Number(0)),
        (11, pair),
        (12, pair),
        (13, owner),
        (14, Text("example.com/one")),
        (14, Text("example.com/two")),
        (17, manager),
        (99, Text("of a later release")),
    ]);
    let time = "2023-11-14T22:13:20Z";
    let expected = json!({
        "name": "keys", "generateName": "keys-", "namespace": "shop", "uid": "u-1",
        "resourceVersion": "77", "generation": 3, "creationTimestamp": time,
        "deletionTimestamp": time, "deletionGracePeriodSeconds": 0,
        "labels": {"team": "shop"}, "annotations": {"team": "shop"},
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-2",
            "controller": true, "blockOwnerDeletion": false,
        }],
        "finalizers": ["example.com/one", "example.com/two"],
        "managedFields": [{
            "manager": "helm", "operation": "Update", "apiVersion": "v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}, "subresource": "status",
        }],
    });
    for kind in ["Secret", "Namespace", "Event"] {
        check(kind, &[(1, metadata)], json!({"metadata": expected}));
    }
    // Go encodes an unset time as an empty message.
    let unset = Inner(&[(1, Text("keys")), (7, Number(0)), (8, Inner(&[]))]);
    check("Secret", &[(1, unset)], json!({"metadata": {"name": "keys"}}));
}

#[test]
fn each_kind_is_decoded_with_its_fields() {
    let name = (1, Inner(&[(1, Text("it"))]));
    let metadata = json!({"name": "it"});
    check(
        "Secret",
        &[
            name,
            (2, Inner(&[(1, Text("id")), (2, Bytes(b"\xff\x00"))])),
            (3, Text("secrets.kanister.io/aws")),
            (4, Inner(&[(1, Text("plain")), (2, Text("text"))])),
            (5, Number(0)),
        ],
        json!({
            "metadata": metadata, "data": {"id": "/wA="}, "stringData": {"plain": "text"},
            "type": "secrets.kanister.io/aws", "immutable": false,
        }),
    );
    let condition = Inner(&[(1, Text("Deleted")), (2, Text("True")), (4, TIME)]);
    check(
        "Namespace",
        &[
            name,
            (2, Inner(&[(1, Text("kubernetes"))])),
            (3, Inner(&[(1, Text("Active")), (2, condition)])),
        ],
        json!({
            "metadata": metadata, "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active", "conditions": [
                {"type": "Deleted", "status": "True", "lastTransitionTime": "2023-11-14T22:13:20Z"},
            ]},
        }),
    );
    check(
        "Event",
        &[
            name,
            (2, Inner(&[(1, Text("RunAction")), (3, Text("run"))])),
            (3, Text("Done")),
            (5, Inner(&[])),
            (6, TIME),
            (8, Number(2)),
            (10, TIME),
            (11, Inner(&[(1, Number(5)), (2, TIME)])),
        ],
        json!({
            "metadata": metadata, "involvedObject": {"kind": "RunAction", "name": "run"},
            "reason": "Done", "firstTimestamp": "2023-11-14T22:13:20Z", "count": 2,
            "eventTime": "2023-11-14T22:13:20.123456Z",
            "series": {"count": 5, "lastObservedTime": "2023-11-14T22:13:20.123456Z"},
        }),
    );
}

#[test]
fn delete_options_contain_exactly_the_set_fields() {
    check("DeleteOptions", &[], json!({}));
    let preconditions = Inner(&[(1, Text("u-1")), (2, Text("77"))]);
    check(
        "DeleteOptions",
        &[
            (1, Number(0)),
            (2, preconditions),
            (3, Number(0)),
            (4, Text("Foreground")),
            (5, Text("All")),
            (6, Number(1)),
        ],
        json!({
            "gracePeriodSeconds": 0, "preconditions": {"uid": "u-1", "resourceVersion": "77"},
            "orphanDependents": false, "propagationPolicy": "Foreground", "dryRun": ["All"],
            "ignoreStoreReadErrorWithClusterBreakingPotential": true,
        }),
    );
    let of_a_group = body("apps/v1", "DeleteOptions", &[(4, Text("Orphan"))]);
    let expected =
        json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"});
    assert_eq!(read_as("example.com/v1", "DeleteOptions", &of_a_group), Ok(expected));
}

#[test]
fn an_object_of_another_kind_is_an_error_that_names_it() {
    let namespace = body("v1", "Namespace", &[(1, Inner(&[(1, Text("blue"))]))]);
    let expected = json!({"apiVersion": "v1", "kind": "Namespace"});
    assert_eq!(read_as("v1", "Secret", &namespace), Ok(expected));
    // A body without a kind is decoded as the expected kind.
    let bare = [MAGIC, &encoded(&[(2, Inner(&[(1, Inner(&[(1, Text("blue"))]))]))])].concat();
    assert_eq!(read_as("v1", "Secret", &bare), Ok(json!({"metadata": {"name": "blue"}})));
}

#[test]
fn nonsense_is_malformed() {
    for nonsense in [&b""[..], b"k8s", b"k8s\0\xff", b"k8s\0\x0a\xff\xff\xff\xff\x0f", b"{}"] {
        assert!(read_as("v1", "Secret", nonsense).is_err(), "{nonsense:?}");
    }
    let invalid: [Parts<'_>; 5] = [
        &[(1, Number(1))],
        &[(1, Inner(&[(1, Bytes(b"\xff"))]))],
        &[(1, Inner(&[(7, Text("three"))]))],
        &[(1, Inner(&[(8, Inner(&[(1, Number(i64::MAX))]))]))],
        &[(1, Inner(&[(17, Inner(&[(7, Inner(&[(1, Text("{"))]))]))]))],
    ];
    for parts in invalid {
        assert!(read_as("v1", "Secret", &body("v1", "Secret", parts)).is_err());
    }
    assert!(message("v1", "Pod").is_none() && message("example.com/v1", "Secret").is_none());
}

/// Many short documents in one body would take as much memory as one long document.
#[test]
fn all_documents_in_a_body_share_one_budget() {
    let numbers = format!("[{}0]", "0,".repeat(100_000));
    let entry = encoded(&[(7, Bytes(&encoded(&[(1, Text(&numbers))])))]);
    let entries = |count: usize| {
        let metadata: Vec<(u64, Part<'_>)> = vec![(17, Bytes(&entry)); count];
        let metadata = encoded(&metadata);
        read_as("v1", "Secret", &body("v1", "Secret", &[(1, Bytes(&metadata))]))
    };
    assert!(entries(1).is_ok());
    assert!(entries(5).is_err());
}
