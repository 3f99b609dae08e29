//! Profiles: how events are ingested by a target, and their field names there.
//!
//! The names and types of an event's fields depend on the agent or table that ingests it.
//! Deliberately absent: the profiles themselves; each target defines its own.

use event::InternalEvent;

use super::condition::Attribute;
use super::fidelity::{Reason, ReasonKind};

/// An ingestion path of a target, with its field names.
#[derive(Debug)]
pub struct Profile {
    /// Name on the command line.
    pub name: &'static str,
    /// Display name.
    pub title: &'static str,
    /// Maps a field to its name in the target.
    pub column: fn(&Attribute) -> Column,
    /// Events that the target does not receive.
    pub lacks: &'static [Lack],
    /// The events that have request and response bodies.
    pub bodies: Bodies,
    /// The detection of dry runs.
    pub dry_run: DryRun,
}

impl Profile {
    /// Name and kind of a field in the target; a refusal if it is missing.
    pub fn named(&self, attribute: &Attribute) -> Result<(String, Kind), Reason> {
        match (self.column)(attribute) {
            Column::Named(name, kind) => Ok((name, kind)),
            Column::Missing => {
                Err(Reason::refusal(ReasonKind::MissingField, attribute.to_string()))
            }
        }
    }
}

/// The events that have bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// All events for which the audit policy records bodies.
    All,
    /// All but those of aggregated API groups, such as K10's: kube-apiserver proxies them and does
    /// not read their bodies.
    NotOfAggregated,
    /// No events.
    None,
}

/// The column of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// Name in the target's queries, and kind of values.
    Named(String, Kind),
    /// The profile's events lack the field.
    Missing,
}

impl Column {
    /// A text column with that name.
    pub fn text(name: impl Into<String>) -> Self {
        Self::Named(name.into(), Kind::Text)
    }
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One text.
    Text,
    /// One number.
    Number,
    /// A time in text form.
    Time,
    /// A list of texts.
    List,
    /// An object.
    Object,
    /// JSON of unknown type: a field of a body.
    Any,
}

/// Events that a target does not receive with a profile.
#[derive(Clone, Copy, Debug)]
pub struct Lack {
    /// Description of the events.
    pub what: &'static str,
    /// The field that identifies them: `verb`, `objectRef.apiGroup`.
    pub field: Word,
    /// Values of the missing events; a text that ends in `*` is a prefix.
    pub values: &'static [&'static str],
}

/// Events that only Keepwatch records and the cluster's own audit log lacks.
pub(super) const OWN_RECORDS: Lack = Lack {
    what: "what Keepwatch records about itself",
    field: Word::Verb,
    values: &[
        InternalEvent::Heartbeat.verb(),
        InternalEvent::Gap.verb(),
        InternalEvent::Skip.verb(),
        InternalEvent::Rewind.verb(),
        InternalEvent::Release.verb(),
        InternalEvent::Resume.verb(),
        InternalEvent::Quarantine.verb(),
        InternalEvent::Receipt.verb(),
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

/// The detection of dry runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// Like the engine: a regular expression on the URI and a test for a body.
    Exact,
    /// By the body of a deletion, and by wildcards on the URI of other requests. A crafted URI
    /// cannot make a real request look like a dry run; the reverse is possible.
    Wildcards,
}
