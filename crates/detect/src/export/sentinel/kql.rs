//! Conditions in the Kusto Query Language.
//!
//! Every expression is true or false, never null: an absent text is empty, and `not` of its test is
//! true. Paths into bodies select fields, lists of values, and the members of a JSON Patch. The
//! server rejects a list in place of an object in K10's kinds.

use crate::export::condition::{Attribute, Case, Condition, Operator, Wild};
use crate::export::fidelity::{Reason, ReasonKind};
use crate::export::profile::{Kind, Profile};

/// Writes conditions for a table.
pub(super) struct Writer<'p> {
    pub(super) profile: &'p Profile,
    /// Expression of the event time.
    pub(super) time: &'static str,
}

type Written = Result<String, Reason>;

impl Writer<'_> {
    /// Writes a condition as an expression.
    pub(super) fn expression(&self, condition: &Condition) -> Written {
        Ok(match condition {
            Condition::All(parts) if parts.is_empty() => "true".to_owned(),
            Condition::Any(parts) if parts.is_empty() => "false".to_owned(),
            Condition::All(parts) => format!("({})", self.joined(parts, " and ")?),
            Condition::Any(parts) => format!("({})", self.joined(parts, " or ")?),
            Condition::Not(inner) => {
                let has_brackets = matches!(**inner, Condition::All(_) | Condition::Any(_));
                let inner = self.expression(inner)?;
                if has_brackets { format!("not{inner}") } else { format!("not({inner})") }
            }
            Condition::Test(attribute, operator) => self.test(attribute, operator)?,
        })
    }

    fn joined(&self, parts: &[Condition], with: &str) -> Written {
        let parts: Vec<String> =
            parts.iter().map(|part| self.expression(part)).collect::<Result<_, _>>()?;
        Ok(parts.join(with))
    }

    /// The field, converted to a text.
    pub(super) fn text_of(&self, attribute: &Attribute) -> Written {
        let (name, kind) = self.column(attribute)?;
        Ok(as_text(&name, kind))
    }

    /// The field without conversion.
    pub(super) fn column(&self, attribute: &Attribute) -> Result<(String, Kind), Reason> {
        self.profile.named(attribute)
    }

    fn test(&self, attribute: &Attribute, operator: &Operator) -> Written {
        let (name, kind) = self.column(attribute)?;
        let value = as_text(&name, kind);
        let unknown =
            |what: &str| Reason::refusal(ReasonKind::Condition, format!("{what} `{attribute}`"));
        Ok(match operator {
            Operator::Exists if kind == Kind::List => {
                format!("coalesce(array_length({name}), 0) > 0")
            }
            Operator::OneOf(texts, case) if kind == Kind::List => in_list(&name, texts, *case),
            _ if kind == Kind::List => return Err(unknown("a part of the list")),
            Operator::Number(relation, number) => {
                format!("coalesce(todouble({value}) {} {number}, false)", relation.sign("=="))
            }
            Operator::Within(micros) => {
                let time = self.time;
                let end = format!("{time} + {}s", micros / 1_000_000);
                format!("coalesce(todatetime({value}) <= {end}, false)")
            }
            Operator::Shorter(micros) => shorter(&value, *micros),
            Operator::SameAs(other, case) => {
                let other = self.text_of(other)?;
                let equal = if *case == Case::Sensitive { "==" } else { "=~" };
                format!("(isnotempty({value}) and {value} {equal} {other})")
            }
            Operator::Cidr(network) => {
                let is_in =
                    if network.contains(':') { "ipv6_is_match" } else { "ipv4_is_in_range" };
                format!("coalesce({is_in}({value}, {}), false)", text(network))
            }
            _ => {
                let case = operator.case_of(attribute);
                let test =
                    of_text(&value, operator, case).ok_or_else(|| unknown("a comparison of"))?;
                match self.of_list(attribute, &name, operator, case)? {
                    Some(listed) if kind == Kind::Any => format!("({test} or {listed})"),
                    _ => test,
                }
            }
        })
    }

    /// Applies a test to the lists of a body: the values, or the members of a JSON Patch.
    fn of_list(
        &self,
        attribute: &Attribute,
        name: &str,
        operator: &Operator,
        case: Case,
    ) -> Result<Option<String>, Reason> {
        let keys = attribute.keys();
        if let [root @ ("requestObject" | "responseObject"), key] = keys.as_slice()
            && matches!(*key, "path" | "op" | "from")
        {
            let (root, _) = self.column(&Attribute::named(root))?;
            return Ok(patch_member(key, operator, case)
                .map(|regex| format!("tostring({root}) matches regex {}", raw(&regex))));
        }
        let is_truth = |text: &String| matches!(text.as_str(), "true" | "false");
        Ok(match operator {
            Operator::OneOf(texts, _) if !texts.iter().all(is_truth) => {
                Some(in_list(name, texts, case))
            }
            _ => None,
        })
    }
}

