//! Conditions in ES|QL, for counts by groups and for comparisons of two fields or times.
//!
//! A comparison with an absent field is null, so a negation handles the absent field explicitly.
//! A field with several values is compared as one with a single value; the other languages handle
//! several values.

use super::kql::{can_express, literal, of_kind};
use crate::export::condition::{Attribute, Case, Condition, Operator, Wild};
use crate::export::profile::{Column, Kind, Profile};

/// Writes a condition; `None` if the language cannot express it.
pub(super) fn query(condition: &Condition, profile: &Profile) -> Option<String> {
    Writer { profile, is_negated: false }.top(condition)
}

/// The reference to a field.
pub(super) fn field(name: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '@');
    if name.chars().all(is_plain) { name.to_owned() } else { format!("`{name}`") }
}

/// The column of an attribute.
pub(super) fn column(attribute: &Attribute, profile: &Profile) -> Option<String> {
    match (profile.column)(attribute) {
        Column::Named(name, _) => Some(field(&name)),
        Column::Missing => None,
    }
}

#[derive(Clone, Copy)]
struct Writer<'p> {
    profile: &'p Profile,
    /// Whether the part is within `NOT`, where a test of an absent field must be false.
    is_negated: bool,
}

impl Writer<'_> {
    fn top(self, condition: &Condition) -> Option<String> {
        match condition {
            Condition::All(parts) if !parts.is_empty() => self.joined(parts, " AND "),
            other => self.part(other),
        }
    }

    fn joined(self, parts: &[Condition], with: &str) -> Option<String> {
        let parts: Option<Vec<String>> =
            parts.iter().map(|condition| self.part(condition)).collect();
        Some(parts?.join(with))
    }

    fn part(self, condition: &Condition) -> Option<String> {
        Some(match condition {
            Condition::All(parts) if parts.is_empty() => "true".to_owned(),
            Condition::Any(parts) if parts.is_empty() => "false".to_owned(),
            Condition::All(parts) => format!("({})", self.joined(parts, " AND ")?),
            Condition::Any(parts) => format!("({})", self.joined(parts, " OR ")?),
            Condition::Not(inner) => match (Self { is_negated: true, ..self }).part(inner)? {
                text if text.starts_with('(') => format!("NOT {text}"),
                text => format!("NOT ({text})"),
            },
            Condition::Test(attribute, operator) => {
                let test = self.test(attribute, operator)?;
                match operator {
                    Operator::Exists => test,
                    _ if self.is_negated => format!("COALESCE({test}, false)"),
                    _ => test,
                }
            }
        })
    }

    fn test(self, attribute: &Attribute, operator: &Operator) -> Option<String> {
        let Column::Named(name, kind) = (self.profile.column)(attribute) else { return None };
        let name = field(&name);
        if kind == Kind::Object || (kind == Kind::List && *operator != Operator::Exists) {
            return None;
        }
        let compared = |texts: &[&str], case| {
            let is_same = texts.iter().all(|text| can_express(attribute, text, case));
            if is_same { (name.clone(), false) } else { (format!("TO_LOWER({name})"), true) }
        };
        let written = |text: &str, lower: bool| {
            if lower { text.to_lowercase() } else { text.to_owned() }
        };
        Some(match operator {
            Operator::OneOf(texts, case) => {
                let all: Vec<&str> = texts.iter().map(String::as_str).collect();
                let (name, lower) = compared(&all, *case);
                let values: Vec<String> =
                    all.iter().map(|text| of_kind(&written(text, lower), kind)).collect();
                match values.as_slice() {
                    [text] => format!("{name} == {text}"),
                    _ => format!("{name} IN ({})", values.join(", ")),
                }
            }
            Operator::StartsWith(text, case) => {
                let (name, lower) = compared(&[text], *case);
                format!("STARTS_WITH({name}, {})", literal(&written(text, lower)))
            }
            Operator::EndsWith(text, case) => {
                let (name, lower) = compared(&[text], *case);
                format!("ENDS_WITH({name}, {})", literal(&written(text, lower)))
            }
            Operator::Contains(text, case) => {
                let parts = [Wild::Many, Wild::Text(text.clone()), Wild::Many];
                let (name, lower) = compared(&[text], *case);
                format!("{name} LIKE {}", literal(&written(&like(&parts), lower)))
            }
            Operator::Like(parts, case) => {
                let (name, lower) = compared(&texts_of(parts), *case);
                format!("{name} LIKE {}", literal(&written(&like(parts), lower)))
            }
            Operator::Number(relation, number) if kind == Kind::Number => {
                format!("{name} {} {number}", relation.sign("=="))
            }
            Operator::Exists if kind == Kind::Text => {
                format!("({name} IS NOT NULL AND {name} != \"\")")
            }
            Operator::Exists => format!("{name} IS NOT NULL"),
            Operator::Within(micros) if kind == Kind::Time => {
                let stamp = column(&Attribute::named("stageTimestamp"), self.profile)?;
                let seconds = micros / 1_000_000;
                format!("{name} <= {stamp} + {seconds} seconds")
            }
            Operator::SameAs(other, case) => {
                let other = column(other, self.profile)?;
                match case {
                    Case::Sensitive => format!("{name} == {other}"),
                    Case::Insensitive => format!("TO_LOWER({name}) == TO_LOWER({other})"),
                }
            }
            Operator::Cidr(_)
            | Operator::Regex(_)
            | Operator::Shorter(_)
            | Operator::Number(..)
            | Operator::Within(_) => return None,
        })
    }
}

fn texts_of(parts: &[Wild]) -> Vec<&str> {
    parts
        .iter()
        .filter_map(|part| match part {
            Wild::Text(text) => Some(text.as_str()),
            Wild::One | Wild::Many => None,
        })
        .collect()
}

/// Writes a pattern; a backslash escapes literal wildcards.
fn like(parts: &[Wild]) -> String {
    let mut pattern = String::new();
    for part in parts {
        match part {
            Wild::Text(text) => {
                for char in text.chars() {
                    if matches!(char, '*' | '?' | '\\') {
                        pattern.push('\\');
                    }
                    pattern.push(char);
                }
            }
            Wild::One => pattern.push('?'),
            Wild::Many => pattern.push('*'),
        }
    }
    pattern
}
