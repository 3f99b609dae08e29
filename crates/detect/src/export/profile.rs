//! A way on which events reach a target, and what they look like when they are there.
//!
//! The same event has other names and types by the agent or the table that it came through.
//! Deliberately absent: the profiles themselves; each target has its own.

use event::OwnEvent;

use super::condition::Attribute;
use super::fidelity::{Reason, ReasonKind};

/// A way on which events reach a target.
#[derive(Debug)]
pub struct Profile {
    /// On the command line.
    pub name: &'static str,
    /// For people: which way it is.
    pub title: &'static str,
    /// What a field is called there.
    pub column: fn(&Attribute) -> Column,
    /// What does not come this way.
    pub lacks: &'static [Lack],
    /// Which events have the body of the request and of the answer.
    pub bodies: Bodies,
    /// How a dry run is told from a request that does something.
    pub dry_run: DryRun,
}

impl Profile {
    /// What a field is called there, and what values it has; a refusal if it is missing.
    pub fn named(&self, attribute: &Attribute) -> Result<(String, Kind), Reason> {
        match (self.column)(attribute) {
            Column::Named(name, kind) => Ok((name, kind)),
            Column::Missing => {
                Err(Reason::refusal(ReasonKind::MissingField, attribute.to_string()))
            }
        }
    }
}

/// Which events have bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// All that the audit policy wants.
    All,
    /// Not those of groups that kube-apiserver passes on to another server, as K10's: it does not read
    /// them.
    NotOfAggregated,
    /// None.
    None,
}

/// What a field is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By this name, as a query of the target has it.
    Named(String, Kind),
    /// Events on this way do not have it.
    Missing,
}

impl Column {
    /// A text of that name.
    pub fn text(name: impl Into<String>) -> Self {
        Self::Named(name.into(), Kind::Text)
    }
}

/// What values a field has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One text.
    Text,
    /// One number.
    Number,
    /// A time as text.
    Time,
    /// A list of texts.
    List,
    /// An object.
    Object,
    /// JSON whose type is not known: a field of a body.
    Any,
}

/// Events that do not come on a way.
#[derive(Clone, Copy, Debug)]
pub struct Lack {
    /// For people.
    pub what: &'static str,
    /// The field whose values tell: `verb`, `objectRef.apiGroup`.
    pub field: Word,
    /// Those that do not come; a text that ends in `*` is a prefix.
    pub values: &'static [&'static str],
}

/// What only Keepwatch itself records, which the cluster's own audit log does not have.
pub(super) const OWN_RECORDS: Lack = Lack {
    what: "what Keepwatch records about itself",
    field: Word::Verb,
    values: &[
        OwnEvent::Heartbeat.verb(),
        OwnEvent::Gap.verb(),
        OwnEvent::Skip.verb(),
        OwnEvent::Rewind.verb(),
        OwnEvent::Release.verb(),
        OwnEvent::Resume.verb(),
    ],
};

/// A field with few values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// `verb`
    Verb,
    /// `objectRef.apiGroup`
    ApiGroup,
}

impl Lack {
    pub(super) fn covers(&self, value: &str) -> bool {
        self.values.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => value.starts_with(start),
            None => value == *known,
        })
    }
}

/// How a dry run is told from a request that does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// As the engine does, with a regular expression on the URI and a test whether a body is there.
    Exact,
    /// Of a deletion only by its body, and of the others by wildcards. No trick with a URI makes a
    /// request that does something look like a dry run; the reverse is possible.
    Wildcards,
}
