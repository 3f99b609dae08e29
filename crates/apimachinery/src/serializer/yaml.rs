//! Parses YAML bodies. Limits and duplicate keys are found in a first pass over the events of the
//! parser, before a document is built: `expansion` bounds what aliases and tags add.
//!
//! As in upstream's decoder, a duplicate key has its last value, and is reported with the line of
//! the value. Only YAML that has a JSON form is accepted.

use std::collections::HashSet;

use saphyr::{Scalar, Yaml, YamlLoader};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Number, Value};

use super::{DUPLICATES_MAX, Document, Duplicates, TOO_MANY_DUPLICATES, decode_json};
use expansion::Expansion;

mod expansion;

/// Maximum nesting of a YAML document. The JSON parser has its own limit of 127.
const YAML_DEPTH_MAX: usize = 128;
/// Maximum indentation of a YAML document, which bounds the nesting of its blocks.
const YAML_INDENT_MAX: usize = 512;
/// Maximum length of a key in a message, in bytes: clients choose the keys.
const KEY_BYTES_MAX: usize = 256;

/// Maximum size of a YAML document, in bytes. The scanner keeps every token of a list until the
/// list ends, which takes two hundred times the size.
pub const YAML_BYTES_MAX: usize = 192 << 10;
/// Maximum number of values in a YAML document; values from aliases count again, and so do values
/// with an anchor.
pub const YAML_VALUES_MAX: usize = 40_000;
/// Maximum total size of the texts and tags of a YAML document, in bytes; those from aliases count
/// again, and so do those with an anchor. A document without aliases never reaches it.
pub const YAML_TEXT_BYTES_MAX: usize = 1 << 20;

/// Parses one YAML document that has a JSON form.
pub fn decode_yaml(body: &[u8]) -> Result<Document, String> {
    // `kubectl apply --server-side` sends JSON with the media type of YAML; JSON is valid YAML.
    if body.trim_ascii_start().starts_with(b"{")
        && let Ok(document) = decode_json(body)
        && (document.duplicates.is_empty() || body.len() > YAML_BYTES_MAX)
    {
        return Ok(document);
    }
    if body.len() > YAML_BYTES_MAX {
        return Err(format!("YAML may have {YAML_BYTES_MAX} bytes: send it as JSON"));
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    check_depth(text)?;
    let duplicates = Duplicates::Yaml(duplicate_keys(text)?);
    let mut loader = YamlLoader::<Yaml<'_>>::default();
    loader.alias_limit(YAML_VALUES_MAX);
    loader.allow_duplicate_keys(true);
    let outcome = Parser::new_from_str(text).load(&mut loader, true);
    outcome.map_err(|error| error.to_string())?;
    if let Some(error) = loader.error() {
        return Err(error.to_string());
    }
    match loader.into_documents().as_slice() {
        [] => Err("the document is empty".to_owned()),
        [document] => Ok(Document { value: to_json(document, YAML_DEPTH_MAX)?, duplicates }),
        _ => Err("more than one YAML document".to_owned()),
    }
}

/// Bounds the document, and returns messages about duplicate keys.
fn duplicate_keys(text: &str) -> Result<Vec<String>, String> {
    let mut expansion = Expansion::default();
    let mut finder = DuplicateFinder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let line = span.start.line();
        expansion.add(&event)?;
        match event {
            Event::Scalar(text, style, _, tag) => {
                let is_empty = text.is_empty();
                let scalar = Yaml::value_from_cow_and_metadata(text, style, tag.as_ref());
                finder.begin(line, is_empty);
                finder.end(key_of(&scalar));
            }
            Event::Alias(_) => {
                finder.begin(line, false);
                finder.end(None);
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                finder.begin(line, false);
                let is_mapping = matches!(event, Event::MappingStart(..));
                finder.open.push(is_mapping.then(Mapping::default));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                finder.open.pop();
                finder.end(None);
            }
            _ => {}
        }
        if finder.messages.len() > DUPLICATES_MAX {
            return Err(TOO_MANY_DUPLICATES.to_owned());
        }
    }
    Ok(finder.messages)
}

