//! Bodies: JSON and YAML documents, and patches of them.
//!
//! The input is a media type, a document and a patch, separated by NULs.

#![no_main]

use apimachinery::patch::Patch;
use apimachinery::serializer;
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
    let media_type = text(&mut rest);
    let body = piece(&mut rest);
    let change = piece(&mut rest);
    for media_type in [media_type.as_str(), "application/json", "application/yaml"] {
        let Some(before) = document(media_type, body) else { continue };
        assert_round_trip(&before);
        for form in PATCHES {
            if let Some(after) = patch(form, change, &before) {
                assert_round_trip(&after);
            }
        }
    }
});

/// Decodes a body of one of these kinds. The kind decides only how protocol buffers are decoded.
fn document(media_type: &str, body: &[u8]) -> Option<Value> {
    let kinds = [("fuzz.example.com/v1", "Thing"), ("v1", "Secret"), ("v1", "Event")];
    let mut decoded = kinds
        .into_iter()
        .filter_map(|(version, kind)| serializer::decode(media_type, body, version, kind).ok());
    decoded.next().map(|document| document.value)
}

/// Applies a patch to a document.
fn patch(media_type: &str, patch: &[u8], document: &Value) -> Option<Value> {
    Patch::decode(media_type, patch, true).ok()?.patch.apply(document).ok()
}

/// An accepted value can be serialized, and parsing it gives an equal value.
fn assert_round_trip(value: &Value) {
    let bytes = serde_json::to_vec(value).expect("a document can be written");
    let again: Value = serde_json::from_slice(&bytes).expect("a document can be read back");
    assert_eq!(&again, value);
}
