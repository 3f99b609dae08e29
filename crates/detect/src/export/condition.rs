//! Conditions as exports see them: a tree over fields that events really have.
//!
//! What our rules compute of an event (`succeeded`, `dryRun`, `actor`) has been replaced by the fields
//! it is computed of (module `expand`). How a target writes the tree is the target's business.

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

    /// The field with that name; its keys have no dots.
    pub fn named(name: &str) -> Self {
        Self { keys: name.split('.').map(str::to_owned).collect() }
    }

    /// Its keys, from the outside in: `["objectRef", "resource"]`.
    pub fn keys(&self) -> Vec<&str> {
        self.keys.iter().map(String::as_str).collect()
    }

    /// Whether events can have several values of it. Any field of a body can.
    pub fn is_list(&self) -> bool {
        let keys = self.keys();
        matches!(keys.as_slice(), ["sourceIPs"] | [_, "groups"] | [_, "extra", ..])
            || self.is_of_body()
    }

    fn is_verb(&self) -> bool {
        self.keys == ["verb"]
    }

    /// Whether it is in the body of the request or the answer.
    pub fn is_of_body(&self) -> bool {
        matches!(self.keys().as_slice(), ["requestObject" | "responseObject", _, ..])
    }

    /// Whether its value is known to be an object, which many targets do not see.
    pub fn is_object(&self) -> bool {
        let keys = self.keys();
        matches!(keys.as_slice(), ["requestObject" | "responseObject"])
            || (self.is_of_body()
                && matches!(keys.last(), Some(&("spec" | "status" | "metadata" | "labels"))))
    }

    /// Whether the API server decides about the case of its letters, so that a comparison may count it
    /// and still mean the same.
    pub fn has_fixed_case(&self) -> bool {
        let keys = self.keys();
        match keys.as_slice() {
            // The path of a JSON patch names fields as they are written, or none.
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
    /// With dots, and brackets around a key that holds dots.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, key) in self.keys.iter().enumerate() {
            match (key.contains(['.', '/']), place) {
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
    /// All of them; true when there are none.
    All(Vec<Self>),
    /// Any of them; false when there are none.
    Any(Vec<Self>),
    /// The opposite.
    Not(Box<Self>),
    /// One field. A field with several values passes if one of them does.
    Test(Attribute, Operator),
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// It is one of these texts; at least one, without wildcards.
    OneOf(Vec<String>, Case),
    /// The text is in it.
    Contains(String, Case),
    /// It begins with the text.
    StartsWith(String, Case),
    /// It ends with the text.
    EndsWith(String, Case),
    /// It is like the tokens as a whole.
    Like(Vec<Wild>, Case),
    /// The regular expression is in it; flags are in the text, as in `(?i)`.
    Regex(String),
    /// It is an address in the network, such as `192.0.2.0/24`.
    Cidr(String),
    /// It is a number that compares so.
    Number(Relation, f64),
    /// It is there, whatever it is; JSON's null is not, and neither is an empty text.
    Exists,
    /// It is a time at most so many microseconds after the event.
    Within(i64),
    /// It is a duration, as Go writes it, of less than so many microseconds.
    Shorter(i64),
    /// It has a value that the other field has too.
    SameAs(Attribute, Case),
}

/// Whether the case of letters counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `Alice` is `alice`.
    Ignored,
    /// It is not.
    Counts,
}

/// A part of a text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wild {
    /// These characters.
    Text(String),
    /// Any character.
    One,
    /// Any number of any characters.
    Many,
}

/// How numbers compare.
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
    /// As nearly all languages write it; equality is where they differ.
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
    /// Whether the case of letters must count, or may not, in a comparison of the field with texts:
    /// what the API server writes is as it is.
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
            _ => Case::Counts,
        }
    }
}

impl Condition {
    /// Every event.
    pub const ALWAYS: Self = Self::All(Vec::new());
    /// No event.
    pub const NEVER: Self = Self::Any(Vec::new());

    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            Self::All(parts) if parts.is_empty() => Self::NEVER,
            Self::Any(parts) if parts.is_empty() => Self::ALWAYS,
            other => Self::Not(Box::new(other)),
        }
    }

    /// A field that is one of these texts, letter by letter.
    pub fn one_of(name: &str, texts: &[&str]) -> Self {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Self::Test(Attribute::named(name), Operator::OneOf(texts, Case::Counts))
    }

    /// A field that is there.
    pub fn exists(name: &str) -> Self {
        Self::Test(Attribute::named(name), Operator::Exists)
    }

    /// Without parts of one part, parts within parts of the same kind, and alternatives of one field
    /// that can be a list.
    #[must_use]
    pub fn simplified(self) -> Self {
        match self {
            Self::All(parts) => whole(parts, true),
            Self::Any(parts) => whole(parts, false),
            Self::Not(inner) => inner.simplified().negated(),
            test @ Self::Test(..) => test,
        }
    }

    /// Without tests of the verb that the rest of the condition has decided.
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

    /// The same for events whose verb is one of these.
    fn with_verbs(self, verbs: &[String]) -> Self {
        let all = |parts: Vec<Self>| parts.into_iter().map(|it| it.with_verbs(verbs)).collect();
        match self {
            Self::All(parts) => Self::All(all(parts)),
            Self::Any(parts) => Self::Any(all(parts)),
            Self::Not(inner) => inner.with_verbs(verbs).negated(),
            Self::Test(attribute, Operator::OneOf(wanted, case)) if attribute.is_verb() => {
                let is_wanted = |verb: &String| wanted.contains(verb);
                match (verbs.iter().all(is_wanted), verbs.iter().any(is_wanted)) {
                    (true, _) => Self::ALWAYS,
                    (false, false) => Self::NEVER,
                    (false, true) => Self::Test(attribute, Operator::OneOf(wanted, case)),
                }
            }
            other @ Self::Test(..) => other,
        }
    }

    /// Every field that is asked, each once.
    pub fn attributes(&self) -> BTreeSet<&Attribute> {
        let mut found = BTreeSet::new();
        self.collect(&mut found);
        found
    }

    fn collect<'c>(&'c self, found: &mut BTreeSet<&'c Attribute>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|it| it.collect(found)),
            Self::Not(inner) => inner.collect(found),
            Self::Test(attribute, operator) => {
                found.insert(attribute);
                if let Operator::SameAs(other, _) = operator {
                    found.insert(other);
                }
            }
        }
    }
}

fn whole(parts: Vec<Condition>, is_all: bool) -> Condition {
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

/// Puts alternatives of the same field into one test.
fn with_lists(parts: Vec<Condition>) -> Vec<Condition> {
    let mut merged: Vec<Condition> = Vec::with_capacity(parts.len());
    for part in parts {
        if let Condition::Test(attribute, Operator::OneOf(texts, case)) = &part {
            let known = merged.iter_mut().find_map(|it| match it {
                Condition::Test(other, Operator::OneOf(known, of))
                    if other == attribute && of == case =>
                {
                    Some(known)
                }
                _ => None,
            });
            if let Some(known) = known {
                known.extend(
                    texts.iter().filter(|text| !known.contains(text)).cloned().collect::<Vec<_>>(),
                );
                continue;
            }
        }
        merged.push(part);
    }
    merged
}