/// A key of a mapping: its text, and whether it is a string. In YAML, `1` and `"1"` differ.
type KeyText = (String, bool);

fn key_of(key: &Yaml<'_>) -> Option<KeyText> {
    let is_string = matches!(key, Yaml::Value(Scalar::String(_)));
    key_to_text(key).ok().map(|text| (text, is_string))
}

/// Finds duplicate keys while the parser walks through a document.
#[derive(Default)]
struct DuplicateFinder {
    /// The collections around the current node; `None` for a sequence.
    open: Vec<Option<Mapping>>,
    messages: Vec<String>,
}

/// The part of a mapping that the parser reads next.
#[derive(Default)]
enum Next {
    #[default]
    Key,
    /// The value of this key; `None` if the key is not a scalar.
    Value(Option<KeyText>),
}

/// A mapping whose end is not parsed yet.
#[derive(Default)]
struct Mapping {
    keys: HashSet<KeyText>,
    next: Next,
    /// Line of the key, then of its value.
    line: usize,
}

impl DuplicateFinder {
    /// Handles the start of a node.
    fn begin(&mut self, line: usize, is_empty: bool) {
        // The parser finds an empty value only at the next token.
        if let Some(Some(mapping)) = self.open.last_mut()
            && !(is_empty && matches!(mapping.next, Next::Value(_)))
        {
            mapping.line = line;
        }
    }

    /// Handles the end of a node. `key` is its text if it can be a key.
    fn end(&mut self, key: Option<KeyText>) {
        let Some(Some(mapping)) = self.open.last_mut() else { return };
        match std::mem::take(&mut mapping.next) {
            Next::Key => mapping.next = Next::Value(key),
            Next::Value(None) => {}
            Next::Value(Some(key)) if mapping.keys.contains(&key) => {
                let (text, is_string) = key;
                let end = text.floor_char_boundary(KEY_BYTES_MAX.min(text.len()));
                let prefix = text.get(..end).unwrap_or_default();
                let quoted = if is_string { format!("{prefix:?}") } else { prefix.to_owned() };
                let line = mapping.line;
                self.messages.push(format!("line {line}: key {quoted} already set in map"));
            }
            Next::Value(Some(key)) => drop(mapping.keys.insert(key)),
        }
    }
}

/// Bounds the nesting before the document is built. Nesting needs open brackets or indentation, so
/// both are counted. Quoted brackets count too, which only makes the limit stricter.
fn check_depth(text: &str) -> Result<(), String> {
    let mut open: usize = 0;
    for line in text.lines() {
        let content = line.trim_start_matches([' ', '-', '?', ':', '\t']);
        if line.len() - content.len() > YAML_INDENT_MAX {
            return Err(format!("indented by more than {YAML_INDENT_MAX} columns"));
        }
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
        }
        if open > YAML_DEPTH_MAX {
            return Err(format!("nested deeper than {YAML_DEPTH_MAX}"));
        }
    }
    Ok(())
}

fn to_json(yaml: &Yaml<'_>, depth_left: usize) -> Result<Value, String> {
    if depth_left == 0 {
        return Err(format!("nested deeper than {YAML_DEPTH_MAX}"));
    }
    match yaml {
        Yaml::Value(scalar) => scalar_to_json(scalar),
        Yaml::Sequence(items) => {
            let items: Result<_, _> =
                items.iter().map(|item| to_json(item, depth_left - 1)).collect();
            Ok(Value::Array(items?))
        }
        Yaml::Mapping(mapping) => {
            let mut map = Map::new();
            for (key, value) in mapping {
                map.insert(key_to_text(key)?, to_json(value, depth_left - 1)?);
            }
            Ok(Value::Object(map))
        }
        Yaml::Tagged(_, inner) => to_json(inner, depth_left - 1),
        Yaml::Representation(text, _, _) => Ok(Value::from(text.as_ref())),
        Yaml::Alias(_) | Yaml::BadValue => Err("a value that has no JSON form".to_owned()),
    }
}

