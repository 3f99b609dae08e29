//! JSON text that can be copied into a line unchanged.

use bytes::Bytes;

use crate::normalize::{self, Surrogates};

/// Valid JSON on one line: compact, with `<`, `>`, `&`, control characters, U+2028, U+2029 and
/// bidirectional marks escaped. Keys keep their order, and numbers their text.
///
/// A value can be copied into a larger document without another check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Bytes);

/// Why a value cannot be converted to [`Json`].
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not JSON, or are nested more deeply than [`DEPTH_MAX`](crate::DEPTH_MAX).
    #[error("not JSON: {what} at byte {offset}")]
    Syntax {
        /// The byte offset of the error, from 0.
        offset: usize,
        /// The syntax error.
        what: &'static str,
    },
    /// The value cannot be represented in JSON.
    #[error("a value cannot be written as JSON")]
    Value(#[source] serde_json::Error),
}

/// Initial size of the buffer of a serialized value: most objects fit without growing it.
const SERIALIZED_BYTES: usize = 1024;

impl Json {
    /// Validate and normalize untrusted bytes. Normalized bytes are not copied.
    pub fn parse(bytes: Bytes) -> Result<Self, JsonError> {
        Self::parsed(bytes, Surrogates::Replace)
    }

    /// Like `parse`, but unpaired surrogates are kept. Parsers that decode escape sequences may
    /// reject them.
    pub(crate) fn parse_with_surrogates(bytes: Bytes) -> Result<Self, JsonError> {
        Self::parsed(bytes, Surrogates::Keep)
    }

    fn parsed(bytes: Bytes, surrogates: Surrogates) -> Result<Self, JsonError> {
        match normalize::normalize(&bytes, surrogates) {
            Ok(None) => Ok(Self(bytes)),
            Ok(Some(cleaned)) => Ok(Self(Bytes::from(cleaned))),
            Err(normalize::SyntaxError { offset, what }) => Err(JsonError::Syntax { offset, what }),
        }
    }

    /// Serialize a trusted value.
    pub fn serialize<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        let mut text = Vec::with_capacity(SERIALIZED_BYTES);
        serde_json::to_writer(&mut text, value).map_err(JsonError::Value)?;
        // The value may be stored for a long time.
        text.shrink_to_fit();
        Self::parse(Bytes::from(text))
    }

    /// Wrap bytes that consist of normalized JSON already. They are not checked.
    pub const fn from_normalized(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The JSON text as UTF-8 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Convert to the reference-counted bytes, without copying.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let parsed = Json::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        assert_eq!(std::str::from_utf8(parsed.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn normalized_bytes_are_not_copied() {
        let bytes = Bytes::from_static(br#"{"b":[1,-0.50e+3,"\u003c\/"],"a":{},"c":[],"d":null}"#);
        let parsed = Json::parse(bytes.clone()).unwrap();
        assert_eq!(parsed.into_bytes().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn text_is_normalized() {
        check(" { \"b\" : [ 1 , 2.0 ] ,\n\t\"a\" : { } }\r\n", r#"{"b":[1,2.0],"a":{}}"#);
        check("[\"<b> & \u{202e}\u{7f}\"]", r#"["\u003cb\u003e \u0026 \u202e\u007f"]"#);
        check(r#""\ud83d\udcbe \ud83d \udcbe \uD83Dx""#, r#""\ud83d\udcbe \ufffd \ufffd \ufffdx""#);
        check("12345678901234567890.0100", "12345678901234567890.0100");
    }

    #[test]
    fn other_text_than_json_is_rejected() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "01",
            "1.",
            "-",
            "1e",
            "+1",
            ".5",
            "tru",
            "nulll",
            "'a'",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\ud83d\\u\"",
            "\"\n\"",
            "[1}",
            "{\"a\":1]",
            "1 2",
            "]",
            "\u{feff}1",
            "\0",
            "NaN",
            "[1 2]",
            "// c\n1",
        ] {
            let parsed = Json::parse(Bytes::copy_from_slice(text.as_bytes()));
            assert!(matches!(parsed, Err(JsonError::Syntax { .. })), "{text:?} {parsed:?}");
        }
        assert!(Json::parse(Bytes::from_static(b"\"\xff\"")).is_err());
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let nest =
            |depth: usize| Json::parse(Bytes::from("[".repeat(depth) + &"]".repeat(depth))).is_ok();
        assert!(nest(126));
        assert!(!nest(127));
        assert!(!nest(1_000_000));
    }
}
