//! Conditions for exports: a tree over recorded fields.
//!
//! Computed fields (`succeeded`, `dryRun`, `actor`) are replaced by the recorded fields that they
//! derive from (module `expand`). Each target writes the tree in its language.

use std::collections::BTreeSet;
use std::fmt;

/// A field of an audit event, by its keys in `audit.k8s.io/v1`. The cluster's name is `cluster`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribute {
    keys: Vec<String>,
}

impl Attribute {
    pub(crate) const fn of(keys: Vec<String>) -> Self {
        Self { keys }
    }

    /// The field with that path; its keys have no dots.
    pub fn named(name: &str) -> Self {
        Self { keys: name.split('.').map(str::to_owned).collect() }
    }

    /// Its keys, from the outside in: `["objectRef", "resource"]`.
    pub fn keys(&self) -> Vec<&str> {
        self.keys.iter().map(String::as_str).collect()
    }

    /// Whether an event can have several values of the field. Any field of a body can.
    pub fn is_list(&self) -> bool {
        let keys = self.keys();
        matches!(keys.as_slice(), ["sourceIPs"] | [_, "groups"] | [_, "extra", ..])
            || self.is_of_body()
    }

    fn is_verb(&self) -> bool {
        self.keys == ["verb"]
    }

    /// Whether it is in the body of the request or response.
    pub fn is_of_body(&self) -> bool {
        matches!(self.keys().as_slice(), ["requestObject" | "responseObject", _, ..])
    }

    /// Whether its value is known to be an object, which many targets cannot test.
    pub fn is_object(&self) -> bool {
        let keys = self.keys();
        matches!(keys.as_slice(), ["requestObject" | "responseObject"])
            || (self.is_of_body()
                && matches!(keys.last(), Some(&("spec" | "status" | "metadata" | "labels"))))
    }

    /// Whether the API server determines the case of its letters, so that a case-sensitive
    /// comparison has the same meaning.
    pub fn has_fixed_case(&self) -> bool {
        let keys = self.keys();
        match keys.as_slice() {
            // The path of a JSON patch is case-sensitive.
            ["verb" | "stage" | "level"] | ["requestObject", "path"] => true,
            ["annotations", key] => key.starts_with("authorization.k8s.io/"),
            ["objectRef", key] => {
                matches!(*key, "resource" | "apiGroup" | "apiVersion" | "subresource" | "namespace")
            }
            _ => false,
        }
    }
}

impl fmt::Display for Attribute {
    /// Joins the keys with dots; a key with dots is in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.keys.iter().enumerate() {
            match (key.contains(['.', '/']), index) {
                (true, _) => write!(f, "[\"{key}\"]")?,
                (false, 0) => f.write_str(key)?,
                (false, _) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// A condition on one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// True if all are; true if empty.
    All(Vec<Self>),
    /// True if any is; false if empty.
    Any(Vec<Self>),
    /// The negation.
    Not(Box<Self>),
    /// A test of one field. A field with several values passes if one of them passes.
    Test(Attribute, Operator),
}

/// A test of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// The field equals one of these texts, which have no wildcards; never empty.
    OneOf(Vec<String>, Case),
    /// The field contains the text.
    Contains(String, Case),
    /// The field begins with the text.
    StartsWith(String, Case),
    /// The field ends with the text.
    EndsWith(String, Case),
    /// The whole field matches the wildcard pattern.
    Like(Vec<Wild>, Case),
    /// The regular expression matches a part of the field; flags are inline, as in `(?i)`.
    Regex(String),
    /// The field is an address in the network, such as `192.0.2.0/24`.
    Cidr(String),
    /// The field is a number that compares like this.
    Number(Relation, f64),
    /// The field has a value; JSON's null and an empty text are no values.
    Exists,
    /// The field is a time at most this many microseconds after the event.
    Within(i64),
    /// The field is a duration in Go's format of less than this many microseconds.
    Shorter(i64),
    /// The fields have a value in common.
    SameAs(Attribute, Case),
}

/// Case sensitivity of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Case-insensitive: `Alice` equals `alice`.
    Insensitive,
    /// Case-sensitive.
    Sensitive,
}

/// A part of a wildcard pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wild {
    /// Literal text.
    Text(String),
    /// `?`: any single character.
    One,
    /// `*`: any number of characters.
    Many,
}