fn as_text(name: &str, kind: Kind) -> String {
    let is_dynamic = name.contains(['.', '[']);
    let is_plain = !is_dynamic && matches!(kind, Kind::Text | Kind::Time);
    if is_plain { name.to_owned() } else { format!("tostring({name})") }
}

fn of_text(value: &str, operator: &Operator, case: Case) -> Option<String> {
    let with = |name: &str, part: &str| {
        let suffix = if case == Case::Sensitive { "_cs" } else { "" };
        format!("{value} {name}{suffix} {}", text(part))
    };
    Some(match operator {
        Operator::Exists => format!("isnotempty({value})"),
        Operator::OneOf(texts, _) => match (texts.as_slice(), case) {
            ([value_text], Case::Sensitive) => format!("{value} == {}", text(value_text)),
            ([value_text], Case::Insensitive) => format!("{value} =~ {}", text(value_text)),
            (many, case) => {
                let many: Vec<String> = many.iter().map(|value_text| text(value_text)).collect();
                let is_in = if case == Case::Sensitive { "in" } else { "in~" };
                format!("{value} {is_in} ({})", many.join(", "))
            }
        },
        Operator::Contains(part, _) => with("contains", part),
        Operator::StartsWith(part, _) => with("startswith", part),
        Operator::EndsWith(part, _) => with("endswith", part),
        Operator::Like(parts, _) => {
            let flags = if case == Case::Sensitive { "(?s)" } else { "(?is)" };
            let regex = format!("{flags}^{}$", wild(parts, ".", ".*"));
            format!("{value} matches regex {}", raw(&regex))
        }
        Operator::Regex(regex) => format!("{value} matches regex {}", raw(regex)),
        _ => return None,
    })
}

/// Tests whether a list contains one of the texts.
fn in_list(name: &str, texts: &[String], case: Case) -> String {
    let has_letters = texts.iter().any(|text| text.chars().any(char::is_alphabetic));
    let is_folded = case == Case::Insensitive && has_letters;
    let list =
        if is_folded { format!("parse_json(tolower(tostring({name})))") } else { name.to_owned() };
    let parts: Vec<String> = texts
        .iter()
        .map(|value_text| {
            let value_text = if is_folded { value_text.to_lowercase() } else { value_text.clone() };
            format!("coalesce(set_has_element({list}, {}), false)", text(&value_text))
        })
        .collect();
    match parts.as_slice() {
        [value_text] => value_text.clone(),
        _ => format!("({})", parts.join(" or ")),
    }
}

/// Tests a member of the operations of a JSON Patch. Quotes within a text are escaped, so a text
/// cannot imitate a member.
fn patch_member(key: &str, operator: &Operator, case: Case) -> Option<String> {
    const ANY: &str = "[^\"]*";
    let value = match operator {
        Operator::Exists => "\"[^\"]".to_owned(),
        Operator::OneOf(texts, _) => {
            let texts: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
            format!("\"({})\"", texts.join("|"))
        }
        Operator::StartsWith(part, _) => format!("\"{}", regex::escape(part)),
        Operator::Contains(part, _) => format!("\"{ANY}{}", regex::escape(part)),
        Operator::EndsWith(part, _) => format!("\"{ANY}{}\"", regex::escape(part)),
        Operator::Like(parts, _) => format!("\"{}\"", wild(parts, "[^\"]", ANY)),
        _ => return None,
    };
    let flags = if case == Case::Sensitive { "(?s)" } else { "(?is)" };
    Some(format!(r#"{flags}^\s*\[.*"{key}"\s*:\s*{value}"#))
}

fn wild(parts: &[Wild], one_character: &str, many_characters: &str) -> String {
    let part = |part: &Wild| match part {
        Wild::Text(text) => regex::escape(text),
        Wild::One => one_character.to_owned(),
        Wild::Many => many_characters.to_owned(),
    };
    parts.iter().map(part).collect()
}

/// Tests for a duration in Go's format of less than this many microseconds.
fn shorter(value: &str, micros: i64) -> String {
    let unit = |regex: &str, seconds: &str| {
        format!("coalesce(todouble(extract({}, 1, {value})), 0.0) * {seconds}", raw(regex))
    };
    let sum = [
        unit("([0-9.]+)h", "3600"),
        unit("([0-9.]+)m([^s]|$)", "60"),
        unit("([0-9.]+)s", "1"),
        unit("([0-9.]+)ms", "0.001"),
    ]
    .join(" + ");
    let form = raw("^([+-]?0|[+-]?([0-9.]+(h|m|s|ms|us|ns))+)$");
    let seconds = micros / 1_000_000;
    format!("({value} matches regex {form} and ({value} startswith_cs \"-\" or {sum} < {seconds}))")
}

/// A quoted text.
pub(super) fn text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// A verbatim quoted text, without escapes.
fn raw(text: &str) -> String {
    format!("@\"{}\"", text.replace('"', "\"\""))
}
