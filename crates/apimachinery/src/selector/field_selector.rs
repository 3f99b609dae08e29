//! Field selectors: `path=value`, `path==value`, `path!=value`, separated by commas.

use serde_json::{Map, Value};

use crate::{ApiError, fields};

/// Field path of the object name.
const NAME: &str = "metadata.name";

/// Terms of a field selector. All must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// Field path.
    pub path: String,
    /// Value to compare with.
    pub value: String,
    /// Whether the field must be equal (`true`) or not equal (`false`).
    pub is_equal: bool,
}

impl FieldSelector {
    /// Parses a selector over `metadata.name`, `metadata.namespace` and the `selectable_fields`. Another
    /// field is an error.
    pub fn parse(text: &str, selectable_fields: &[&str]) -> Result<Self, ApiError> {
        let mut terms = Vec::new();
        for piece in split(text).iter().filter(|piece| !piece.is_empty()) {
            let term = term(piece).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{piece}'"
                ))
            })?;
            let path = term.path.as_str();
            let is_known =
                matches!(path, NAME | "metadata.namespace") || selectable_fields.contains(&path);
            if !is_known {
                return Err(ApiError::bad_request(format!("field label not supported: {path}")));
            }
            // A positive term with an empty value matches objects without the field.
            terms.push(term);
        }
        Ok(Self { terms })
    }

    /// Restricts an empty selector to the object of this name. A nonempty selector must require
    /// this name.
    pub fn narrow_to_name(&mut self, name: &str) -> Result<(), ApiError> {
        let mut names = self.terms.iter().filter(|term| term.is_equal && term.path == NAME);
        if names.any(|term| term.value == name) {
            return Ok(());
        }
        if !self.terms.is_empty() {
            return Err(ApiError::bad_request(
                "fieldSelector metadata.name doesn't match requested name",
            ));
        }
        self.terms.push(FieldTerm {
            path: NAME.to_owned(),
            value: name.to_owned(),
            is_equal: true,
        });
        Ok(())
    }

    /// Whether the selector matches everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Terms of the selector.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// Whether an object matches all terms.
    pub fn matches(&self, object: &Map<String, Value>) -> bool {
        self.terms.iter().all(|term| {
            let text = match fields::lookup_in(object, &term.path) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
            };
            (text == term.value) == term.is_equal
        })
    }
}

/// Splits at commas that are not escaped with a backslash.
pub fn split(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut is_escaped = false;
    for c in text.chars() {
        if c == ',' && !is_escaped {
            pieces.push(String::new());
            continue;
        }
        is_escaped = c == '\\' && !is_escaped;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

fn term(piece: &str) -> Option<FieldTerm> {
    let at = piece.char_indices().find(|(at, c)| {
        let before = piece.get(..*at).unwrap_or_default();
        matches!(c, '=' | '!') && !before.ends_with('\\')
    });
    let (path, rest) = piece.split_at(at?.0);
    let (value, is_equal) = if let Some(value) = rest.strip_prefix("!=") {
        (value, false)
    } else if let Some(value) = rest.strip_prefix("==") {
        (value, true)
    } else {
        (rest.strip_prefix('=')?, true)
    };
    Some(FieldTerm { path: path.trim().to_owned(), value: unescape(value)?, is_equal })
}

/// Resolves `\\`, `\,` and `\=`. Any other escape, or an unescaped `=`, is an error.
fn unescape(value: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(|c| matches!(c, '\\' | ',' | '='))?),
            '=' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}