/// A numeric comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Relation {
    /// The operator in most languages; `equal` is the sign of equality, which differs.
    pub const fn sign(self, equal: &'static str) -> &'static str {
        match self {
            Self::Equal => equal,
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Operator {
    /// The case sensitivity that a comparison of the field needs. A field with fixed case is
    /// compared case-sensitively.
    pub fn case_of(&self, attribute: &Attribute) -> Case {
        match self {
            Self::OneOf(_, case)
            | Self::Contains(_, case)
            | Self::StartsWith(_, case)
            | Self::EndsWith(_, case)
            | Self::Like(_, case)
                if !attribute.has_fixed_case() =>
            {
                *case
            }
            _ => Case::Sensitive,
        }
    }
}

impl Condition {
    /// Matches every event.
    pub const ALWAYS: Self = Self::All(Vec::new());
    /// Matches no event.
    pub const NEVER: Self = Self::Any(Vec::new());

    /// The negation of this condition.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            Self::All(parts) if parts.is_empty() => Self::NEVER,
            Self::Any(parts) if parts.is_empty() => Self::ALWAYS,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Tests that a field equals one of these texts, case-sensitively.
    pub fn one_of(name: &str, texts: &[&str]) -> Self {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Self::Test(Attribute::named(name), Operator::OneOf(texts, Case::Sensitive))
    }

    /// Tests that a field has a value.
    pub fn exists(name: &str) -> Self {
        Self::Test(Attribute::named(name), Operator::Exists)
    }

    /// Simplifies the condition: flattens nested and single parts, and merges alternatives of one
    /// field into a list.
    #[must_use]
    pub fn simplified(self) -> Self {
        match self {
            Self::All(parts) => flattened(parts, true),
            Self::Any(parts) => flattened(parts, false),
            Self::Not(inner) => inner.simplified().negated(),
            test @ Self::Test(..) => test,
        }
    }

    /// Removes tests of the verb that the rest of the condition decides.
    #[must_use]
    pub(super) fn specialized(self) -> Self {
        let Self::All(parts) = &self else { return self };
        let verbs = parts.iter().find_map(|part| match part {
            Self::Test(attribute, Operator::OneOf(verbs, _)) if attribute.is_verb() => Some(verbs),
            _ => None,
        });
        let Some(verbs) = verbs.cloned() else { return self };
        let Self::All(parts) = self else { return self };
        let decide = |part: Self| match &part {
            Self::Test(attribute, _) if attribute.is_verb() => part,
            _ => part.with_verbs(&verbs),
        };
        Self::All(parts.into_iter().map(decide).collect()).simplified()
    }

    /// Specializes the condition for events with one of these verbs.
    fn with_verbs(self, verbs: &[String]) -> Self {
        let all = |parts: Vec<Self>| parts.into_iter().map(|part| part.with_verbs(verbs)).collect();
        match self {
            Self::All(parts) => Self::All(all(parts)),
            Self::Any(parts) => Self::Any(all(parts)),
            Self::Not(inner) => inner.with_verbs(verbs).negated(),
            Self::Test(attribute, Operator::OneOf(verbs_of_test, case)) if attribute.is_verb() => {
                let is_wanted = |verb: &String| verbs_of_test.contains(verb);
                match (verbs.iter().all(is_wanted), verbs.iter().any(is_wanted)) {
                    (true, _) => Self::ALWAYS,
                    (false, false) => Self::NEVER,
                    (false, true) => Self::Test(attribute, Operator::OneOf(verbs_of_test, case)),
                }
            }
            other @ Self::Test(..) => other,
        }
    }

    /// All tested fields, without duplicates.
    pub fn attributes(&self) -> BTreeSet<&Attribute> {
        let mut attributes = BTreeSet::new();
        self.collect(&mut attributes);
        attributes
    }

    fn collect<'c>(&'c self, attributes: &mut BTreeSet<&'c Attribute>) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.collect(attributes);
                }
            }
            Self::Not(inner) => inner.collect(attributes),
            Self::Test(attribute, operator) => {
                attributes.insert(attribute);
                if let Operator::SameAs(other, _) = operator {
                    attributes.insert(other);
                }
            }
        }
    }
}

fn flattened(parts: Vec<Condition>, is_all: bool) -> Condition {
    let mut flat: Vec<Condition> = Vec::new();
    for part in parts.into_iter().map(Condition::simplified) {
        match part {
            Condition::All(inner) if is_all => flat.extend(inner),
            Condition::Any(inner) if !is_all => flat.extend(inner),
            Condition::Any(inner) if inner.is_empty() => return Condition::NEVER,
            Condition::All(inner) if inner.is_empty() => return Condition::ALWAYS,
            other if flat.contains(&other) => {}
            other => flat.push(other),
        }
    }
    if !is_all {
        flat = with_lists(flat);
    }
    match flat.len() {
        1 => flat.remove(0),
        _ if is_all => Condition::All(flat),
        _ => Condition::Any(flat),
    }
}

/// Merges alternatives of the same field into one test.
fn with_lists(parts: Vec<Condition>) -> Vec<Condition> {
    let mut merged: Vec<Condition> = Vec::with_capacity(parts.len());
    for part in parts {
        if let Condition::Test(attribute, Operator::OneOf(texts, case)) = &part {
            let existing = merged.iter_mut().find_map(|known_test| match known_test {
                Condition::Test(other, Operator::OneOf(existing, of))
                    if other == attribute && of == case =>
                {
                    Some(existing)
                }
                _ => None,
            });
            if let Some(existing) = existing {
                existing.extend(
                    texts
                        .iter()
                        .filter(|text| !existing.contains(text))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
                continue;
            }
        }
        merged.push(part);
    }
    merged
}
