//! Parses a rule file into trees of nodes with positions.
//!
//! YAML 1.2, core schema: `true` and `false` are booleans, `yes` and `on` are texts. A duplicate
//! key is an error. Aliases are expanded within a budget, so that a small file cannot become a
//! large tree; size, depth and number of nodes are bounded.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::error::{Errors, Position};

/// Maximum size of a file, in bytes.
pub const TEXT_LEN_MAX: usize = 1 << 20;
/// Maximum nesting of lists and mappings. A rule needs six levels.
pub const DEPTH_MAX: usize = 32;
/// Maximum number of nodes of a file, including expanded aliases.
pub const NODES_MAX: usize = 100_000;
/// Maximum total length of the texts of a file, including expanded aliases, in bytes.
pub const EXPANDED_LEN_MAX: usize = 8 << 20;

/// A node of the document tree.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
    /// Number of nodes in this subtree, including this one.
    nodes: usize,
    height: usize,
    /// Total length of the keys and texts in this subtree, in bytes.
    len: usize,
}

/// The value of a node.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// The text as written; [`number`] and [`integer`] parse it.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its position.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Position,
}

impl Value {
    /// The type of the value with its article, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    pub(crate) const fn leaf(at: Position, value: Value) -> Self {
        let len = match &value {
            Value::Text(text) | Value::Number(text) => text.len(),
            _ => 0,
        };
        Self { at, value, nodes: 1, height: 0, len }
    }
}

/// Parses the documents of a text, in order. A syntax error ends parsing, because the rest is
/// unreliable.
pub(crate) fn parse(text: &str, errors: &mut Errors) -> Vec<Node> {
    let mut roots = Vec::new();
    if text.len() > TEXT_LEN_MAX {
        let message = format!("the file has {} bytes, more than {TEXT_LEN_MAX}", text.len());
        errors.hint(Position { line: 1, column: 1 }, message, "split it into several files");
        return roots;
    }
    if let Err((at, message)) = read(text, &mut roots) {
        errors.add(at, message);
    }
    roots
}

type Fault = (Position, String);

fn read(text: &str, roots: &mut Vec<Node>) -> Result<(), Fault> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| (position(*error.marker()), reason(error.info()).to_owned()))?;
        let at = position(span.start);
        match event {
            Event::DocumentEnd => {
                builder.anchors.clear();
                roots.extend(builder.root.take());
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                builder.add(Node::leaf(at, value), Some(text.into_owned()), anchor)?;
            }
            Event::SequenceStart(anchor, _) => {
                builder.open(at, anchor, Open::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, _) => {
                builder.open(at, anchor, Open::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
            Event::Alias(anchor) => builder.alias(at, anchor)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
    }
    Ok(())
}

/// Rewords the error of the parser's own recursion limit, which bounds its look-ahead.
fn reason(info: &str) -> &str {
    if info.contains("recursion limit") { "nested too deeply" } else { info }
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

#[derive(Default)]
struct Builder {
    stack: Vec<(Position, usize, Open)>,
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
    fn open(&mut self, at: Position, anchor: usize, open: Open) -> Result<(), Fault> {
        if self.stack.len() == DEPTH_MAX {
            return Err(fault(at, "nested too deeply"));
        }
        self.stack.push((at, anchor, open));
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some((at, anchor, open)) = self.stack.pop() else {
            return Ok(());
        };
        let value = match open {
            Open::List(items) => Value::List(items),
            Open::Map(members, _) => Value::Map(unique(members)?),
        };
        let mut node = Node { at, value: Value::Null, nodes: 1, height: 0, len: 0 };
        let mut count = |key: &str, child: &Node| {
            node.nodes += child.nodes;
            node.height = node.height.max(child.height + 1);
            node.len += key.len() + child.len;
        };
        match &value {
            Value::List(items) => items.iter().for_each(|child| count("", child)),
            Value::Map(members) => members.iter().for_each(|(key, child)| count(&key.text, child)),
            _ => {}
        }
        self.add(Node { value, ..node }, None, anchor)
    }

    fn alias(&mut self, at: Position, anchor: usize) -> Result<(), Fault> {
        // An alias to an unfinished collection would contain itself.
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(fault(at, "an alias to a value that is not complete"));
        };
        if self.stack.len() + target.height > DEPTH_MAX {
            return Err(fault(at, "nested too deeply"));
        }
        self.nodes += target.nodes;
        self.len += target.len;
        if self.nodes > NODES_MAX || self.len > EXPANDED_LEN_MAX {
            return Err(fault(at, "aliases make the file too large"));
        }
        let key = match &target.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        let node = target.clone();
        self.add(node, key, 0)
    }

    /// Adds a complete node to the open collection; `key` is its text, if it can be a key.
    fn add(&mut self, node: Node, key: Option<String>, anchor: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if anchor != 0 {
            self.nodes += node.nodes;
            self.len += node.len;
            self.anchors.insert(anchor, node.clone());
        }
        if self.nodes > NODES_MAX || self.len > EXPANDED_LEN_MAX {
            return Err(fault(node.at, "the file has too many values"));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some((_, _, Open::List(items))) => items.push(node),
            Some((_, _, Open::Map(members, pending))) => {
                if let Some(key) = pending.take() {
                    members.push((key, node));
                } else {
                    let text = key.ok_or_else(|| fault(node.at, "a key must be a text"))?;
                    *pending = Some(Key { text, at: node.at });
                }
            }
        }
        Ok(())
    }
}

fn unique(members: Vec<(Key, Node)>) -> Result<Vec<(Key, Node)>, Fault> {
    let mut known = HashSet::new();
    for (key, _) in &members {
        if key.text == "<<" {
            return Err(fault(key.at, "`<<` is not supported: write the keys out"));
        }
        if !known.insert(key.text.as_str()) {
            return Err(fault(key.at, &format!("the key `{}` comes twice", printable(&key.text))));
        }
    }
    Ok(members)
}

/// Truncates an untrusted text for messages.
pub(crate) fn printable(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut printable: String =
        text.chars().take(CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        printable.push('…');
    }
    printable
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_number(text) => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && number(text).is_some()
}

/// The value of a number of the core schema. Numbers that are too large are infinite.
pub(crate) fn number(text: &str) -> Option<f64> {
    if let Some(digits) = hexadecimal(text) {
        return Some(value(digits, 16.0));
    }
    if let Some(digits) = octal(text) {
        return Some(value(digits, 8.0));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if unsigned == text => Some(f64::NAN),
        _ => text.parse().ok(),
    }
}

/// The value of an integer of the core schema that is not negative.
pub(crate) fn integer(text: &str) -> Option<u64> {
    match (hexadecimal(text), octal(text)) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (_, Some(digits)) => u64::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    }
}

fn hexadecimal(text: &str) -> Option<&str> {
    let is_digits =
        |digits: &&str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.strip_prefix("0x").filter(is_digits)
}

fn octal(text: &str) -> Option<&str> {
    let is_digits = |digits: &&str| {
        !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'))
    };
    text.strip_prefix("0o").filter(is_digits)
}

fn value(digits: &str, base: f64) -> f64 {
    let digits = digits.chars().filter_map(|digit| digit.to_digit(16));
    digits.fold(0.0, |value, digit| value.mul_add(base, f64::from(digit)))
}

fn fault(at: Position, message: &str) -> Fault {
    (at, message.to_owned())
}
