//! JSON patches (RFC 6902), JSON merge patches (RFC 7396) and strategic merge patches, with limits.
//!
//! Server-side apply is rejected with 415. So is a strategic merge patch, except for kinds of the
//! core group: custom resources reject it too, and clients then fall back to a merge patch, but not
//! for kinds that are compiled into them.

mod strategic;

use event::Json;
use http::StatusCode;
use json_patch::{AddOperation, PatchOperation, jsonptr::Pointer};
use serde_json::Value;

use crate::ApiError;
use crate::schema::{Path, UNKNOWN_FIELDS_MAX};
use crate::serializer::{Document, Duplicates, cost, decode_json, unsupported_media_type};

/// Maximum number of operations of a JSON patch.
const OPERATIONS_MAX: usize = 10_000;
/// Maximum total size of values that a JSON patch may copy, in bytes of memory.
const COPIED_MAX: usize = 3 << 20;
/// Maximum number of values that a JSON patch may traverse or shift within lists. All writes wait
/// while a patch is applied.
const SHIFTED_MAX: usize = 1_000_000;
/// Maximum nesting depth that a patch may create; the same as for a body.
const DEPTH_MAX: usize = 127;

/// The fields of an operation.
const FIELDS: [&str; 4] = ["op", "path", "from", "value"];

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";

/// A patch, independent of the object that it is applied to.
#[derive(Debug)]
pub enum Patch {
    /// JSON patch: a list of operations.
    Json(Vec<Operation>),
    /// Merge patch: a partial document.
    Merge(Value),
    /// Strategic merge patch: a partial document, with directives.
    Strategic(Value),
}

/// An operation of a JSON patch, or the reason why it cannot be applied to any object.
pub type Operation = Result<PatchOperation, &'static str>;

/// A decoded patch.
#[derive(Debug)]
pub struct DecodedPatch {
    /// The patch.
    pub patch: Patch,
    /// The duplicate keys, and the unknown fields of a JSON patch.
    pub duplicates: Duplicates,
    /// The patch as parsed, if it has duplicate keys. Recorded instead of the body, in which other
    /// parsers might choose another duplicate.
    pub as_parsed: Option<Json>,
}

impl Patch {
    /// Decodes a patch of a media type without parameters, in lower case. `is_core` is true for
    /// resources of the core group.
    pub fn decode(media_type: &str, body: &[u8], is_core: bool) -> Result<DecodedPatch, ApiError> {
        let known = [JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH];
        let known = if is_core { &known[..] } else { &known[..2] };
        if !known.contains(&media_type) {
            return Err(unsupported_media_type(media_type, known));
        }
        let Document { value, duplicates } =
            decode_json(body).map_err(|error| undecodable(&error))?;
        let as_parsed = if duplicates.is_empty() { None } else { Json::serialize(&value).ok() };
        if media_type != JSON_PATCH {
            if !value.is_object() {
                return Err(undecodable("a merge patch is an object"));
            }
            let is_strategic = media_type == STRATEGIC_MERGE_PATCH;
            let patch = if is_strategic { Self::Strategic(value) } else { Self::Merge(value) };
            return Ok(DecodedPatch { patch, duplicates, as_parsed });
        }
        let len = value.as_array().map_or(0, Vec::len);
        if len > OPERATIONS_MAX {
            let message = format!(
                "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len}"
            );
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                message,
            ));
        }
        let Value::Array(items) = value else { return Err(undecodable(OPERATIONS)) };
        let fields = duplicates.warnings().into_iter().chain(unknown_fields(&items));
        let duplicates =
            Duplicates::JsonPatch(fields.map(|field| format!("json patch {field}")).collect());
        let operations = items.into_iter().map(operation).collect::<Result<_, _>>()?;
        Ok(DecodedPatch { patch: Self::Json(operations), duplicates, as_parsed })
    }

    /// Approximate memory of the patch, in bytes.
    pub fn cost(&self) -> usize {
        match self {
            Self::Merge(patch) | Self::Strategic(patch) => cost(patch),
            Self::Json(operations) => operations.iter().flatten().map(cost_of_operation).sum(),
        }
    }

    /// Returns the document with the patch applied.
    pub fn apply(&self, document: &Value) -> Result<Value, ApiError> {
        let mut document = document.clone();
        match self {
            Self::Merge(patch) => json_patch::merge(&mut document, patch),
            Self::Strategic(patch) => strategic::merge(&mut document, patch)?,
            Self::Json(operations) => {
                let (mut copied, mut shifted) = (0, 0);
                for operation in operations {
                    let operation = operation.as_ref().map_err(|why| not_applicable(why))?;
                    check_size(&document, operation, &mut copied, &mut shifted)?;
                    apply_operation(&mut document, operation)?;
                }
            }
        }
        Ok(document)
    }
}

