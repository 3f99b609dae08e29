//! Writes a condition as Sigma selections and a condition over them.

use super::yaml::{Mapping, quoted};
use crate::export::condition::{Attribute, Case, Condition, Operator, Relation, Wild};
use crate::export::fidelity::{Reason, ReasonKind};
use crate::export::profile::{Kind, Profile};

/// Selections with unique names.
pub(super) struct Selections<'p> {
    profile: &'p Profile,
    named: Vec<(String, Mapping)>,
}

/// A test of a field: its name with modifiers, and values.
struct Item {
    key: String,
    values: Vec<String>,
}

impl<'p> Selections<'p> {
    /// The mapping under `detection`.
    pub(super) fn of(condition: &Condition, profile: &'p Profile) -> Result<Mapping, Reason> {
        let mut selections = Self { profile, named: Vec::new() };
        let parts = match condition {
            Condition::All(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        let text = selections.all(parts, "selection")?;
        let mut detection = Mapping::default();
        for (name, selection) in selections.named {
            detection.mapping(&name, selection);
        }
        detection.text("condition", &text);
        Ok(detection)
    }

    /// Writes a conjunction; the parts that fit into one mapping become one selection.
    fn all(&mut self, parts: &[Condition], name: &str) -> Result<String, Reason> {
        let mut combined: Vec<Item> = Vec::new();
        let mut words = Vec::new();
        let mut separate = Vec::new();
        for part in parts {
            match part {
                Condition::Test(attribute, operator) => {
                    let item = self.item(attribute, operator)?;
                    if combined.iter().any(|known| known.key == item.key) {
                        separate.push(self.selection(vec![item], name));
                    } else {
                        combined.push(item);
                    }
                }
                other => {
                    let name = if matches!(other, Condition::Not(_)) { "filter" } else { "part" };
                    separate.push(self.expression(other, name)?);
                }
            }
        }
        if !combined.is_empty() {
            words.push(self.selection(combined, name));
        }
        words.append(&mut separate);
        Ok(words.join(" and "))
    }

    fn expression(&mut self, condition: &Condition, name: &str) -> Result<String, Reason> {
        Ok(match condition {
            Condition::All(parts) if parts.is_empty() => return Err(empty()),
            Condition::Any(parts) if parts.is_empty() => return Err(empty()),
            Condition::All(parts) => {
                let text = self.all(parts, name)?;
                if text.contains(' ') { format!("({text})") } else { text }
            }
            Condition::Any(parts) => {
                let parts: Result<Vec<String>, Reason> =
                    parts.iter().map(|part| self.expression(part, name)).collect();
                format!("({})", parts?.join(" or "))
            }
            Condition::Not(inner) => format!("not {}", self.expression(inner, name)?),
            Condition::Test(attribute, operator) => {
                let item = self.item(attribute, operator)?;
                self.selection(vec![item], name)
            }
        })
    }

    /// Adds a selection and returns its name; an equal selection is reused.
    fn selection(&mut self, items: Vec<Item>, name: &str) -> String {
        let mut selection = Mapping::default();
        for item in items {
            selection.value(&item.key, &item.values);
        }
        if let Some((known, _)) = self.named.iter().find(|(_, known)| *known == selection) {
            return known.clone();
        }
        let count = self.named.iter().filter(|(known, _)| known.starts_with(name)).count();
        let name = if count == 0 { name.to_owned() } else { format!("{name}_{}", count + 1) };
        self.named.push((name.clone(), selection));
        name
    }

    fn item(&self, attribute: &Attribute, operator: &Operator) -> Result<Item, Reason> {
        let (name, kind) = self.profile.named(attribute)?;
        let cased = |text: &str, case: Case| {
            let is_fixed = attribute.has_fixed_case() || !text.chars().any(char::is_alphabetic);
            if case == Case::Sensitive && !is_fixed { "|cased" } else { "" }
        };
        let single_value = |modifier: &str, value: String| Item {
            key: format!("{name}{modifier}"),
            values: vec![value],
        };
        let text = |modifier: &str, text: &str, case: Case| {
            single_value(&format!("{modifier}{}", cased(text, case)), quoted(&escaped(text)))
        };
        Ok(match operator {
            Operator::OneOf(texts, _) if kind == Kind::Number => {
                Item { key: name, values: texts.clone() }
            }
            Operator::OneOf(texts, case) => Item {
                key: format!("{name}{}", cased(&texts.concat(), *case)),
                values: texts.iter().map(|text| quoted(&escaped(text))).collect(),
            },
            Operator::Contains(part, case) => text("|contains", part, *case),
            Operator::StartsWith(start, case) => text("|startswith", start, *case),
            Operator::EndsWith(end, case) => text("|endswith", end, *case),
            Operator::Like(parts, case) => {
                let plain: String = parts.iter().map(wildcards).collect();
                single_value(cased(&plain, *case), quoted(&plain))
            }
            Operator::Regex(regex) => single_value("|re", quoted(regex)),
            Operator::Cidr(network) => single_value("|cidr", quoted(network)),
            Operator::Number(relation, number) => single_value(
                match relation {
                    Relation::Equal => "",
                    Relation::Less => "|lt",
                    Relation::LessOrEqual => "|lte",
                    Relation::Greater => "|gt",
                    Relation::GreaterOrEqual => "|gte",
                },
                number.to_string(),
            ),
            Operator::Exists if kind == Kind::Text => single_value("", quoted("?*")),
            Operator::Exists => single_value("|exists", "true".to_owned()),
            Operator::SameAs(other, case) => single_value(
                if *case == Case::Sensitive { "|fieldref|cased" } else { "|fieldref" },
                quoted(&self.profile.named(other)?.0),
            ),
            Operator::Within(_) => return Err(unknown("the time of the event beside", attribute)),
            Operator::Shorter(_) => return Err(unknown("the length of the duration", attribute)),
        })
    }
}

fn unknown(what: &str, attribute: &Attribute) -> Reason {
    Reason::refusal(ReasonKind::Condition, format!("{what} `{attribute}`"))
}

fn empty() -> Reason {
    Reason::refusal(ReasonKind::Condition, "a condition without a test")
}

fn wildcards(part: &Wild) -> String {
    match part {
        Wild::Text(text) => escaped(text),
        Wild::One => "?".to_owned(),
        Wild::Many => "*".to_owned(),
    }
}

/// Escapes the wildcards of a literal text.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?")
}
