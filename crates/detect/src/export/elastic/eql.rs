//! Conditions in the Event Query Language: case-insensitive comparisons, networks, regular
//! expressions.
//!
//! An index may lack a field, so each is optional (`?`). The language cannot compare two fields.

use super::kql::{can_express, literal, of_kind};
use crate::export::condition::{Attribute, Case, Condition, Operator, Wild};
use crate::export::profile::{Column, Kind, Profile};

/// Special characters of Lucene's regular expressions, which a backslash escapes.
const REGEX_SIGNS: &str = ".?+*|{}[]()\"\\#@&<>~^$/-";

/// Writes a condition; `None` if the language cannot express it.
pub(super) fn query(condition: &Condition, profile: &Profile) -> Option<String> {
    match condition {
        Condition::All(parts) if !parts.is_empty() => joined(parts, " and ", profile),
        other => part(other, profile),
    }
}

/// The reference to a field.
pub(super) fn field(name: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '@');
    let plain = name.chars().all(is_plain);
    if plain { format!("?{name}") } else { format!("?`{name}`") }
}

fn joined(parts: &[Condition], with: &str, profile: &Profile) -> Option<String> {
    let parts: Option<Vec<String>> =
        parts.iter().map(|part_condition| part(part_condition, profile)).collect();
    Some(parts?.join(with))
}

fn part(condition: &Condition, profile: &Profile) -> Option<String> {
    Some(match condition {
        Condition::All(parts) if parts.is_empty() => "true".to_owned(),
        Condition::Any(parts) if parts.is_empty() => "false".to_owned(),
        Condition::All(parts) => format!("({})", joined(parts, " and ", profile)?),
        Condition::Any(parts) => format!("({})", joined(parts, " or ", profile)?),
        Condition::Not(inner) => match part(inner, profile)? {
            text if text.starts_with('(') => format!("not {text}"),
            text => format!("not ({text})"),
        },
        Condition::Test(attribute, operator) => test(attribute, operator, profile)?,
    })
}

fn test(attribute: &Attribute, operator: &Operator, profile: &Profile) -> Option<String> {
    let Column::Named(name, kind) = (profile.column)(attribute) else { return None };
    let name = field(&name);
    Some(match operator {
        Operator::OneOf(texts, case) => {
            let mark = mark(*case, texts, attribute);
            let values: Vec<String> = texts.iter().map(|text| of_kind(text, kind)).collect();
            match values.as_slice() {
                [text] if mark.is_empty() => format!("{name} == {text}"),
                _ => format!("{name} in{mark} ({})", values.join(", ")),
            }
        }
        Operator::Contains(text, case) => {
            pattern(&name, &[Wild::Many, part_of(text), Wild::Many], *case, attribute)
        }
        Operator::StartsWith(text, case) => {
            pattern(&name, &[part_of(text), Wild::Many], *case, attribute)
        }
        Operator::EndsWith(text, case) => {
            pattern(&name, &[Wild::Many, part_of(text)], *case, attribute)
        }
        Operator::Like(parts, case) => pattern(&name, parts, *case, attribute),
        Operator::Number(relation, number) if kind == Kind::Number => {
            format!("{name} {} {number}", relation.sign("=="))
        }
        Operator::Cidr(network) if !attribute.is_of_body() => {
            format!("cidrMatch({name}, {})", literal(network))
        }
        // An empty text is a value in Elasticsearch, but not in the engine.
        Operator::Exists if kind == Kind::Text => format!("({name} != null and {name} != \"\")"),
        Operator::Exists if kind != Kind::Object => format!("{name} != null"),
        _ => return None,
    })
}

fn part_of(text: &str) -> Wild {
    Wild::Text(text.to_owned())
}

/// The mark of a case-insensitive comparison, if case matters.
fn mark(case: Case, texts: &[String], attribute: &Attribute) -> &'static str {
    let is_same = texts.iter().all(|text| can_express(attribute, text, case));
    if is_same { "" } else { "~" }
}

/// Writes a pattern. `like` has no escape, so literal wildcards need a regular expression.
fn pattern(name: &str, parts: &[Wild], case: Case, attribute: &Attribute) -> String {
    let texts: Vec<String> = parts
        .iter()
        .filter_map(|part| match part {
            Wild::Text(text) => Some(text.clone()),
            Wild::One | Wild::Many => None,
        })
        .collect();
    let mark = mark(case, &texts, attribute);
    if !texts.iter().any(|text| text.contains(['?', '*'])) {
        let like: String = parts.iter().map(wildcard).collect();
        return format!("{name} like{mark} {}", literal(&like));
    }
    let regex: String = parts.iter().map(regex).collect();
    format!("{name} regex{mark} {}", literal(&regex))
}

fn wildcard(part: &Wild) -> String {
    match part {
        Wild::Text(text) => text.clone(),
        Wild::One => "?".to_owned(),
        Wild::Many => "*".to_owned(),
    }
}

fn regex(part: &Wild) -> String {
    match part {
        Wild::Text(text) => text.chars().fold(String::new(), |mut escaped, char| {
            if REGEX_SIGNS.contains(char) {
                escaped.push('\\');
            }
            escaped.push(char);
            escaped
        }),
        Wild::One => ".".to_owned(),
        Wild::Many => ".*".to_owned(),
    }
}
