//! Conditions in the Kibana Query Language.
//!
//! The language is case-sensitive, has one wildcard and no regular expressions; other conditions
//! use another language.

use crate::export::condition::{Attribute, Case, Condition, Operator, Wild};
use crate::export::profile::{Column, Kind, Profile};

/// Writes a condition; `None` if the language cannot express it.
pub(super) fn query(condition: &Condition, profile: &Profile) -> Option<String> {
    match condition {
        Condition::All(parts) if !parts.is_empty() => joined(parts, " and ", profile),
        other => part(other, profile),
    }
}

fn joined(parts: &[Condition], separator: &str, profile: &Profile) -> Option<String> {
    let parts: Option<Vec<String>> =
        parts.iter().map(|condition| part(condition, profile)).collect();
    Some(parts?.join(separator))
}

fn part(condition: &Condition, profile: &Profile) -> Option<String> {
    Some(match condition {
        Condition::All(parts) if parts.is_empty() => "*".to_owned(),
        Condition::Any(parts) if parts.is_empty() => "(not *)".to_owned(),
        Condition::All(parts) => format!("({})", joined(parts, " and ", profile)?),
        Condition::Any(parts) => format!("({})", joined(parts, " or ", profile)?),
        Condition::Not(inner) => format!("not {}", grouped(&part(inner, profile)?)),
        Condition::Test(attribute, operator) => test(attribute, operator, profile)?,
    })
}

/// Adds parentheses, unless the text has them.
fn grouped(text: &str) -> String {
    if text.starts_with('(') && text.ends_with(')') { text.to_owned() } else { format!("({text})") }
}

fn test(attribute: &Attribute, operator: &Operator, profile: &Profile) -> Option<String> {
    let Column::Named(name, kind) = (profile.column)(attribute) else { return None };
    let name = escaped(&name);
    let is_exact = |text: &str, case: Case| can_express(attribute, text, case);
    Some(match operator {
        Operator::OneOf(texts, case) => {
            if !texts.iter().all(|text| is_exact(text, *case)) {
                return None;
            }
            let values: Vec<String> = texts.iter().map(|text| of_kind(text, kind)).collect();
            match values.as_slice() {
                [text] => format!("{name} : {text}"),
                _ => format!("{name} : ({})", values.join(" or ")),
            }
        }
        Operator::Contains(text, case) if is_exact(text, *case) => {
            format!("{name} : *{}*", wildcard(text)?)
        }
        Operator::StartsWith(text, case) if is_exact(text, *case) => {
            format!("{name} : {}*", wildcard(text)?)
        }
        Operator::EndsWith(text, case) if is_exact(text, *case) => {
            format!("{name} : *{}", wildcard(text)?)
        }
        Operator::Like(parts, case) => {
            let mut value = String::new();
            for part in parts {
                match part {
                    Wild::Text(text) if is_exact(text, *case) => value.push_str(&wildcard(text)?),
                    Wild::Many => value.push('*'),
                    Wild::Text(_) | Wild::One => return None,
                }
            }
            format!("{name} : {value}")
        }
        Operator::Number(relation, number) if kind == Kind::Number => {
            format!("{name} {} {number}", relation.sign(":"))
        }
        Operator::Cidr(network) if !attribute.is_of_body() => {
            format!("{name} : {}", literal(network))
        }
        // An empty text is a value in Elasticsearch, but not in the engine.
        Operator::Exists if kind == Kind::Text => format!("({name} : * and not {name} : \"\")"),
        Operator::Exists if kind != Kind::Object => format!("{name} : *"),
        _ => return None,
    })
}

/// Whether a case-sensitive comparison has the same meaning.
pub(super) fn can_express(attribute: &Attribute, text: &str, case: Case) -> bool {
    let has_letters = text.chars().any(char::is_alphabetic);
    let is_boolean = attribute.is_of_body() && matches!(text, "true" | "false");
    // Kubernetes' own names, which start with `system:`, have fixed case.
    case == Case::Sensitive
        || !has_letters
        || attribute.has_fixed_case()
        || text.starts_with("system:")
        || is_boolean
}

/// A literal: a number for a numeric field, else a text.
pub(super) fn of_kind(text: &str, kind: Kind) -> String {
    let is_number = kind == Kind::Number && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.to_owned() } else { literal(text) }
}

/// A quoted text, valid in all of Elastic's languages.
pub(super) fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Escapes a part of a value next to wildcards; `None` if it has spaces, which would end it.
fn wildcard(text: &str) -> Option<String> {
    let is_plain = |char: char| !char.is_whitespace();
    text.chars().all(is_plain).then(|| escaped(text))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '\\' | '(' | ')' | ':' | '<' | '>' | '"' | '*' | '{' | '}') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}