/// Decodes an operation. As in upstream, an object that is not an operation fails only when it is
/// applied.
fn operation(item: Value) -> Result<Operation, ApiError> {
    let is_text =
        |name: &str| item.get(name).is_none_or(|value| value.is_string() || value.is_null());
    let is_decodable = item.is_null() || item.is_object();
    if !is_decodable || !["op", "path", "from"].into_iter().all(is_text) {
        return Err(undecodable(OPERATIONS));
    }
    Ok(serde_json::from_value(item).map_err(|_| OPERATIONS))
}

/// One message for each field that no operation has.
fn unknown_fields(items: &[Value]) -> impl Iterator<Item = String> {
    let fields = items.iter().enumerate().flat_map(|(index, item)| {
        let names = item.as_object().into_iter().flat_map(|fields| fields.keys());
        names.map(move |name| (index, name))
    });
    fields.filter(|(_, name)| !FIELDS.contains(&name.as_str())).take(UNKNOWN_FIELDS_MAX).map(
        |(index, name)| {
            let path = Path::Root.item(index).field(name).to_bounded_string();
            format!("unknown field \"{path}\"")
        },
    )
}

/// Applies an operation. In upstream's library, a key that an object does not have has the value
/// null: it can be replaced, and a test for null succeeds. RFC 6902 has both as errors.
fn apply_operation(document: &mut Value, operation: &PatchOperation) -> Result<(), ApiError> {
    let is_absent = |pointer: &Pointer| {
        let parent = pointer.parent().and_then(|parent| document.pointer(parent.as_str()));
        parent.is_some_and(Value::is_object) && document.pointer(pointer.as_str()).is_none()
    };
    let added;
    let operation = match operation {
        PatchOperation::Test(test) if test.value.is_null() && is_absent(&test.path) => {
            return Ok(());
        }
        PatchOperation::Replace(replace) if is_absent(&replace.path) => {
            let (path, value) = (replace.path.clone(), replace.value.clone());
            added = PatchOperation::Add(AddOperation { path, value });
            &added
        }
        operation => operation,
    };
    json_patch::patch_unsafe(document, std::slice::from_ref(operation))
        .map_err(|error| not_applicable(&error.to_string()))
}

fn cost_of_operation(operation: &PatchOperation) -> usize {
    match operation {
        PatchOperation::Add(add) => cost(&add.value),
        PatchOperation::Replace(replace) => cost(&replace.value),
        PatchOperation::Test(test) => cost(&test.value),
        PatchOperation::Copy(_) | PatchOperation::Move(_) | PatchOperation::Remove(_) => 0,
    }
}

/// Checks that the operation keeps the document within the limits of a body.
fn check_size(
    document: &Value,
    operation: &PatchOperation,
    copied: &mut usize,
    shifted: &mut usize,
) -> Result<(), ApiError> {
    let find = |pointer: &Pointer| document.pointer(pointer.as_str());
    let value = match operation {
        PatchOperation::Add(add) => Some(&add.value),
        PatchOperation::Replace(replace) => Some(&replace.value),
        PatchOperation::Copy(copy) => {
            let value = find(&copy.from);
            *copied += value.map_or(0, cost);
            value
        }
        PatchOperation::Move(shift) => find(&shift.from),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
    };
    if *copied > COPIED_MAX {
        return Err(not_applicable(&format!(
            "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit {COPIED_MAX}"
        )));
    }
    let from = match operation {
        PatchOperation::Move(shift) => Some(&shift.from),
        _ => None,
    };
    let pointers = from.map(AsRef::as_ref).into_iter().chain([operation.path()]);
    *shifted += pointers.map(|pointer| list_len(document, pointer)).sum::<usize>();
    let (deep, values) = value.map_or((0, 0), depth);
    *shifted += values;
    if *shifted > SHIFTED_MAX {
        return Err(not_applicable(&format!(
            "the operations shift {shifted} values of lists, more than {SHIFTED_MAX}"
        )));
    }
    let depth = operation.path().tokens().count() + deep;
    if depth > DEPTH_MAX {
        return Err(not_applicable(&format!("nested deeper than {DEPTH_MAX}")));
    }
    Ok(())
}

