//! Conditions in the expressions of Splunk's `where` and `eval`.
//!
//! Absent fields are filled with empty texts first, so that no comparison is null; JSON's null,
//! which Splunk shows as the text `null`, counts as absent. Paths into bodies select fields, lists
//! of values, and the members of a JSON Patch. The server rejects a list in place of an object in
//! K10's kinds.

use std::collections::BTreeSet;

use crate::export::condition::{Attribute, Case, Condition, Operator, Relation, Wild};
use crate::export::fidelity::{Reason, ReasonKind};
use crate::export::profile::{Kind, Profile};

/// Larger than every compared number; exponents are not documented.
pub(super) const FAR: &str = "999999999999999";

/// Writes conditions for one profile, and collects the fields that must be filled.
pub(super) struct Writer<'p> {
    pub(super) profile: &'p Profile,
    pub(super) filled: BTreeSet<String>,
}

type Written = Result<String, Reason>;

impl Writer<'_> {
    /// Writes a condition as an expression.
    pub(super) fn expression(&mut self, condition: &Condition) -> Written {
        Ok(match condition {
            Condition::All(parts) if parts.is_empty() => "true()".to_owned(),
            Condition::Any(parts) if parts.is_empty() => "false()".to_owned(),
            Condition::All(parts) => format!("({})", self.joined(parts, " AND ")?),
            Condition::Any(parts) => format!("({})", self.joined(parts, " OR ")?),
            Condition::Not(inner) => {
                let has_brackets = matches!(**inner, Condition::All(_) | Condition::Any(_));
                let inner = self.expression(inner)?;
                if has_brackets { format!("NOT {inner}") } else { format!("NOT ({inner})") }
            }
            Condition::Test(attribute, operator) => self.test(attribute, operator)?,
        })
    }

    fn joined(&mut self, parts: &[Condition], with: &str) -> Written {
        let parts: Vec<String> =
            parts.iter().map(|part| self.expression(part)).collect::<Result<_, _>>()?;
        Ok(parts.join(with))
    }

    /// The field, quoted for an expression.
    pub(super) fn field(&mut self, attribute: &Attribute) -> Written {
        let (name, kind) = self.column(attribute)?;
        Ok(match kind {
            Kind::List => format!("mvindex('{name}',0)"),
            _ => self.fill(&name),
        })
    }

    fn column(&self, attribute: &Attribute) -> Result<(String, Kind), Reason> {
        self.profile.named(attribute)
    }

    fn fill(&mut self, name: &str) -> String {
        self.filled.insert(name.to_owned());
        format!("'{name}'")
    }

    fn test(&mut self, attribute: &Attribute, operator: &Operator) -> Written {
        let (name, kind) = self.column(attribute)?;
        let unknown =
            |what: &str| Reason::refusal(ReasonKind::Condition, format!("{what} `{attribute}`"));
        let case = operator.case_of(attribute);
        Ok(match (operator, kind) {
            (Operator::Exists, Kind::Object | Kind::Any) => {
                format!("coalesce(json_extract(_raw,{}),\"null\")!=\"null\"", text(&name))
            }
            (Operator::Exists, Kind::List) => format!("isnotnull('{name}')"),
            (Operator::Exists, _) => format!("{}!=\"\"", self.fill(&name)),
            (Operator::Number(relation, number), _) => {
                // A value that is not a number becomes a number that fails the comparison.
                let none = match relation {
                    Relation::Less | Relation::LessOrEqual => FAR.to_owned(),
                    _ => format!("-{FAR}"),
                };
                let field = self.fill(&name);
                format!("coalesce(tonumber({field}),{none}){}{number}", relation.sign("="))
            }
            (Operator::Within(micros), _) => within(&self.fill(&name), *micros),
            (Operator::Shorter(micros), _) => shorter(&self.fill(&name), *micros),
            (Operator::SameAs(other, case), _) => {
                let (field, other) = (self.fill(&name), self.field(other)?);
                match case {
                    Case::Sensitive => format!("({field}!=\"\" AND {field}={other})"),
                    Case::Insensitive => {
                        format!("({field}!=\"\" AND lower({field})=lower({other}))")
                    }
                }
            }
            (Operator::Cidr(network), Kind::List) => {
                format!("isnotnull(mvfilter(cidrmatch({},'{name}')))", text(network))
            }
            (Operator::Cidr(network), _) => {
                format!("cidrmatch({},{})", text(network), self.fill(&name))
            }
            (operator, Kind::List) => {
                let inner = of_text(&format!("'{name}'"), operator, case);
                let inner = inner.ok_or_else(|| unknown("a comparison of"))?;
                format!("isnotnull(mvfilter({inner}))")
            }
            (operator, kind) => {
                let field = self.fill(&name);
                let test =
                    of_text(&field, operator, case).ok_or_else(|| unknown("a comparison of"))?;
                match list_name(attribute, &name, operator).filter(|_| kind == Kind::Any) {
                    Some(list) => {
                        let listed = of_text(&format!("'{list}'"), operator, case)
                            .ok_or_else(|| unknown("a comparison of"))?;
                        format!("({test} OR isnotnull(mvfilter({listed})))")
                    }
                    None => test,
                }
            }
        })
    }
}

