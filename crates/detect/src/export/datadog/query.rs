//! Conditions in Datadog's log search syntax.
//!
//! Comparisons are case-sensitive; the syntax has no regular expressions and cannot compare two
//! attributes.

use crate::export::condition::{Attribute, Case, Condition, Operator, Relation, Wild};
use crate::export::fidelity::{Effect, Reason, ReasonKind};
use crate::export::profile::{Kind, Profile};

/// Writes conditions for one profile, and collects the differences.
pub(super) struct Writer<'p> {
    pub(super) profile: &'p Profile,
    pub(super) reasons: Vec<Reason>,
}

/// The polarity of a part of a condition: within `not` the effect of a difference is inverted.
#[derive(Clone, Copy, PartialEq)]
enum Polarity {
    Positive,
    Negated,
}

impl Polarity {
    const fn inverted(self) -> Self {
        match self {
            Self::Positive => Self::Negated,
            Self::Negated => Self::Positive,
        }
    }

    /// The effect of a test that matches fewer events than it should.
    const fn effect_of_fewer(self) -> Effect {
        match self {
            Self::Positive => Effect::Fewer,
            Self::Negated => Effect::More,
        }
    }
}

impl Writer<'_> {
    /// Writes a condition as a query.
    pub(super) fn query(&mut self, condition: &Condition) -> Result<String, Reason> {
        match condition {
            Condition::All(parts) if !parts.is_empty() => {
                self.joined(parts, " ", Polarity::Positive)
            }
            other => self.part(other, Polarity::Positive),
        }
    }

    fn joined(
        &mut self,
        parts: &[Condition],
        separator: &str,
        polarity: Polarity,
    ) -> Result<String, Reason> {
        let parts: Result<Vec<String>, Reason> =
            parts.iter().map(|part| self.part(part, polarity)).collect();
        Ok(parts?.join(separator))
    }

    fn part(&mut self, condition: &Condition, polarity: Polarity) -> Result<String, Reason> {
        Ok(match condition {
            Condition::All(parts) if parts.is_empty() => "*".to_owned(),
            Condition::Any(parts) if parts.is_empty() => "-*".to_owned(),
            Condition::All(parts) => format!("({})", self.joined(parts, " ", polarity)?),
            Condition::Any(parts) => format!("({})", self.joined(parts, " OR ", polarity)?),
            Condition::Not(inner) => format!("-{}", self.part(inner, polarity.inverted())?),
            Condition::Test(attribute, operator) => self.test(attribute, operator, polarity)?,
        })
    }

    fn test(
        &mut self,
        attribute: &Attribute,
        operator: &Operator,
        polarity: Polarity,
    ) -> Result<String, Reason> {
        let (name, kind) = self.profile.named(attribute)?;
        let value = match operator {
            Operator::OneOf(texts, case) => {
                for text in texts {
                    self.compare_case(attribute, text, *case, polarity);
                }
                let values: Vec<String> = texts.iter().map(|text| literal(text)).collect();
                match values.as_slice() {
                    [text] => text.clone(),
                    _ => format!("({})", values.join(" OR ")),
                }
            }
            Operator::Contains(text, case) => {
                self.compare_case(attribute, text, *case, polarity);
                format!("*{}*", escaped(text))
            }
            Operator::StartsWith(text, case) => {
                self.compare_case(attribute, text, *case, polarity);
                format!("{}*", escaped(text))
            }
            Operator::EndsWith(text, case) => {
                self.compare_case(attribute, text, *case, polarity);
                format!("*{}", escaped(text))
            }
            Operator::Like(parts, case) => {
                let mut value = String::new();
                for part in parts {
                    match part {
                        Wild::Text(text) => {
                            self.compare_case(attribute, text, *case, polarity);
                            value.push_str(&escaped(text));
                        }
                        Wild::One => value.push('?'),
                        Wild::Many => value.push('*'),
                    }
                }
                value
            }
            Operator::Number(relation, number) => number_test(*relation, *number, kind, attribute)?,
            Operator::Exists if kind == Kind::Object => {
                let detail = format!("whether the object `{attribute}` exists");
                self.add_reason(Reason::new(
                    ReasonKind::Condition,
                    polarity.effect_of_fewer(),
                    detail,
                ));
                "*".to_owned()
            }
            // K10's encoding has an empty text for an absent value.
            Operator::Exists if kind == Kind::Text => "?*".to_owned(),
            Operator::Exists => "*".to_owned(),
            Operator::Regex(_) => return Err(unknown(attribute, "a regular expression on")),
            Operator::Cidr(_) => return Err(unknown(attribute, "a network of")),
            Operator::Within(_) => return Err(unknown(attribute, "the time of the event beside")),
            Operator::Shorter(_) => return Err(unknown(attribute, "the length of the duration")),
            Operator::SameAs(..) => {
                return Err(unknown(attribute, "a comparison of two fields, with"));
            }
        };
        Ok(format!("{name}:{value}"))
    }

    fn compare_case(&mut self, attribute: &Attribute, text: &str, case: Case, polarity: Polarity) {
        let has_letters = text.chars().any(char::is_alphabetic);
        // Kubernetes' own names have fixed case.
        let is_fixed = attribute.has_fixed_case() || text.starts_with("system:");
        let is_boolean = attribute.is_of_body() && matches!(text, "true" | "false");
        if case == Case::Insensitive && has_letters && !is_fixed && !is_boolean {
            let reason = Reason::new(
                ReasonKind::LetterCase,
                polarity.effect_of_fewer(),
                attribute.to_string(),
            );
            self.add_reason(reason);
        }
    }

    fn add_reason(&mut self, reason: Reason) {
        reason.add_to(&mut self.reasons);
    }
}

fn unknown(attribute: &Attribute, what: &str) -> Reason {
    Reason::refusal(ReasonKind::Condition, format!("{what} `{attribute}`"))
}

fn number_test(
    relation: Relation,
    number: f64,
    kind: Kind,
    attribute: &Attribute,
) -> Result<String, Reason> {
    if kind != Kind::Number {
        return Err(unknown(attribute, "a comparison of numbers with"));
    }
    Ok(match relation {
        Relation::Equal => number.to_string(),
        Relation::Less => format!("<{number}"),
        Relation::LessOrEqual => format!("<={number}"),
        Relation::Greater => format!(">{number}"),
        Relation::GreaterOrEqual => format!(">={number}"),
    })
}

/// Quotes a whole value without wildcards.
fn literal(text: &str) -> String {
    let is_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    let is_operator = matches!(text, "AND" | "OR" | "NOT");
    if !text.is_empty() && text.chars().all(is_word) && !text.starts_with('-') && !is_operator {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Escapes a part of a value next to wildcards, which cannot be quoted.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if !(char.is_alphanumeric() || matches!(char, '.' | '_' | '/')) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}
