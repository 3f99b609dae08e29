//! Redacts bodies that may contain keys: only fields known to contain none are recorded.
//!
//! A value does not show whether it is a key, so the filter is an allow list: the fields that
//! identify the object, and the fields that the kind lists. They are copied byte for byte. The
//! names of removed fields are reported if they are plain words; other names may be secrets.

use bytes::Bytes;
use event::Json;
use serde_json::value::RawValue;

use crate::bodies::Members;

/// Fields that identify an object or a page of a list. They are recorded for every kind.
const IDENTIFYING_FIELDS: [&str; 11] = [
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.generateName",
    "metadata.namespace",
    "metadata.uid",
    "metadata.resourceVersion",
    "metadata.generation",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.remainingItemCount",
];
/// The kind of the options of a deletion, as JSON.
const DELETE_OPTIONS_KIND: &str = "\"DeleteOptions\"";
/// Further fields that are recorded of `DeleteOptions`.
const DELETE_OPTIONS: [&str; 7] = [
    "dryRun.*",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
    "preconditions.uid",
    "preconditions.resourceVersion",
];
/// Maximum number of removed fields that are reported.
const REMOVED_FIELDS_MAX: usize = 8;
/// Maximum length of a reported field name, in bytes.
const NAME_LEN_MAX: usize = 40;

/// A redacted body.
#[derive(Debug, Default)]
pub(crate) struct Redacted {
    /// The recorded part; `None` if the body is neither an object nor a JSON patch.
    pub(crate) body: Option<Json>,
    /// Names of the removed fields, separated by commas; empty if nothing was removed.
    pub(crate) removed: String,
}

/// Returns the body with only the fields in `fields` and those that identify the object. A path
/// that ends in `.*` means all scalars one level below. The body of a deletion without a kind is
/// treated as `DeleteOptions`: many clients, such as kubectl, send it without one.
pub(crate) fn redact(body: &Json, fields: &[&str], is_deletion: bool) -> Redacted {
    let mut filter = Filter {
        fields: IDENTIFYING_FIELDS.iter().chain(fields).copied().collect(),
        default_kind: if is_deletion { DELETE_OPTIONS_KIND } else { "" },
        removed: Vec::new(),
    };
    let text = str::from_utf8(body.as_bytes()).unwrap_or_default();
    let mut out = Vec::new();
    let written = match text.trim_start().as_bytes().first() {
        Some(b'[') => filter.patch(text, &mut out),
        _ => filter.document(text, &mut out),
    };
    let body = written.and_then(|()| Json::parse(Bytes::from(out)).ok());
    if body.is_none() {
        filter.removed = vec!["*".to_owned()];
    }
    Redacted { body, removed: removed_fields(filter.removed) }
}

/// The names of removed fields, sorted and without duplicates, as one text.
fn removed_fields(mut removed: Vec<String>) -> String {
    removed.sort();
    removed.dedup();
    if removed.len() > REMOVED_FIELDS_MAX {
        removed.truncate(REMOVED_FIELDS_MAX);
        removed.push("...".to_owned());
    }
    removed.join(", ")
}

struct Filter<'f> {
    fields: Vec<&'f str>,
    /// The kind of a document without a kind, as JSON.
    default_kind: &'static str,
    removed: Vec<String>,
}

