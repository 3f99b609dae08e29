//! Conditions as label filters in `LogQL`.
//!
//! An absent label is an empty text, as in the engine. The language cannot negate a group, so
//! negations are pushed down to single comparisons.

use crate::export::condition::{Attribute, Case, Condition, Operator, Relation, Wild};
use crate::export::fidelity::{Reason, ReasonKind};
use crate::export::profile::{Column, Kind, Profile};

/// The fields of a search, with their labels.
pub(super) struct Labels<'p> {
    profile: &'p Profile,
    /// Label and path.
    named: Vec<(String, String)>,
}

impl<'p> Labels<'p> {
    pub(super) const fn new(profile: &'p Profile) -> Self {
        Self { profile, named: Vec::new() }
    }

    /// Returns the label of a field and adds it.
    pub(super) fn of(&mut self, attribute: &Attribute) -> Result<String, Reason> {
        let missing = || Reason::refusal(ReasonKind::MissingField, attribute.to_string());
        let Column::Named(path, _) = (self.profile.column)(attribute) else {
            return Err(missing());
        };
        let name = label(attribute);
        let is_of_stream =
            attribute.keys() == ["cluster"] && super::profiles::has_cluster_label(self.profile);
        if !is_of_stream && !self.named.iter().any(|(known, _)| *known == name) {
            self.named.push((name.clone(), path));
        }
        Ok(name)
    }

    /// The parser stage that extracts the labels from a line.
    pub(super) fn stage(&self) -> String {
        let parts: Vec<String> =
            self.named.iter().map(|(name, path)| format!("{name}=\"{path}\"")).collect();
        format!("| json {}", parts.join(", "))
    }

    /// Writes a condition as a filter.
    pub(super) fn filter(&mut self, condition: &Condition) -> Result<String, Reason> {
        match condition {
            Condition::All(parts) if !parts.is_empty() => {
                let parts: Result<Vec<String>, Reason> =
                    parts.iter().map(|part| self.part(part, true)).collect();
                Ok(parts?.iter().map(|part| format!("| {part}")).collect::<Vec<_>>().join(" "))
            }
            other => Ok(format!("| {}", self.part(other, true)?)),
        }
    }

    fn part(&mut self, condition: &Condition, is_positive: bool) -> Result<String, Reason> {
        let (parts, is_all) = match condition {
            Condition::All(parts) => (parts, is_positive),
            Condition::Any(parts) => (parts, !is_positive),
            Condition::Not(inner) => return self.part(inner, !is_positive),
            Condition::Test(attribute, operator) => {
                return self.test(attribute, operator, is_positive);
            }
        };
        let parts: Result<Vec<String>, Reason> =
            parts.iter().map(|part| self.part(part, is_positive)).collect();
        let parts = parts?;
        Ok(match (parts.as_slice(), is_all) {
            // A label that no line has.
            ([], true) => "nothing=\"\"".to_owned(),
            ([], false) => "nothing!=\"\"".to_owned(),
            (parts, true) => format!("({})", parts.join(" and ")),
            (parts, false) => format!("({})", parts.join(" or ")),
        })
    }

    /// For a member of JSON patch operations: the label of the body, and the key.
    fn of_operations(&mut self, attribute: &Attribute) -> Result<Option<(String, String)>, Reason> {
        match attribute.keys().as_slice() {
            [body, key] => Ok(Some((self.of(&Attribute::named(body))?, (*key).to_owned()))),
            _ => Ok(None),
        }
    }

