//! Parses a policy file into a tree of nodes with line numbers.
//!
//! Kubernetes reads YAML 1.1: `yes` and `on` are booleans, `0777` is a number, `<<` merges. Only
//! the first document of a file is read. Aliases are expanded within a budget, so that a small
//! file cannot become a large tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::LoadError;

/// Maximum nesting of lists and mappings. A policy needs six levels.
const DEPTH_MAX: usize = 64;
/// Maximum number of nodes of a tree, including expanded aliases.
const NODES_MAX: usize = 100_000;
/// Maximum total length of the texts of a tree, including expanded aliases, in bytes. More than
/// twice the size of a policy.
const TEXT_LEN_MAX: usize = 8 << 20;

/// A node of the document tree.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Line in the file, from 1.
    pub(crate) line: usize,
    pub(crate) value: Value,
    /// Number of nodes in this subtree, including this one.
    nodes: usize,
    height: usize,
    /// Total length of the texts in this subtree, including keys, in bytes.
    len: usize,
}

/// The value of a node.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number {
        /// Whether Go decodes it into an `int64`.
        is_int64: bool,
    },
    Text(String),
    List(Vec<Node>),
    /// May contain duplicate keys.
    Map(Vec<(Key, Node)>),
}

/// A key and its line in the file.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Value {
    /// The type of the value with its article, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number { .. } => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// The root of an empty file: null on line 1.
    pub(crate) fn absent() -> Self {
        Self::leaf(1, Value::Null)
    }

    fn leaf(line: usize, value: Value) -> Self {
        let len = if let Value::Text(text) = &value { text.len() } else { 0 };
        Self { line, value, nodes: 1, height: 0, len }
    }
}

/// Parses the first document of a text; `None` if the text has no document.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, LoadError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| LoadError::Syntax {
            line: error.marker().line(),
            message: error.info().to_owned(),
        })?;
        let line = span.start.line();
        match event {
            Event::DocumentEnd => break,
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                builder.add(Node::leaf(line, value), Some(text.into_owned()), anchor)?;
            }
            Event::SequenceStart(anchor, _) => {
                builder.open(line, anchor, Open::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, _) => {
                builder.open(line, anchor, Open::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
            Event::Alias(anchor) => builder.alias(line, anchor)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
    }
    Ok(builder.root)
}

#[derive(Default)]
struct Builder {
    stack: Vec<(usize, usize, Open)>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Total length of the texts so far, in bytes.
    len: usize,
    root: Option<Node>,
}

/// A collection whose end is not parsed yet.
enum Open {
    List(Vec<Node>),
    /// The members, and the key whose value is parsed next.
    Map(Vec<(Key, Node)>, Option<Key>),
}

impl Builder {
    fn open(&mut self, line: usize, anchor: usize, open: Open) -> Result<(), LoadError> {
        if self.stack.len() == DEPTH_MAX {
            return Err(syntax(line, "nested too deeply"));
        }
        self.stack.push((line, anchor, open));
        Ok(())
    }

    fn close(&mut self) -> Result<(), LoadError> {
        let Some((line, anchor, open)) = self.stack.pop() else {
            return Ok(());
        };
        let value = match open {
            Open::List(items) => Value::List(items),
            Open::Map(members, _) => Value::Map(merge(members)?),
        };
        let (mut nodes, mut height, mut len) = (1, 0, 0);
        let mut count = |key: &str, child: &Node| {
            nodes += child.nodes;
            height = height.max(child.height + 1);
            len += key.len() + child.len;
        };
        match &value {
            Value::List(items) => items.iter().for_each(|child| count("", child)),
            Value::Map(members) => members.iter().for_each(|(key, child)| count(&key.text, child)),
            _ => {}
        }
        self.add(Node { line, value, nodes, height, len }, None, anchor)
    }

    fn alias(&mut self, line: usize, anchor: usize) -> Result<(), LoadError> {
        // An alias to an unfinished collection would contain itself.
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(syntax(line, "an alias to a value that is not complete"));
        };
        if self.stack.len() + target.height > DEPTH_MAX {
            return Err(syntax(line, "nested too deeply"));
        }
        self.nodes += target.nodes;
        self.len += target.len;
        if self.nodes > NODES_MAX || self.len > TEXT_LEN_MAX {
            return Err(syntax(line, "aliases make the document too large"));
        }
        let key = match &target.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        let node = target.clone();
        self.add(node, key, 0)
    }

    /// Adds a complete node to the open collection; `key` is its text, if it can be a key.
    fn add(&mut self, node: Node, key: Option<String>, anchor: usize) -> Result<(), LoadError> {
        self.nodes += 1;
        if anchor != 0 {
            self.nodes += node.nodes;
            self.len += node.len;
            self.anchors.insert(anchor, node.clone());
        }
        if self.nodes > NODES_MAX || self.len > TEXT_LEN_MAX {
            return Err(syntax(node.line, "the document is too large"));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some((_, _, Open::List(items))) => items.push(node),
            Some((_, _, Open::Map(members, pending))) => {
                if let Some(key) = pending.take() {
                    members.push((key, node));
                } else {
                    let text = key.ok_or_else(|| syntax(node.line, "a key must be a scalar"))?;
                    *pending = Some(Key { text, line: node.line });
                }
            }
        }
        Ok(())
    }
}

/// Replaces `<<` by the merged members; explicit members win.
fn merge(members: Vec<(Key, Node)>) -> Result<Vec<(Key, Node)>, LoadError> {
    let (sources, mut members): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|(key, _)| key.text == "<<");
    for (key, source) in sources {
        let maps = match source.value {
            Value::List(items) => items,
            _ => vec![source],
        };
        for map in maps {
            let Value::Map(merged) = map.value else {
                return Err(syntax(key.line, "only mappings can be merged"));
            };
            for (key, node) in merged {
                if members.iter().all(|(known, _)| known.text != key.text) {
                    members.push((key, node));
                }
            }
        }
    }
    Ok(members)
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Value::Number { is_int64: false },
        _ if is_number(text) => Value::Number { is_int64: is_int64(text) },
        _ => Value::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let plain = digits.replace('_', "");
    let radix = |prefix: &str, radix: u32| {
        plain
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|digit| digit.is_digit(radix)))
    };
    let has_start = plain.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    radix("0x", 16) || radix("0b", 2) || radix("0o", 8) || has_start && plain.parse::<f64>().is_ok()
}

/// Whether a number becomes an `int64` on its way through JSON: an integer, or a float without a
/// fractional part.
fn is_int64(text: &str) -> bool {
    const END: f64 = 9_223_372_036_854_775_808.0;
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let prefixed = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, radix)));
    let (digits, radix) = prefixed.filter(|(rest, _)| !rest.is_empty()).unwrap_or((digits, 10));
    let is_whole = |number: f64| number.fract() == 0.0 && (-END..END).contains(&number);
    i64::from_str_radix(&format!("{sign}{digits}"), radix).is_ok()
        || plain.parse::<f64>().is_ok_and(is_whole)
}

fn syntax(line: usize, message: &str) -> LoadError {
    LoadError::Syntax { line, message: message.to_owned() }
}