/// Length of the list that contains the location; 0 if it is not in a list.
fn list_len(document: &Value, pointer: &Pointer) -> usize {
    let list = pointer.parent().and_then(|list| document.pointer(list.as_str()));
    list.and_then(Value::as_array).map_or(0, Vec::len)
}

/// Nesting depth and number of values of a value.
fn depth(value: &Value) -> (usize, usize) {
    let all = |(deep, values): (usize, usize), value: &Value| {
        let (own_deep, own_values) = depth(value);
        (deep.max(own_deep + 1), values + own_values)
    };
    match value {
        Value::Object(map) => map.values().fold((1, 1), all),
        Value::Array(items) => items.iter().fold((1, 1), all),
        _ => (0, 1),
    }
}

/// Error message for an invalid JSON patch. Replaces serde's message, which quotes the input: it
/// may be a secret, and the message is recorded.
const OPERATIONS: &str = "a JSON patch is a list of operations with \"op\" (add, remove, replace, move, copy or test), \"path\", and \"value\" or \"from\" (RFC 6902)";

fn undecodable(why: &str) -> ApiError {
    ApiError::bad_request(format!("error decoding patch: {why}"))
}

/// Error of a patch that cannot be applied to its object.
fn not_applicable(why: &str) -> ApiError {
    let rejected = "the server rejected our request due to an error in our request";
    let code = StatusCode::UNPROCESSABLE_ENTITY;
    ApiError::new(code, "Invalid", format!("{rejected}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decode(media_type: &str, body: &str) -> Result<Patch, ApiError> {
        Patch::decode(media_type, body.as_bytes(), true).map(|decoded| decoded.patch)
    }

    #[track_caller]
    fn check_error(media_type: &str, body: &str, code: u16, message: &str) {
        let before = json!({"a": {"b": 1}, "l": [1]});
        let error = decode(media_type, body).and_then(|patch| patch.apply(&before)).unwrap_err();
        assert_eq!(error.status.code, code, "{}", error.status.message);
        assert!(error.status.message.starts_with(message), "{}", error.status.message);
    }

    const JSON: &str = "application/json-patch+json";
    const MERGE: &str = "application/merge-patch+json";

    #[test]
    fn patches_are_applied() {
        let before = json!({"a": {"b": 1}, "l": [1]});
        let apply = |media_type, body| decode(media_type, body).unwrap().apply(&before).unwrap();
        let body = r#"[{"op":"test","path":"/a/b","value":1},{"op":"replace","path":"/a/b","value":2},{"op":"add","path":"/l/-","value":3}]"#;
        assert_eq!(apply(JSON, body), json!({"a": {"b": 2}, "l": [1, 3]}));
        let body = r#"[{"op":"replace","path":"/a/c","value":2},{"op":"test","path":"/a/d","value":null}]"#;
        assert_eq!(apply(JSON, body), json!({"a": {"b": 1, "c": 2}, "l": [1]}));
        let body = r#"{"a":{"b":null,"c":1}}"#;
        assert_eq!(apply(MERGE, body), json!({"a": {"c": 1}, "l": [1]}));
        assert_eq!(apply(STRATEGIC_MERGE_PATCH, body), json!({"a": {"c": 1}, "l": [1]}));
        let body = r#"{"a":{"$patch":"replace","d":1},"l":[2]}"#;
        assert_eq!(apply(STRATEGIC_MERGE_PATCH, body), json!({"a": {"d": 1}, "l": [2]}));
    }

    /// Regression: unknown and duplicate fields of an operation were silently ignored.
    #[test]
    fn unknown_and_duplicate_fields_of_an_operation_are_reported_with_their_position() {
        let body = r#"[{"op":"test","path":"/a","value":{"x":1,"x":2}},
            {"op":"add","op":"add","foo":1,"path":"/a","value":{"bar":1}}]"#;
        let decoded = Patch::decode(JSON, body.as_bytes(), false).unwrap();
        let expected = [
            r#"json patch duplicate field "[0].value.x""#,
            r#"json patch duplicate field "[1].op""#,
            r#"json patch unknown field "[1].foo""#,
        ];
        assert_eq!(decoded.duplicates.warnings(), expected);
        assert_eq!(decoded.duplicates.strict_errors(), expected);
        let unknown: Vec<String> = (0..200).map(|number| format!("\"f{number}\":1")).collect();
        let body = format!(r#"[{{"op":"remove","path":"/a",{}}}]"#, unknown.join(","));
        let decoded = Patch::decode(JSON, body.as_bytes(), false).unwrap();
        assert_eq!(decoded.duplicates.warnings().len(), UNKNOWN_FIELDS_MAX);
    }

    /// Regression test: ten thousand small operations at the start of a long list delayed all
    /// writes for seconds.
    #[test]
    fn a_patch_that_shifts_too_much_is_rejected() {
        let before = json!({"list": vec![0; 100_000], "tree": {"a": vec![0; 100_000]}});
        for operation in [
            r#"{"op":"add","path":"/list/0","value":0}"#,
            r#"{"op":"remove","path":"/list/0"}"#,
            r#"{"op":"move","from":"/list/0","path":"/list/9"}"#,
            r#"{"op":"move","from":"/tree","path":"/tree"}"#,
        ] {
            let body = format!("[{}]", [operation; 1000].join(","));
            let error = decode(JSON, &body).unwrap().apply(&before).unwrap_err();
            assert_eq!(error.status.code, 422, "{operation}");
            assert!(error.status.message.contains("shift"), "{}", error.status.message);
            let few = format!("[{}]", [operation; 4].join(","));
            assert!(decode(JSON, &few).unwrap().apply(&before).is_ok(), "{operation}");
        }
    }

    #[test]
    fn invalid_patches_are_rejected() {
        let unknown = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json";
        check_error("application/apply-patch+yaml", "{}", 415, unknown);
        let of_resource = Patch::decode(STRATEGIC_MERGE_PATCH, b"{}", false).unwrap_err();
        assert_eq!(of_resource.status.code, 415);
        check_error(STRATEGIC_MERGE_PATCH, "[]", 400, "error decoding patch");
        check_error(STRATEGIC_MERGE_PATCH, r#"{"a":{"$patch":"x"}}"#, 422, "unknown patch type");
        check_error(MERGE, "{", 400, "error decoding patch");
        check_error(MERGE, "[]", 400, "error decoding patch");
        check_error(JSON, "{}", 400, "error decoding patch");
        check_error(JSON, "[1]", 400, "error decoding patch");
        check_error(JSON, r#"[{"op":1,"path":"/a"}]"#, 400, "error decoding patch");
        let rejected = "the server rejected our request due to an error in our request";
        check_error(JSON, "[null]", 422, rejected);
        check_error(JSON, r#"[{"op":"jump","path":"/a"}]"#, 422, rejected);
        check_error(JSON, r#"[{"op":"add","path":"x","value":1}]"#, 422, rejected);
        check_error(JSON, r#"[{"op":"replace","path":"/l/1","value":1}]"#, 422, rejected);
        check_error(JSON, r#"[{"op":"replace","path":"/x/y","value":1}]"#, 422, rejected);
        check_error(JSON, r#"[{"op":"test","path":"/a/b","value":null}]"#, 422, rejected);
        check_error(JSON, r#"[{"op":"remove","path":"/x"}]"#, 422, rejected);
        check_error(JSON, r#"[{"op":"test","path":"/a/b","value":2}]"#, 422, rejected);
        let many = vec![r#"{"op":"test","path":"/a/b","value":1}"#; 10_001].join(",");
        check_error(JSON, &format!("[{many}]"), 413, "The allowed maximum operations");
        let deeper = [r#"{"op":"copy","from":"/a","path":"/a/c"}"#; 130].join(",");
        check_error(JSON, &format!("[{deeper}]"), 422, rejected);
        let long = "x".repeat(1 << 20);
        let body = format!(
            r#"[{{"op":"add","path":"/x","value":"{long}"}},{{"op":"copy","from":"/x","path":"/y"}},{{"op":"copy","from":"/x","path":"/z"}},{{"op":"copy","from":"/x","path":"/w"}}]"#
        );
        check_error(JSON, &body, 422, rejected);
    }
}
