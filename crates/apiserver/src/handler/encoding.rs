//! Encoding of responses for the client: indented JSON, YAML, gzip. The audit event always contains
//! the compact JSON.

use std::io::Write as _;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, VARY};

use crate::ApiResponse;
use crate::handler::negotiate::{Language, Rendering};

mod yaml;

/// `Content-Type` of YAML.
pub(crate) const YAML: &str = "application/yaml";
/// Minimum size of a body for compression, in bytes.
pub(crate) const GZIP_MIN: usize = 128 << 10;

/// Converts a JSON response to YAML, indents it or compresses it, as negotiated.
pub(crate) fn finish(rendering: Rendering, mut response: ApiResponse) -> ApiResponse {
    match rendering.language {
        Language::Yaml => {
            response.body = yaml(&response.body);
            response.content_type = YAML;
        }
        Language::Json if rendering.pretty => response.body = indented(&response.body),
        Language::Json => {}
    }
    negotiate_gzip(&mut response, rendering.gzip, GZIP_MIN, None);
    response
}

/// Compresses a body of more than `len_min` bytes if the client accepts gzip. `Vary` is set
/// even if the response is not compressed. `cache` keeps the result for a body that
/// does not change.
pub(crate) fn negotiate_gzip(
    response: &mut ApiResponse,
    is_accepted: bool,
    len_min: usize,
    cache: Option<&OnceLock<Bytes>>,
) {
    if response.body.len() <= len_min {
        return;
    }
    response.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if is_accepted {
        let compress = || compressed(&response.body);
        response.body = cache.map_or_else(compress, |cache| cache.get_or_init(compress).clone());
        response.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// Converts compact JSON to YAML.
pub fn yaml(json: &[u8]) -> Bytes {
    Bytes::from(yaml::from_json(json))
}

/// Indents compact JSON.
pub(crate) fn indented(json: &[u8]) -> Bytes {
    Bytes::from(pretty(json))
}

/// Compresses with gzip.
fn compressed(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _written = encoder.write_all(bytes);
    Bytes::from(encoder.finish().unwrap_or_default())
}

/// Indents compact JSON in one pass. No tree is built, because a list may be long.
fn pretty(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 2);
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let break_line = |out: &mut Vec<u8>, depth: usize| {
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
                    break_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                break_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            byte => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn indented_json_equals_serdes() {
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