/// The field name for values in a list: the member of a JSON Patch, or a list of texts.
fn list_name(attribute: &Attribute, name: &str, operator: &Operator) -> Option<String> {
    let keys = attribute.keys();
    if let [_, key] = keys.as_slice()
        && matches!(*key, "path" | "op" | "from")
    {
        let root = name.strip_suffix(key)?.strip_suffix('.')?;
        return Some(format!("{root}{{}}.{key}"));
    }
    let is_truth = |text: &String| matches!(text.as_str(), "true" | "false");
    match operator {
        Operator::OneOf(texts, _) if texts.iter().all(is_truth) => None,
        Operator::OneOf(..) => Some(format!("{name}{{}}")),
        _ => None,
    }
}

fn of_text(field: &str, operator: &Operator, case: Case) -> Option<String> {
    let flags = if case == Case::Sensitive { "(?s)" } else { "(?is)" };
    let matched = |regex: &str| format!("match({field},{})", text(&format!("{flags}{regex}")));
    Some(match operator {
        Operator::OneOf(texts, _) => {
            let has_letters = texts.iter().any(|text| text.chars().any(char::is_alphabetic));
            let is_folded = case == Case::Insensitive && has_letters;
            let field = if is_folded { format!("lower({field})") } else { field.to_owned() };
            let texts: Vec<String> = texts
                .iter()
                .map(|value| if is_folded { text(&value.to_lowercase()) } else { text(value) })
                .collect();
            match texts.as_slice() {
                [value] => format!("{field}={value}"),
                many => format!("in({field},{})", many.join(",")),
            }
        }
        Operator::Contains(part, _) => matched(&escaped(part)),
        Operator::StartsWith(part, _) => matched(&format!("^{}", escaped(part))),
        Operator::EndsWith(part, _) => matched(&format!("{}$", escaped(part))),
        Operator::Like(parts, _) => {
            let part = |part: &Wild| match part {
                Wild::Text(text) => escaped(text),
                Wild::One => ".".to_owned(),
                Wild::Many => ".*".to_owned(),
            };
            matched(&format!("^{}$", parts.iter().map(part).collect::<String>()))
        }
        Operator::Regex(regex) => format!("match({field},{})", text(regex)),
        _ => return None,
    })
}

/// Tests for a time at most this many microseconds after the event.
fn within(field: &str, micros: i64) -> String {
    let seconds = micros / 1_000_000;
    // The time zone in the format of `strptime`.
    let utc = format!("replace({field},\"[zZ]$\",\"+0000\")");
    let zoned = format!("replace({utc},\"([+-][0-9][0-9]):([0-9][0-9])$\",\"\\1\\2\")");
    format!(
        "coalesce(strptime({zoned},\"%Y-%m-%dT%H:%M:%S%z\"),\
         strptime({zoned},\"%Y-%m-%dT%H:%M:%S.%N%z\"),{FAR})<=_time+{seconds}"
    )
}

/// Tests for a duration in Go's format of less than this many microseconds.
fn shorter(field: &str, micros: i64) -> String {
    let unit = |unit: &str, following: &str, seconds: &str| {
        format!(
            "if(match({field},\"[0-9.]{unit}{following}\"),\
             tonumber(replace({field},\"^.*?([0-9.]+){unit}{following}.*$\",\"\\1\")),0)*{seconds}"
        )
    };
    let sum = [
        unit("h", "", "3600"),
        unit("m", "(?:[^s]|$)", "60"),
        unit("s", "", "1"),
        unit("ms", "", "0.001"),
    ]
    .join("+");
    let seconds = micros / 1_000_000;
    format!(
        "(match({field},\"^([+-]?0|[+-]?([0-9.]+(h|m|s|ms|us|ns))+)$\") AND \
         (match({field},\"^-\") OR {sum}<{seconds}))"
    )
}

/// Escapes a part of a regular expression without backslashes, which string literals interpret.
fn escaped(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for char in part.chars() {
        match char {
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '$' => {
                escaped.extend(['[', char, ']']);
            }
            '^' | '\\' => escaped.extend(['\\', char]),
            _ => escaped.push(char),
        }
    }
    escaped
}

/// A quoted text.
pub(super) fn text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}
