//! Reads the members of a mapping by key; a remaining member is an error.

use super::yaml::{Node, Value, printable};
use crate::error::{Errors, Position};
use crate::nearest;

/// Maximum length of a list of texts, such as references.
const TEXTS_MAX: usize = 1000;

/// A mapping that is being read.
pub(super) struct Members<'n> {
    pub(super) at: Position,
    rest: Vec<(&'n str, Position, &'n Node)>,
    known: Vec<&'static str>,
}

impl<'n> Members<'n> {
    /// The members of a node; reports an error if it is not a mapping.
    pub(super) fn of(node: &'n Node, what: &str, errors: &mut Errors) -> Option<Self> {
        match &node.value {
            Value::Map(members) => Some(Self {
                at: node.at,
                rest: members.iter().map(|(key, node)| (key.text.as_str(), key.at, node)).collect(),
                known: Vec::new(),
            }),
            other => {
                errors.add(node.at, format!("{what} must be a mapping, not {}", other.kind()));
                None
            }
        }
    }

    /// Takes the value of a key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.take_with_key(key).map(|(_, node)| node)
    }

    /// Takes the value of a key, with the position of the key.
    pub(super) fn take_with_key(&mut self, key: &'static str) -> Option<(Position, &'n Node)> {
        self.known.push(key);
        let index = self.rest.iter().position(|(text, ..)| *text == key)?;
        let (_, at, node) = self.rest.remove(index);
        Some((at, node))
    }

    pub(super) fn text(&mut self, key: &'static str, errors: &mut Errors) -> Option<String> {
        self.take(key).and_then(|node| text(node, key, errors))
    }

    pub(super) fn texts(&mut self, key: &'static str, errors: &mut Errors) -> Vec<String> {
        self.take(key).map(|node| texts(node, key, errors)).unwrap_or_default()
    }

    /// The remaining members.
    pub(super) fn rest(self) -> Vec<(&'n str, Position, &'n Node)> {
        self.rest
    }

    /// Reports each remaining member as unknown.
    pub(super) fn finish(self, what: &str, errors: &mut Errors) {
        for (key, at, _) in &self.rest {
            if errors.is_full() {
                return;
            }
            let message = format!("unknown key `{}` in {what}", printable(key));
            let hint = nearest::of(key, self.known.iter().copied()).map_or_else(
                || format!("known keys: {}", self.known.join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            errors.hint(*at, message, hint);
        }
    }
}

/// Reads a text; a number or boolean is taken as written.
pub(super) fn text(node: &Node, what: &str, errors: &mut Errors) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null => None,
        other => {
            errors.add(node.at, format!("`{what}` must be a text, not {}", other.kind()));
            None
        }
    }
}

/// Reads one text or a list of texts.
pub(super) fn texts(node: &Node, what: &str, errors: &mut Errors) -> Vec<String> {
    let Value::List(items) = &node.value else {
        return text(node, what, errors).into_iter().collect();
    };
    listed(node, items, what, errors).iter().filter_map(|item| text(item, what, errors)).collect()
}

/// The items of a list that is not too long.
fn listed<'n>(node: &Node, items: &'n [Node], what: &str, errors: &mut Errors) -> &'n [Node] {
    if items.len() > TEXTS_MAX {
        errors.add(node.at, format!("`{what}` has more than {TEXTS_MAX} entries"));
        return &[];
    }
    items
}

/// Reads one name or a list of names. An entry without a name is an error.
pub(super) fn texts_with_positions(
    node: &Node,
    what: &str,
    errors: &mut Errors,
) -> Vec<(String, Position)> {
    let Value::List(items) = &node.value else {
        return text(node, what, errors).map(|text| (text, node.at)).into_iter().collect();
    };
    let mut texts = Vec::with_capacity(items.len().min(TEXTS_MAX));
    for item in listed(node, items, what, errors) {
        if matches!(item.value, Value::Null) {
            errors.hint(item.at, format!("an entry of `{what}` is empty"), "remove it");
        }
        texts.extend(text(item, what, errors).map(|text| (text, item.at)));
    }
    texts
}
