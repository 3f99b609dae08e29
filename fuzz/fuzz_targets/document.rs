//! Bodies: JSON and YAML documents, and patches of them.
//!
//! The input is a content type, a document and a patch, separated by NULs.

#![no_main]

use apiserver::fuzzing::{document, patch};
use fuzz::{piece, text};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const PATCHES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let content_type = text(&mut rest);
    let body = piece(&mut rest);
    let change = piece(&mut rest);
    for content_type in [content_type.as_str(), "application/json", "application/yaml"] {
        let Some(before) = document(content_type, body) else { continue };
        readable(&before);
        for form in PATCHES {
            if let Some(after) = patch(form, change, &before) {
                readable(&after);
            }
        }
    }
});

/// An accepted value can be serialized, and parsing it gives an equal value.
fn readable(value: &Value) {
    let bytes = serde_json::to_vec(value).expect("a document is written");
    let again: Value = serde_json::from_slice(&bytes).expect("and read again");
    assert_eq!(&again, value);
}
