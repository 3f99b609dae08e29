//! Decodes a line or document from another source: one event or a list of events. The
//! top-level keys determine the type and the encoding.

use std::borrow::Cow;

use serde::Deserialize as _;
use serde::de::{Deserializer, IgnoredAny, MapAccess};
use serde_json::value::RawValue;

use super::Decoded;
use super::decode::{
    Context, Decode, Destination, Fields, FieldsVisitor, Notes, decode, decode_into,
};
use crate::line::Encoding;
use crate::normalize::Surrogates;

const KIND: &str = "Event";
const LIST_KIND: &str = "EventList";
const API_VERSION: &str = "audit.k8s.io/v1";

/// A decoded document.
#[derive(Debug)]
pub enum Document {
    /// A single event.
    Event(Box<Decoded>),
    /// A list of events, as webhooks receive it. Each event can be invalid.
    List(Vec<Result<Decoded, ReadError>>),
    /// A signal of Keepwatch, which is a result of detection and not an event. It is not decoded.
    Signal,
}

/// Why a document is neither an event nor a list of events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The line is not JSON, or a field has the wrong type.
    #[error("not an audit event")]
    Field(#[source] serde_json::Error),
    /// The line is the first one of a pretty-printed document.
    #[error("a JSON document over several lines: write one document per line, as `jq -c .` does")]
    SeveralLines,
    /// The document has no keys of K10's encoding, and `kind` or `apiVersion` is missing.
    #[error(
        "{key} is missing: an event of Kubernetes has \"kind\":\"Event\" and \
         \"apiVersion\":\"audit.k8s.io/v1\""
    )]
    Untyped {
        /// The missing key: `kind` or `apiVersion`.
        key: &'static str,
    },
    /// The document has another kind or version.
    #[error("kind {kind:?} of apiVersion {api_version:?} is not an audit.k8s.io/v1 event")]
    Kind {
        /// The value of `kind`.
        kind: String,
        /// The value of `apiVersion`.
        api_version: String,
    },
}

/// Reads one line: an event in either encoding, with or without the prefix of a container runtime,
/// or a list of events. Data that is lost in decoding is recorded in `notes`.
pub fn read(line: &[u8], notes: &mut Notes) -> Result<Document, ReadError> {
    let text = utf8(without_prefix(line), notes);
    if text == "{" {
        return Err(ReadError::SeveralLines);
    }
    let outline = Outline::parse(&text).map_err(ReadError::Field)?;
    match (&*outline.kind, &*outline.api_version) {
        (KIND, API_VERSION) => event(&text, Encoding::V1, notes),
        ("", "") if outline.is_k10 => event(&text, Encoding::Kasten, notes),
        ("", "") if outline.has_signal => Ok(Document::Signal),
        ("Signal", _) => Ok(Document::Signal),
        ("", "") if outline.has_items => list(&text, Encoding::Kasten, notes),
        (LIST_KIND, API_VERSION) => list(&text, Encoding::V1, notes),
        ("", _) => Err(ReadError::Untyped { key: "kind" }),
        (_, "") => Err(ReadError::Untyped { key: "apiVersion" }),
        _ => {
            let (kind, api_version) = (outline.kind, outline.api_version);
            Err(ReadError::Kind { kind, api_version })
        }
    }
}

fn event(text: &str, encoding: Encoding, notes: &mut Notes) -> Result<Document, ReadError> {
    let event = decode(text, encoding, Surrogates::Keep, notes).map_err(ReadError::Field)?;
    Ok(Document::Event(Box::new(event)))
}

/// Decodes the events of a list.
fn list(text: &str, encoding: Encoding, notes: &mut Notes) -> Result<Document, ReadError> {
    let mut list = List::default();
    decode_into(&mut list, text, encoding, Surrogates::Keep, notes).map_err(ReadError::Field)?;
    let read = |Item(text): Item<'_>| {
        // As in Go, `kind` and `apiVersion` of an item are optional and not validated. Only an item
        // without `kind` can be in K10's encoding.
        let is_k10 =
            Outline::parse(text).is_ok_and(|outline| outline.is_k10 && outline.kind.is_empty());
        let encoding = if is_k10 { Encoding::Kasten } else { Encoding::V1 };
        decode(text, encoding, Surrogates::Keep, notes).map_err(ReadError::Field)
    };
    Ok(Document::List(list.items.into_iter().map(read).collect()))
}