fn scalar_to_json(scalar: &Scalar<'_>) -> Result<Value, String> {
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => (*value).into(),
        Scalar::Integer(value) => (*value).into(),
        Scalar::FloatingPoint(value) => Number::from_f64(**value)
            .map(Value::Number)
            .ok_or_else(|| "a number that has no JSON form".to_owned())?,
        Scalar::String(value) => Value::from(value.as_ref()),
    })
}

fn key_to_text(key: &Yaml<'_>) -> Result<String, String> {
    match key {
        Yaml::Value(Scalar::String(text)) => Ok(text.to_string()),
        Yaml::Value(Scalar::Integer(number)) => Ok(number.to_string()),
        Yaml::Value(Scalar::Boolean(value)) => Ok(value.to_string()),
        _ => Err("a key that is not a string".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, value: &Value, messages: &[&str]) {
        let document = decode_yaml(text.as_bytes()).unwrap();
        assert_eq!(document.value, *value, "{text}");
        assert_eq!(document.duplicates.warnings(), messages, "{text}");
    }

    /// Regression: a body with a duplicate key was refused, although kube-apiserver accepts it
    /// unless strict validation is requested.
    #[test]
    fn a_duplicate_key_has_its_last_value_and_is_reported_with_the_line_of_the_value() {
        check("a: 1\nb: 2\n", &json!({"a": 1, "b": 2}), &[]);
        check("a: 1\na: 2\n", &json!({"a": 2}), &["line 2: key \"a\" already set in map"]);
        check("{a: 1, \"a\": 2}", &json!({"a": 2}), &["line 1: key \"a\" already set in map"]);
        check(
            "m:\n  x: 1\n  x: 2\nm:\n  y: 1\n  y:\n    z: 1\n",
            &json!({"m": {"y": {"z": 1}}}),
            &[
                "line 3: key \"x\" already set in map",
                "line 7: key \"y\" already set in map",
                "line 5: key \"m\" already set in map",
            ],
        );
        check(
            "- {a: 1}\n- {a: 1}\n- [{b: 1, b: 2}]\n",
            &json!([{"a": 1}, {"a": 1}, [{"b": 2}]]),
            &["line 3: key \"b\" already set in map"],
        );
        check(
            "a:\na:\nb: 1\n",
            &json!({"a": null, "b": 1}),
            &["line 2: key \"a\" already set in map"],
        );
        check("1: a\n1: b\n", &json!({"1": "b"}), &["line 2: key 1 already set in map"]);
        check(
            "x: &x {a: 1}\ny: *x\ny: *x\n",
            &json!({"x": {"a": 1}, "y": {"a": 1}}),
            &["line 3: key \"y\" already set in map"],
        );
        check(
            r#"{"a": {"b": 1, "b": 2}}"#,
            &json!({"a": {"b": 2}}),
            &["line 1: key \"b\" already set in map"],
        );
    }

    #[test]
    fn messages_about_duplicate_keys_are_bounded() {
        let long = "k".repeat(2 * KEY_BYTES_MAX);
        let document = decode_yaml(format!("{long}: 1\n{long}: 2\n").as_bytes()).unwrap();
        assert!(document.duplicates.warnings()[0].len() < KEY_BYTES_MAX + 50);
        let many = |count: usize| decode_yaml("a: 1\n".repeat(count + 1).as_bytes());
        assert!(many(DUPLICATES_MAX).is_ok());
        assert_eq!(many(DUPLICATES_MAX + 1).unwrap_err(), TOO_MANY_DUPLICATES);
    }

    #[test]
    fn strict_decoding_reports_all_duplicate_keys_of_yaml_in_one_error() {
        let document = decode_yaml(b"a: 1\na: 2\na: 3\n").unwrap();
        let expected = "yaml: unmarshal errors:\n  line 2: key \"a\" already set in map\n  line 3: key \"a\" already set in map";
        assert_eq!(document.duplicates.strict_errors(), [expected]);
    }
}
