//! Converts compact JSON to YAML in one pass. No tree is built, because a list may be long.
//!
//! The order of keys is kept. Deeply nested values are written as JSON, which is valid YAML: with
//! indentation, a short text with many brackets would become a very long one.

/// Maximum nesting depth of block style.
const BLOCKS_MAX: usize = 12;
/// Maximum length of an implicit key, in bytes; a longer one is written with `?`.
const SHORT_KEY_MAX: usize = 512;
/// Words that YAML parses as something other than a string, in lower case.
const WORDS: [&str; 12] =
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "nil"];

/// Converts a JSON text to a YAML document.
pub(super) fn from_json(json: &[u8]) -> Vec<u8> {
    let mut writer = Writer { json, at: 0, out: Vec::with_capacity(json.len() + json.len() / 4) };
    match writer.peek() {
        Some(b'{' | b'[') if !writer.is_empty_container() => writer.block(0, true),
        _ => writer.flow(),
    }
    writer.out.push(b'\n');
    writer.out
}

/// Reads a JSON text once. Invalid JSON is copied as far as possible.
struct Writer<'j> {
    json: &'j [u8],
    at: usize,
    out: Vec<u8>,
}

impl<'j> Writer<'j> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn is_empty_container(&self) -> bool {
        matches!(self.json.get(self.at..self.at + 2), Some(b"{}" | b"[]"))
    }

    /// Writes members or items in block style. With `is_inline` the first one follows on the
    /// current line.
    fn block(&mut self, depth: usize, mut is_inline: bool) {
        let end = if self.take() == Some(b'{') { b'}' } else { b']' };
        loop {
            if !std::mem::take(&mut is_inline) {
                self.line(depth);
            }
            if end == b'}' {
                self.member(depth);
            } else {
                self.out.extend_from_slice(b"- ");
                self.nested_value(depth + 1, true);
            }
            match self.take() {
                Some(b',') => {}
                _ => return,
            }
        }
    }

    fn line(&mut self, depth: usize) {
        self.out.push(b'\n');
        self.out.resize(self.out.len() + 2 * depth, b' ');
    }

    fn member(&mut self, depth: usize) {
        let key = self.text();
        if key.len() > SHORT_KEY_MAX {
            self.out.extend_from_slice(b"? ");
            self.scalar(key);
            self.line(depth);
        } else {
            self.scalar(key);
        }
        self.out.push(b':');
        self.at += 1;
        // The items of a list are indented like its key.
        let is_list = self.peek() == Some(b'[');
        let inner = if is_list { depth } else { depth + 1 };
        if !matches!(self.peek(), Some(b'{' | b'[')) || self.is_flow(inner) {
            self.out.push(b' ');
        }
        self.nested_value(inner, false);
    }

    fn is_flow(&self, depth: usize) -> bool {
        depth >= BLOCKS_MAX || self.is_empty_container()
    }

    /// Writes a value inside a container.
    fn nested_value(&mut self, depth: usize, is_inline: bool) {
        match self.peek() {
            Some(b'{' | b'[') if !self.is_flow(depth) => self.block(depth, is_inline),
            Some(b'"') => {
                let text = self.text();
                self.scalar(text);
            }
            _ => self.flow(),
        }
    }

    /// Reads a string with its quotes.
    fn text(&mut self) -> &'j [u8] {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.take() {
            match byte {
                b'\\' => self.at += 1,
                b'"' => break,
                _ => {}
            }
        }
        self.at = self.at.min(self.json.len());
        self.json.get(start..self.at).unwrap_or_default()
    }

    /// Writes a string; without quotes if it stays unambiguous.
    fn scalar(&mut self, quoted: &[u8]) {
        let inner = quoted.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        match inner {
            Some(inner) if is_plain(inner) => self.out.extend_from_slice(inner),
            _ => self.quoted(quoted),
        }
    }

    /// Writes a quoted string. Escapes characters that JSON allows unescaped and YAML does not.
    fn quoted(&mut self, quoted: &[u8]) {
        for chunk in quoted.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\u{7f}'..='\u{9f}'
                    | '\u{2028}'
                    | '\u{2029}'
                    | '\u{feff}'
                    | '\u{fffe}'
                    | '\u{ffff}' => {
                        self.out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
                    }
                    c => self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
        }
    }

    /// Writes a value in flow style (JSON), with the spaces that YAML requires.
    fn flow(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let text = self.text();
                    self.quoted(text);
                }
                b'}' | b']' | b',' if depth == 0 => return,
                _ => {
                    self.at += 1;
                    self.out.push(byte);
                    match byte {
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        b':' | b',' => self.out.push(b' '),
                        _ => {}
                    }
                }
            }
            if depth == 0
                && !matches!(
                    self.peek(),
                    Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'+' | b'-')
                )
            {
                return;
            }
        }
    }
}

