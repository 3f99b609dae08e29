//! Conditions in Falco's language.
//!
//! Status codes are texts there, so a range of hundreds is a prefix.

use crate::export::condition::{Attribute, Case, Condition, Operator, Relation, Wild};
use crate::export::fidelity::{Effect, Reason, ReasonKind};
use crate::export::profile::{Kind, Profile};

/// Writes conditions, and collects the differences.
pub(super) struct Writer<'p> {
    pub(super) profile: &'p Profile,
    pub(super) reasons: Vec<Reason>,
}

impl Writer<'_> {
    /// Writes the whole condition.
    pub(super) fn top(&mut self, condition: &Condition) -> Result<String, Reason> {
        match condition {
            Condition::All(parts) => self.joined(parts, " and ", true),
            other => self.part(other, true),
        }
    }

    /// Joins parts. `plain` is false within a negation, where a looser part makes the whole
    /// tighter.
    fn joined(&mut self, parts: &[Condition], with: &str, plain: bool) -> Result<String, Reason> {
        let hundred = parts
            .iter()
            .enumerate()
            .find_map(|(index, part)| Some((index, code_prefix(part, parts.get(index + 1)?)?)));
        let mut texts = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            match hundred {
                Some((at, digit)) if at == index => {
                    texts.push(format!("ka.response.code startswith {digit}"));
                }
                Some((at, _)) if at + 1 == index => {}
                _ => texts.push(self.part(part, plain)?),
            }
        }
        Ok(texts.join(with))
    }

    fn part(&mut self, condition: &Condition, plain: bool) -> Result<String, Reason> {
        Ok(match condition {
            Condition::All(parts) if !parts.is_empty() => {
                format!("({})", self.joined(parts, " and ", plain)?)
            }
            Condition::Any(parts) if !parts.is_empty() => {
                let parts: Result<Vec<String>, Reason> =
                    parts.iter().map(|part| self.part(part, plain)).collect();
                format!("({})", parts?.join(" or "))
            }
            Condition::All(_) => "(ka.verb exists)".to_owned(),
            Condition::Any(_) => "(not ka.verb exists)".to_owned(),
            Condition::Not(inner) => match self.part(inner, !plain)? {
                text if text.starts_with('(') => format!("not {text}"),
                text => format!("not ({text})"),
            },
            Condition::Test(attribute, operator) => self.test(attribute, operator, plain)?,
        })
    }

    fn test(
        &mut self,
        attribute: &Attribute,
        operator: &Operator,
        plain: bool,
    ) -> Result<String, Reason> {
        let unknown =
            |what: &str| Reason::refusal(ReasonKind::Condition, format!("{what} `{attribute}`"));
        let (name, kind) = self.profile.named(attribute)?;
        // A JSON pointer returns a list as a whole.
        if kind == Kind::List && *operator != Operator::Exists {
            let effect = if plain { Effect::Fewer } else { Effect::More };
            self.add_reason(
                ReasonKind::Condition,
                effect,
                format!("one of several in `{attribute}`"),
            );
        }
        let mut compare = |text: &str, case| self.compare_case(attribute, text, case, plain);
        Ok(match operator {
            Operator::OneOf(texts, case) => {
                for text in texts {
                    compare(text, *case);
                }
                let values: Vec<String> = texts.iter().map(|text| literal(text)).collect();
                match values.as_slice() {
                    [text] => format!("{name} = {text}"),
                    _ => format!("{name} in ({})", values.join(", ")),
                }
            }
            Operator::Contains(text, case) => {
                let word = if *case == Case::Insensitive { "icontains" } else { "contains" };
                format!("{name} {word} {}", literal(text))
            }
            Operator::StartsWith(text, case) => {
                compare(text, *case);
                format!("{name} startswith {}", literal(text))
            }
            Operator::EndsWith(text, case) => {
                compare(text, *case);
                format!("{name} endswith {}", literal(text))
            }
            Operator::Like(parts, Case::Sensitive) => {
                like(&name, parts).ok_or_else(|| unknown("a pattern of"))?
            }
            Operator::Exists => format!("({name} exists and {name} != \"\")"),
            Operator::Like(..) => return Err(unknown("a pattern without the case of letters of")),
            Operator::Regex(_) => return Err(unknown("a regular expression on")),
            Operator::Cidr(_) => return Err(unknown("a network of")),
            Operator::Number(..) => return Err(unknown("a comparison of numbers with")),
            Operator::Within(_) => return Err(unknown("the time of the event beside")),
            Operator::Shorter(_) => return Err(unknown("the length of the duration")),
            Operator::SameAs(..) => return Err(unknown("a comparison of two fields, with")),
        })
    }

    fn compare_case(&mut self, attribute: &Attribute, text: &str, case: Case, plain: bool) {
        let has_letters = text.chars().any(char::is_alphabetic);
        let is_fixed = attribute.has_fixed_case() || text.starts_with("system:");
        if case == Case::Insensitive && has_letters && !is_fixed {
            let effect = if plain { Effect::Fewer } else { Effect::More };
            self.add_reason(ReasonKind::LetterCase, effect, attribute.to_string());
        }
    }

    fn add_reason(&mut self, kind: ReasonKind, effect: Effect, detail: String) {
        Reason::new(kind, effect, detail).add_to(&mut self.reasons);
    }
}

/// The first digit of a range of codes such as 400 to 499.
fn code_prefix(lower: &Condition, upper: &Condition) -> Option<u8> {
    let (
        Condition::Test(first, Operator::Number(Relation::GreaterOrEqual, from)),
        Condition::Test(second, Operator::Number(Relation::Less, to)),
    ) = (lower, upper)
    else {
        return None;
    };
    let is_code = first == second && *first == Attribute::named("responseStatus.code");
    let is_near = |left: f64, right: f64| (left - right).abs() < f64::EPSILON;
    (1_u8..6).find(|digit| {
        let hundred = f64::from(*digit) * 100.0;
        is_code && is_near(*from, hundred) && is_near(*to, hundred + 100.0)
    })
}

/// Writes a pattern as `glob`, in which `?` and `[` are special.
fn like(name: &str, parts: &[Wild]) -> Option<String> {
    match parts {
        [Wild::Text(start), Wild::Many] => Some(format!("{name} startswith {}", literal(start))),
        [Wild::Many, Wild::Text(end)] => Some(format!("{name} endswith {}", literal(end))),
        [Wild::Many, Wild::Text(part), Wild::Many] => {
            Some(format!("{name} contains {}", literal(part)))
        }
        parts => {
            let mut glob = String::new();
            for part in parts {
                match part {
                    Wild::Text(text) if text == "?" => glob.push_str("[?]"),
                    Wild::Text(text) if !text.contains(['?', '*', '[', '\\']) => {
                        glob.push_str(text);
                    }
                    Wild::Text(_) => return None,
                    Wild::One => glob.push('?'),
                    Wild::Many => glob.push('*'),
                }
            }
            Some(format!("{name} glob {}", literal(&glob)))
        }
    }
}

fn literal(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    let plain = !text.is_empty() && text.chars().all(is_plain);
    if plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}