impl Filter<'_> {
    /// Filters an object, a list of objects or a table.
    fn document(&mut self, text: &str, out: &mut Vec<u8>) -> Option<()> {
        let members: Members<'_> = serde_json::from_str(text).ok()?;
        let kind = members.0.iter().find(|(key, _)| key == "kind");
        let kind = kind.map(|(_, value)| value.get()).filter(|kind| *kind != "\"\"");
        if kind.unwrap_or(self.default_kind) == DELETE_OPTIONS_KIND {
            self.fields.extend(DELETE_OPTIONS);
        }
        let mut object = ObjectWriter::begin(out);
        for (key, value) in &members.0 {
            let items = matches!(key.as_str(), "items" | "rows").then(|| list(value)).flatten();
            match items {
                Some(items) => object.member(key, |out| self.items(&items, key == "rows", out))?,
                None => self.member("", key, value, &mut object)?,
            }
        }
        object.end();
        Some(())
    }

    fn items(&mut self, items: &[&RawValue], are_rows: bool, out: &mut Vec<u8>) -> Option<()> {
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let members: Members<'_> = serde_json::from_str(item.get()).unwrap_or_default();
            if are_rows {
                // The cells are the columns of the kind, which contain no keys.
                let mut row = ObjectWriter::begin(out);
                for (key, value) in &members.0 {
                    let object = serde_json::from_str(value.get()).unwrap_or_default();
                    match key.as_str() {
                        "cells" => row.raw(key, value)?,
                        "object" => row.member(key, |out| self.object("", &object, out))?,
                        _ => {}
                    }
                }
                row.end();
            } else {
                self.object("", &members, out)?;
            }
        }
        out.push(b']');
        Some(())
    }

    fn object(&mut self, path: &str, members: &Members<'_>, out: &mut Vec<u8>) -> Option<()> {
        let mut object = ObjectWriter::begin(out);
        for (key, value) in &members.0 {
            self.member(path, key, value, &mut object)?;
        }
        object.end();
        Some(())
    }

    fn member(
        &mut self,
        path: &str,
        key: &str,
        value: &RawValue,
        object: &mut ObjectWriter<'_>,
    ) -> Option<()> {
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if self.is_recorded_in_full(&path, value) {
            return object.raw(key, value);
        }
        match serde_json::from_str::<Members<'_>>(value.get()) {
            Ok(members) if self.is_section(&path) => {
                object.member(key, |out| self.object(&path, &members, out))
            }
            _ => {
                self.removed.push(plain(&path));
                Some(())
            }
        }
    }

    /// Filters a JSON patch: an operation keeps the parts that concern recorded fields.
    fn patch(&mut self, text: &str, out: &mut Vec<u8>) -> Option<()> {
        let operations: Vec<Members<'_>> = serde_json::from_str(text).ok()?;
        out.push(b'[');
        for (index, operation) in operations.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let pointer = |name: &str| {
                let member = operation.0.iter().find(|(key, _)| key == name)?;
                let pointer: String = serde_json::from_str(member.1.get()).ok()?;
                Some(pointer.strip_prefix('/')?.replace('/', "."))
            };
            let path = pointer("path").unwrap_or_else(|| "*".to_owned());
            let mut object = ObjectWriter::begin(out);
            for (key, value) in &operation.0 {
                match key.as_str() {
                    "op" if is_operation(value) => object.raw(key, value)?,
                    "path" | "from" if pointer(key).is_some_and(|path| self.is_known(&path)) => {
                        object.raw(key, value)?;
                    }
                    "value" => self.value(&path, value, &mut object)?,
                    _ => self.removed.push(plain(&path)),
                }
            }
            object.end();
        }
        out.push(b']');
        Some(())
    }

    fn value(&mut self, path: &str, value: &RawValue, object: &mut ObjectWriter<'_>) -> Option<()> {
        if self.is_recorded_in_full(path, value) {
            return object.raw("value", value);
        }
        match serde_json::from_str::<Members<'_>>(value.get()) {
            Ok(members) if self.is_section(path) => {
                object.member("value", |out| self.object(path, &members, out))
            }
            _ => {
                self.removed.push(plain(path));
                Some(())
            }
        }
    }

    fn is_recorded_in_full(&self, path: &str, value: &RawValue) -> bool {
        let is_listed = |field: &&str| match field.strip_suffix(".*") {
            Some(parent) if path == parent => is_list_of_scalars(value),
            Some(parent) => {
                let below = path.strip_prefix(parent).and_then(|rest| rest.strip_prefix('.'));
                below.is_some() && is_scalar(value)
            }
            None => path == *field && is_scalar(value),
        };
        // A null removes a section, and contains no data.
        self.fields.iter().any(is_listed) || (value.get() == "null" && self.is_section(path))
    }

    /// Whether a recorded field is below this path.
    fn is_section(&self, path: &str) -> bool {
        self.fields
            .iter()
            .any(|field| field.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
    }

    fn is_known(&self, path: &str) -> bool {
        let is_below = |field: &&str| {
            let parent = field.strip_suffix('*');
            parent.is_some_and(|parent| path.starts_with(parent))
        };
        self.is_section(path) || self.fields.contains(&path) || self.fields.iter().any(is_below)
    }
}

fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

fn is_operation(value: &RawValue) -> bool {
    let operation: Result<String, _> = serde_json::from_str(value.get());
    operation.is_ok_and(|operation| {
        ["add", "remove", "replace", "move", "copy", "test"].contains(&operation.as_str())
    })
}

fn is_scalar(value: &RawValue) -> bool {
    !value.get().starts_with(['{', '['])
}

fn is_list_of_scalars(value: &RawValue) -> bool {
    list(value).is_some_and(|items| items.iter().all(|item| is_scalar(item)))
}