/// Whether a string is still a string in YAML without quotes: words, names and paths.
fn is_plain(text: &[u8]) -> bool {
    let [first, rest @ ..] = text else { return false };
    let is_inner =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let is_word = || WORDS.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    (first.is_ascii_alphabetic() || *first == b'/') && rest.iter().all(is_inner) && !is_word()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use apimachinery::serializer::decode_yaml;

    #[track_caller]
    fn check(json: &Value, expected: &str) {
        let text = String::from_utf8(from_json(json.to_string().as_bytes())).unwrap();
        assert_eq!(text, expected);
        assert_eq!(decode_yaml(text.as_bytes()).unwrap().value, *json, "{text}");
    }

    #[test]
    fn an_object_is_written_in_usual_yaml_style() {
        check(
            &json!({
                "apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "7"},
                "items": [
                    {"metadata": {"name": "a", "labels": {}, "finalizers": []}, "spec": {"size": 1}},
                    [["x"], 2.5, null, true],
                    "text: with more",
                ],
            }),
            concat!(
                "apiVersion: v1\nkind: List\nmetadata:\n  resourceVersion: \"7\"\nitems:\n",
                "- metadata:\n    name: a\n    labels: {}\n    finalizers: []\n  spec:\n    size: 1\n",
                "- - - x\n  - 2.5\n  - null\n  - true\n- \"text: with more\"\n",
            ),
        );
        check(&json!({}), "{}\n");
        check(&json!([]), "[]\n");
        check(&json!([1]), "- 1\n");
        check(&json!({"a": {"b": [{"c": {}}, []]}}), "a:\n  b:\n  - c: {}\n  - []\n");
    }

    /// Strings that YAML would parse as another type, and some that it would not.
    const TEXTS: &[&str] = &[
        "",
        " ",
        "a b",
        "yes",
        "No",
        "TRUE",
        "null",
        "~",
        "1",
        "1e3",
        "0x1",
        "1_000",
        ".5",
        ".inf",
        "nan",
        "-",
        "- a",
        "a: b",
        "a #b",
        "#",
        "&a",
        "*a",
        "!t",
        "|",
        ">",
        "%x",
        "@x",
        "`x",
        "'x'",
        "\"x\"",
        "\\",
        "a\nb\n",
        "\t",
        "\r\n",
        "2026-11-30",
        "12:30:45",
        "{",
        "}",
        "[",
        "]",
        ",",
        "?",
        ":",
        "a:",
        "\u{0}",
        "\u{7f}",
        "\u{85}",
        "\u{a0}",
        "\u{2028}",
        "\u{feff}",
        "\u{ffff}",
        "\u{1f600}",
        "/etc/passwd",
        "kubectl/v1.37",
        "=",
        "<<",
        "---",
        "...",
        "y",
        "on",
    ];

    #[test]
    fn strings_stay_strings() {
        for text in TEXTS {
            for json in
                [json!({"k": text}), json!([text]), json!({*text: 1}), json!({"a": {*text: []}})]
            {
                let yaml = from_json(json.to_string().as_bytes());
                let read = decode_yaml(&yaml).map(|document| document.value);
                assert_eq!(read, Ok(json), "{}", String::from_utf8_lossy(&yaml));
            }
        }
    }

    #[test]
    fn long_keys_and_deep_values_survive_a_round_trip() {
        let key = "k".repeat(2000);
        for json in [json!({&key: 1}), json!({&key: {"a": 1}}), json!([{&key: [1, {}], "b": 2}])] {
            let yaml = from_json(json.to_string().as_bytes());
            let read = decode_yaml(&yaml).map(|document| document.value);
            assert_eq!(read, Ok(json), "{}", String::from_utf8_lossy(&yaml));
        }
        let mut deep = json!({"a": [1, "x: y"], "b": -1.5e-7});
        for depth in 0..100 {
            deep = if depth % 2 == 0 { json!([deep, {}]) } else { json!({"k": deep}) };
        }
        let yaml = from_json(deep.to_string().as_bytes());
        assert_eq!(decode_yaml(&yaml).map(|document| document.value), Ok(deep));
    }

    /// With indentation, a body of 3 MB would become one of 300 MB.
    #[test]
    fn a_short_string_does_not_expand_much() {
        let nested = format!("{}{}0{}", "[".repeat(120), "0,".repeat(100_000), "]".repeat(120));
        assert!(from_json(nested.as_bytes()).len() < 3 * nested.len());
        let nested = format!("{}{}0{}", "[".repeat(12), "0,".repeat(100_000), "]".repeat(12));
        assert!(from_json(nested.as_bytes()).len() < 16 * nested.len());
    }

    #[test]
    fn conversion_of_invalid_json_terminates() {
        for text in
            ["", "{", "[", "{\"a", "{\"a\"", "{\"a\":", "[1,", "\"\\", "}", ",", "{,}", "[}"]
        {
            drop(from_json(text.as_bytes()));
        }
    }
}