/// The line as text. Each invalid byte is replaced by U+FFFD, as in Go's decoder.
pub(crate) fn utf8<'a>(line: &'a [u8], notes: &mut Notes) -> Cow<'a, str> {
    if let Ok(text) = std::str::from_utf8(line) {
        return Cow::Borrowed(text);
    }
    notes.add_replaced();
    let mut text = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

/// Removes a byte order mark, and the prefix of container runtimes (the CRI log format), such as
/// `2026-11-23T09:30:00Z stdout F`.
fn without_prefix(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    match [fields.next(), fields.next(), fields.next(), fields.next()] {
        [Some([b'0'..=b'9', ..]), Some(b"stdout" | b"stderr"), Some(b"F" | b"P"), Some(rest)] => {
            rest
        }
        _ => line,
    }
}

/// The top-level keys of a document that identify its type.
#[derive(Default)]
struct Outline {
    kind: String,
    api_version: String,
    /// Whether it has keys of an event in K10's encoding.
    is_k10: bool,
    /// Whether it has `Items`, the key of a list in K10's encoding.
    has_items: bool,
    /// Whether it has `signal`, the key of a signal in a log line.
    has_signal: bool,
}

impl Outline {
    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut outline = Self::default();
        decode_into(&mut outline, text, Encoding::V1, Surrogates::Keep, &mut Notes::default())?;
        Ok(outline)
    }
}

impl<'de> Fields<'de> for Outline {
    fn field<A: MapAccess<'de>>(
        &mut self,
        key: &str,
        context: &mut Context<'_>,
        members: &mut A,
    ) -> Result<bool, A::Error> {
        match key {
            "kind" => members.next_value_seed(Destination(&mut self.kind, context))?,
            "apiVersion" => members.next_value_seed(Destination(&mut self.api_version, context))?,
            _ => {
                members.next_value::<IgnoredAny>()?;
                self.is_k10 |= matches!(key, "Level" | "AuditID" | "Stage");
                self.has_items |= key == "Items";
                self.has_signal |= key == "signal";
            }
        }
        Ok(true)
    }
}

impl<'de> Decode<'de> for Outline {
    fn value<D: Deserializer<'de>>(
        &mut self,
        context: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        from.deserialize_map(FieldsVisitor(self, context))
    }
}

/// The items of a list, before they are decoded.
#[derive(Default)]
struct List<'a> {
    items: Vec<Item<'a>>,
}

impl<'de> Fields<'de> for List<'de> {
    fn field<A: MapAccess<'de>>(
        &mut self,
        key: &str,
        context: &mut Context<'_>,
        members: &mut A,
    ) -> Result<bool, A::Error> {
        if key == context.name("items", "Items") {
            members.next_value_seed(Destination(&mut self.items, context))?;
            return Ok(true);
        }
        let is_known = match key {
            "kind" | "apiVersion" => true,
            "metadata" => context.encoding == Encoding::V1,
            // K10 encodes Go's internal `EventList`, which embeds `ListMeta`: its fields are next to
            // `Items`.
            "selfLink" | "resourceVersion" | "continue" | "remainingItemCount" | "shardInfo" => {
                context.encoding == Encoding::Kasten
            }
            _ => false,
        };
        if is_known {
            members.next_value::<IgnoredAny>()?;
        }
        Ok(is_known)
    }
}

impl<'de> Decode<'de> for List<'de> {
    fn value<D: Deserializer<'de>>(
        &mut self,
        context: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        from.deserialize_map(FieldsVisitor(self, context))
    }
}

/// The JSON text of an item. Null is an empty event, as in Go.
struct Item<'a>(&'a str);

impl Default for Item<'_> {
    fn default() -> Self {
        Self("null")
    }
}

impl<'de> Decode<'de> for Item<'de> {
    fn value<D: Deserializer<'de>>(
        &mut self,
        _: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        self.0 = <&RawValue>::deserialize(from)?.get();
        Ok(())
    }
}
