//! From stored bytes to an answer in the form the client asked for.

use std::io::Write;

use audit::Layer;
use bytes::Bytes;
use event::{Json, Status, StatusDetails, Timestamp};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, VARY};
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::kind::Kind;
use crate::negotiate::{Form, Rendering};
use crate::{Answer, table};

/// Bodies up to this size are not worth compressing.
const GZIP_MIN: usize = 128 << 10;

/// What a list says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct ListHead {
    pub(super) revision: u64,
    /// Empty at the end.
    pub(super) next: String,
    pub(super) remaining: Option<usize>,
}

/// One stored object.
pub(super) fn object(
    rendering: Rendering,
    kind: &Kind,
    code: StatusCode,
    body: &Bytes,
    now: Timestamp,
) -> Answer {
    let json = match rendering.form {
        Form::Plain => body.clone(),
        Form::Partial => Bytes::from(table::partial(body)),
        Form::Table(include) => {
            let head = ListHead { revision: revision_of(body), ..ListHead::default() };
            let mut out = table_start(kind, &head, true);
            out.extend_from_slice(&table::row(&kind.resource, body, include, now));
            out.extend_from_slice(b"]}");
            Bytes::from(out)
        }
    };
    finish(rendering, Answer::json(code, Json::of_clean(json)))
}

/// A list of stored objects.
pub(super) fn list<'a>(
    rendering: Rendering,
    kind: &Kind,
    head: &ListHead,
    bodies: impl Iterator<Item = &'a Bytes> + Clone,
    now: Timestamp,
) -> Answer {
    let mut out = match rendering.form {
        Form::Plain => list_start(&format!("{}List", kind.resource.kind), &kind.api_version, head),
        Form::Partial => list_start("PartialObjectMetadataList", "meta.k8s.io/v1", head),
        Form::Table(_) => table_start(kind, head, true),
    };
    if matches!(rendering.form, Form::Plain) {
        out.reserve(bodies.clone().map(|body| body.len() + 1).sum::<usize>() + 2);
    }
    for (at, body) in bodies.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match rendering.form {
            Form::Plain => out.extend_from_slice(body),
            Form::Partial => out.extend_from_slice(&table::partial(body)),
            Form::Table(include) => {
                out.extend_from_slice(&table::row(&kind.resource, body, include, now));
            }
        }
    }
    out.extend_from_slice(b"]}");
    finish(rendering, Answer::json(StatusCode::OK, Json::of_clean(Bytes::from(out))))
}

/// What the time that a list takes here is told as.
pub(super) const fn layer(rendering: Rendering) -> Layer {
    match rendering.form {
        Form::Plain => Layer::Serialization,
        Form::Partial | Form::Table(_) => Layer::Transformation,
    }
}

/// The answer of a delete after which the object is gone.
pub(super) fn deleted(rendering: Rendering, kind: &Kind, name: &str, uid: &str) -> Answer {
    let status = Status {
        status: "Success".to_owned(),
        details: Some(StatusDetails {
            name: name.to_owned(),
            group: kind.id.group.to_owned(),
            kind: kind.id.plural.to_owned(),
            uid: uid.to_owned(),
            ..StatusDetails::default()
        }),
        code: StatusCode::OK.as_u16(),
        ..Status::default()
    };
    finish(rendering, Answer::status(status))
}

/// A table up to its first row.
pub(super) fn table_start(kind: &Kind, head: &ListHead, with_columns: bool) -> Vec<u8> {
    let columns =
        if with_columns { table::column_definitions(&kind.resource) } else { Value::Null };
    let head = list_metadata(head);
    format!(
        r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{head},"columnDefinitions":{columns},"rows":["#
    )
    .into_bytes()
}

fn list_start(kind: &str, api_version: &str, head: &ListHead) -> Vec<u8> {
    let head = list_metadata(head);
    format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{head},"items":["#)
        .into_bytes()
}

fn list_metadata(head: &ListHead) -> String {
    let mut out = format!(r#"{{"resourceVersion":"{}""#, head.revision);
    if !head.next.is_empty() {
        // A token is base64url: nothing in it to escape.
        out.push_str(r#","continue":""#);
        out.push_str(&head.next);
        out.push('"');
    }
    if let Some(remaining) = head.remaining {
        out.push_str(r#","remainingItemCount":"#);
        out.push_str(&remaining.to_string());
    }
    out.push('}');
    out
}

/// The revision that a stored object carries; 0 when it cannot be read.
pub(super) fn revision_of(body: &[u8]) -> u64 {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = table::at(&object, "metadata.resourceVersion").and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Indents and compresses where that is wanted. The event keeps the compact text.
fn finish(rendering: Rendering, mut answer: Answer) -> Answer {
    if rendering.pretty {
        answer.body = Bytes::from(pretty(&answer.body));
    }
    if rendering.gzip && answer.body.len() > GZIP_MIN {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let written = encoder.write_all(&answer.body).and_then(|()| encoder.finish());
        if let Ok(compressed) = written {
            answer.body = Bytes::from(compressed);
            answer.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
    }
    answer
}

/// Indents compact JSON as it stands. No tree is built: a list may be long.
fn pretty(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 2);
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if is_text {
            out.push(byte);
            is_text = byte != b'"' || is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        match byte {
            b'"' => {
                is_text = true;
                out.push(byte);
            }
            b'{' | b'[' => {
                out.push(byte);
                if let Some(end) = bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indented_json_is_what_serde_makes_of_it() {
        for text in [
            r#"{"a":[1,{"b":"x,y:{}[] \\\" z"},[],{}],"c":null,"d":{"e":true}}"#,
            "[]",
            "1",
            r#"{"é":"\\"}"#,
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            let expected = serde_json::to_string_pretty(&value).unwrap();
            assert_eq!(String::from_utf8(pretty(text.as_bytes())).unwrap(), expected);
        }
    }
}