    fn test(
        &mut self,
        attribute: &Attribute,
        operator: &Operator,
        is_positive: bool,
    ) -> Result<String, Reason> {
        let (_, kind) = self.profile.named(attribute)?;
        let name = self.of(attribute)?;
        let equal = if is_positive { "=" } else { "!=" };
        let like = if is_positive { "=~" } else { "!~" };
        let connective = if is_positive { "or" } else { "and" };
        let refusal =
            |what: &str| Reason::refusal(ReasonKind::Condition, format!("{what} `{attribute}`"));
        let matches = |regex: &str| format!("{name}{like}{}", literal(regex));
        Ok(match operator {
            Operator::OneOf(texts, case) => match texts.as_slice() {
                [text] if !attribute.is_of_body() && can_express(attribute, text, *case) => {
                    format!("{name}{equal}{}", literal(text))
                }
                texts => {
                    let value = matches(&any_of(texts, attribute, *case));
                    match self.of_operations(attribute)?.filter(|(_, key)| is_operation(key)) {
                        None => value,
                        Some((body, key)) => {
                            let regex = literal(&operation(&key, &alternatives(texts), *case));
                            format!("({value} {connective} {body}{like}{regex})")
                        }
                    }
                }
            },
            Operator::Contains(text, case) => {
                matches(&anchored(&format!(".*{}.*", regex::escape(text)), attribute, *case))
            }
            Operator::StartsWith(text, case) if attribute.is_of_body() => {
                let start = format!("{}[^\\\"]*", regex::escape(text));
                let value = matches(&of_body(&start, *case));
                match self.of_operations(attribute)? {
                    None => value,
                    Some((body, key)) => {
                        let regex = literal(&operation(&key, &start, *case));
                        format!("({value} {connective} {body}{like}{regex})")
                    }
                }
            }
            Operator::StartsWith(text, case) => {
                matches(&anchored(&format!("{}.*", regex::escape(text)), attribute, *case))
            }
            Operator::EndsWith(text, case) => {
                matches(&anchored(&format!(".*{}", regex::escape(text)), attribute, *case))
            }
            Operator::Like(parts, case) => matches(&anchored(&wild(parts), attribute, *case)),
            Operator::Regex(regex) => matches(&format!("(?s:.*)(?:{regex})(?s:.*)")),
            Operator::Number(relation, number) if kind == Kind::Number => {
                // A value that is not a number would fail the whole query.
                let (present, connective) = if is_positive { ("!=", "and") } else { ("=", "or") };
                let sign = comparison(*relation, is_positive);
                format!("({name}{present}\"\" {connective} {name}{sign}{number})")
            }
            Operator::Cidr(network) if !attribute.is_list() => {
                format!("{name}{equal}ip({})", literal(network))
            }
            Operator::Exists => format!("{name}{}\"\"", if is_positive { "!=" } else { "=" }),
            Operator::Number(..) => return Err(refusal("a comparison of numbers with")),
            Operator::Cidr(_) => return Err(refusal("a network of")),
            Operator::Within(_) => return Err(refusal("the time of the event beside")),
            Operator::Shorter(_) => return Err(refusal("the length of the duration")),
            Operator::SameAs(..) => return Err(refusal("a comparison of two fields, with")),
        })
    }
}

/// The label of a field: `user.username` becomes `user_username`. Short names may be stream labels.
pub(super) fn label(attribute: &Attribute) -> String {
    let keys = attribute.keys();
    let text = match keys.as_slice() {
        ["cluster"] => "cluster".to_owned(),
        [key] => format!("audit_{key}"),
        keys => keys.join("_"),
    };
    text.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect()
}

/// Whether operations of a JSON patch have this member.
fn is_operation(key: &str) -> bool {
    matches!(key, "op" | "path" | "from")
}

fn alternatives(texts: &[String]) -> String {
    let escaped: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
    format!("(?:{})", escaped.join("|"))
}

/// A regular expression for any of the texts.
fn any_of(texts: &[String], attribute: &Attribute, case: Case) -> String {
    let any = alternatives(texts);
    if attribute.is_of_body() {
        return of_body(&any, case);
    }
    let is_same = texts.iter().all(|text| can_express(attribute, text, case));
    if is_same { any } else { format!("(?i){any}") }
}

/// A regular expression for a list of operations with a member that begins with `start`.
fn operation(key: &str, start: &str, case: Case) -> String {
    let flags = if case == Case::Insensitive { "(?is)" } else { "(?s)" };
    let space = "[[:space:]]*";
    format!("{flags}{space}\\[.*\\\"{key}\\\"{space}:{space}\\\"{start}\\\".*")
}

/// A regular expression for a value of a body, or for one in a list, which is JSON text.
fn of_body(regex: &str, case: Case) -> String {
    let flags = if case == Case::Insensitive { "(?i)" } else { "" };
    format!("{flags}(?:{regex}|(?s:\\[(?:.*,)?[[:space:]]*\\\"){regex}(?s:\\\".*))")
}

fn anchored(regex: &str, attribute: &Attribute, case: Case) -> String {
    let flags = match case {
        Case::Insensitive if !attribute.has_fixed_case() => "(?is)",
        _ => "(?s)",
    };
    format!("{flags}{regex}")
}

/// Whether a case-sensitive comparison has the same meaning.
fn can_express(attribute: &Attribute, text: &str, case: Case) -> bool {
    let has_letters = text.chars().any(char::is_alphabetic);
    case == Case::Sensitive
        || !has_letters
        || attribute.has_fixed_case()
        || text.starts_with("system:")
}

const fn comparison(relation: Relation, is_positive: bool) -> &'static str {
    match (relation, is_positive) {
        (Relation::Equal, true) => "==",
        (Relation::Equal, false) => "!=",
        (Relation::Less, true) | (Relation::GreaterOrEqual, false) => "<",
        (Relation::LessOrEqual, true) | (Relation::Greater, false) => "<=",
        (Relation::Greater, true) | (Relation::LessOrEqual, false) => ">",
        (Relation::GreaterOrEqual, true) | (Relation::Less, false) => ">=",
    }
}

fn wild(parts: &[Wild]) -> String {
    let part = |part: &Wild| match part {
        Wild::Text(text) => regex::escape(text),
        Wild::One => ".".to_owned(),
        Wild::Many => ".*".to_owned(),
    };
    parts.iter().map(part).collect()
}

/// A quoted Go string.
pub(super) fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