/// The path up to its first name that is not a plain word, which a star replaces.
fn plain(path: &str) -> String {
    let is_word = |name: &&str| {
        !name.is_empty()
            && name.len() <= NAME_LEN_MAX
            && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let mut names: Vec<&str> = path.split('.').take_while(is_word).collect();
    if names.len() < path.split('.').count() {
        names.push("*");
    }
    names.join(".")
}

/// Writes a JSON object, member by member.
struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> ObjectWriter<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn member(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&serde_json::to_vec(key).ok()?);
        self.out.push(b':');
        write(self.out)
    }

    fn raw(&mut self, key: &str, value: &RawValue) -> Option<()> {
        self.member(key, |out| {
            out.extend_from_slice(value.get().as_bytes());
            Some(())
        })
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 5] =
        ["metadata.labels.*", "spec.secret.name", "spec.key", "status.valid", "status.state"];

    #[track_caller]
    fn check(body: &str, is_deletion: bool, expected: &str, removed: &str) {
        let body = Json::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let redacted = redact(&body, &FIELDS, is_deletion);
        let body = redacted.body.map(|body| String::from_utf8_lossy(body.as_bytes()).into_owned());
        assert_eq!(
            (body.unwrap_or_default().as_str(), redacted.removed.as_str()),
            (expected, removed)
        );
    }

    #[test]
    fn references_stay_and_removed_fields_are_named() {
        for (body, expected, removed) in [
            (
                r#"{"kind":"Passkey","metadata":{"name":"p","uid":"u","labels":{"a":"b"}},"spec":{"secret":{"name":"s"},"key":1.50},"status":{"valid":true}}"#,
                r#"{"kind":"Passkey","metadata":{"name":"p","uid":"u","labels":{"a":"b"}},"spec":{"secret":{"name":"s"},"key":1.50},"status":{"valid":true}}"#,
                "",
            ),
            (
                r#"{"metadata":{"name":"p","annotations":{"last":"HUSH"}},"spec":{"passphrase":"HUSH","secret":{"name":"s","HUSH":1}}}"#,
                r#"{"metadata":{"name":"p"},"spec":{"secret":{"name":"s"}}}"#,
                "metadata.annotations, spec.passphrase, spec.secret.HUSH",
            ),
            (r#"{"spec":{"key-1":"x","a b":1}}"#, r#"{"spec":{}}"#, "spec.*"),
            (
                r#"{"spec":{"key":{"x":"HUSH"}},"metadata":"HUSH"}"#,
                r#"{"spec":{}}"#,
                "metadata, spec.key",
            ),
            (
                r#"{"spec":{"secret":{"name":["HUSH"]}}}"#,
                r#"{"spec":{"secret":{}}}"#,
                "spec.secret.name",
            ),
            (
                r#"{"kind":"DeleteOptions","propagationPolicy":"Orphan","preconditions":{"uid":"u"},"dryRun":["All"]}"#,
                r#"{"kind":"DeleteOptions","propagationPolicy":"Orphan","preconditions":{"uid":"u"},"dryRun":["All"]}"#,
                "",
            ),
            (r#"{"propagationPolicy":"HUSH"}"#, "{}", "propagationPolicy"),
            (
                r#"{"kind":"PasskeyList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"p"},"spec":{"key":"k"},"data":"HUSH"}]}"#,
                r#"{"kind":"PasskeyList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"p"},"spec":{"key":"k"}}]}"#,
                "data",
            ),
            (
                r#"{"kind":"Table","columnDefinitions":[],"rows":[{"cells":["p",true],"object":{"metadata":{"name":"p"},"data":1}}]}"#,
                r#"{"kind":"Table","rows":[{"cells":["p",true],"object":{"metadata":{"name":"p"}}}]}"#,
                "columnDefinitions, data",
            ),
            (
                r#"[{"op":"replace","path":"/spec/key","value":"k"},{"op":"add","path":"/spec","value":{"key":"k","passphrase":"HUSH"}}]"#,
                r#"[{"op":"replace","path":"/spec/key","value":"k"},{"op":"add","path":"/spec","value":{"key":"k"}}]"#,
                "spec.passphrase",
            ),
            (
                r#"[{"op":"add","path":"/data/HUSH-1","value":"HUSH"},{"op":"HUSH"}]"#,
                r#"[{"op":"add"},{}]"#,
                "*, data.*",
            ),
            (r#""HUSH""#, "", "*"),
            ("[1]", "", "*"),
        ] {
            check(body, false, expected, removed);
        }
    }

    #[test]
    fn the_options_of_a_deletion_were_removed_if_they_name_no_kind() {
        let options = r#"{"dryRun":["All"],"gracePeriodSeconds":0,"preconditions":{"uid":"u"}}"#;
        let other = r#"{"kind":"Secret","preconditions":{"uid":"HUSH"},"data":"HUSH"}"#;
        for (body, is_deletion, expected, removed) in [
            (options, true, options, ""),
            (options, false, "{}", "dryRun, gracePeriodSeconds, preconditions"),
            (
                r#"{"kind":"","propagationPolicy":"Orphan","data":"HUSH"}"#,
                true,
                r#"{"kind":"","propagationPolicy":"Orphan"}"#,
                "data",
            ),
            (other, true, r#"{"kind":"Secret"}"#, "data, preconditions"),
            ("null", true, "", "*"),
        ] {
            check(body, is_deletion, expected, removed);
        }
    }

    #[test]
    fn the_removal_of_a_section_was_not_recorded() {
        for (body, expected, removed) in [
            (
                r#"{"spec":{"secret":null,"key":"k","other":null},"status":null}"#,
                r#"{"spec":{"secret":null,"key":"k"},"status":null}"#,
                "spec.other",
            ),
            (
                r#"[{"op":"add","path":"/spec/secret","value":null},{"op":"remove","path":"/metadata/labels/a~1b"},{"op":"remove","path":"/data/HUSH"}]"#,
                r#"[{"op":"add","path":"/spec/secret","value":null},{"op":"remove","path":"/metadata/labels/a~1b"},{"op":"remove"}]"#,
                "data.HUSH",
            ),
        ] {
            check(body, false, expected, removed);
        }
    }
}
