//! The fidelity of an exported rule: whether it has the engine's meaning, and the differences.

use std::fmt;
use std::time::Duration;

use crate::field::Path;

/// Comparison of an exported rule with the engine's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// The same events raise it. The listed differences concern texts and grouping only.
    Same(Vec<Reason>),
    /// It can miss events that the engine's rule detects.
    Tighter(Vec<Reason>),
    /// It can detect more than the engine's rule (false positives).
    Looser(Vec<Reason>),
    /// It can miss events and detect more.
    Different(Vec<Reason>),
    /// It is not exported: the target cannot express its meaning.
    Refused(Vec<Reason>),
}

/// The effect of a difference on detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The same events raise it.
    None,
    /// The same events raise it, and also requests that change nothing and that no usual client
    /// sends. An attacker cannot exploit it, so it is listed and counts as the same.
    Rare,
    /// Fewer events raise it.
    Fewer,
    /// More events raise it.
    More,
    /// More events raise it in some cases and fewer in others.
    Either,
    /// The rule is not exported.
    Refusal,
}

/// A difference of an exported rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The kind of difference.
    pub kind: ReasonKind,
    /// Its effect on detection.
    pub effect: Effect,
    /// Details: fields, limits, names.
    pub detail: String,
}

/// Kinds of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReasonKind {
    /// Windows do not slide.
    TumblingWindow,
    /// Times are rounded.
    RoundedTime,
    /// A window is longer than the target's limit.
    WindowTooLong,
    /// The target looks at events with a delay or a period.
    Schedule,
    /// The events of the source lack a field.
    MissingField,
    /// The source does not contain some requests.
    NotFed,
    /// The target cannot count distinct values.
    NoDistinctCount,
    /// The target does not count at all.
    NoCount,
    /// The target cannot express the order of events.
    NoOrder,
    /// The target cannot detect the absence of events.
    NoAbsence,
    /// Keepwatch did not run for a part of the absence.
    Downtime,
    /// Suppressions are not written for it.
    NoSuppressions,
    /// The target does not remember earlier values.
    NoFirstSeen,
    /// The target cannot express an upper bound of a count.
    NoUpperBound,
    /// The target cannot express a condition.
    Condition,
    /// The target compares case-sensitively.
    LetterCase,
    /// The target recognizes only some dry runs.
    DryRun,
    /// The target recognizes only some requests that write a field.
    WrittenFields,
    /// The exported rule does not compare with the object before a change.
    OldObject,
    /// Events are grouped by other fields.
    Grouping,
    /// The target supports no severity cases.
    Cases,
    /// The rule is raised although a rule that supersedes it has an open signal.
    Supersedes,
    /// A signal stays open for a different time.
    Lifetime,
    /// A variable of a text is not available.
    Variable,
}

impl Reason {
    /// Creates a difference.
    pub fn new(kind: ReasonKind, effect: Effect, detail: impl Into<String>) -> Self {
        Self { kind, effect, detail: detail.into() }
    }

    /// Creates a difference that prevents the export.
    pub fn refusal(kind: ReasonKind, detail: impl Into<String>) -> Self {
        Self::new(kind, Effect::Refusal, detail)
    }

    /// A window that is reduced to the limit of the target.
    pub fn window_too_long(window: Duration, limit: Duration) -> Self {
        let detail = format!("{} instead of {}", format_duration(limit), format_duration(window));
        Self::new(ReasonKind::WindowTooLong, Effect::Fewer, detail)
    }

    /// Adds the difference to a list, without duplicates.
    pub(super) fn add_to(self, reasons: &mut Vec<Self>) {
        if !reasons.contains(&self) {
            reasons.push(self);
        }
    }

    pub(super) fn untranslatable(path: &Path) -> Self {
        let field = path.v1_keys().join(".");
        Self::refusal(ReasonKind::Condition, format!("a comparison with `{field}`"))
    }
}

/// Formats a duration in its largest whole unit.
pub(super) fn format_duration(time: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3600, "h"), (60, "m")];
    let seconds = time.as_secs();
    let unit =
        UNITS.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

impl ReasonKind {
    /// A short description; the detail follows after a colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TumblingWindow => "the window does not slide",
            Self::RoundedTime => "times are rounded",
            Self::WindowTooLong => "the window is shorter",
            Self::Schedule => "the search runs at intervals",
            Self::MissingField => "these events lack a field",
            Self::NotFed => "these events are not in the source",
            Self::NoDistinctCount => "distinct values cannot be counted",
            Self::NoCount => "events cannot be counted",
            Self::NoOrder => "the order of events is unknown",
            Self::NoAbsence => "the absence of events cannot be detected",
            Self::Downtime => "time in which Keepwatch did not run counts as silence",
            Self::NoSuppressions => "use a Sigma filter instead (--rules)",
            Self::NoFirstSeen => "earlier values are unknown",
            Self::NoUpperBound => "a count cannot have an upper bound",
            Self::Condition => "a condition cannot be expressed",
            Self::LetterCase => "the comparison is case-sensitive",
            Self::DryRun => "not all dry runs are recognized",
            Self::WrittenFields => "not all changes of a field are recognized",
            Self::OldObject => "events of the admission webhook do not count",
            Self::Grouping => "events are grouped differently",
            Self::Cases => "severity cases are not supported",
            Self::Supersedes => "it is raised in addition to a stricter rule",
            Self::Lifetime => "signals stay open for a different time",
            Self::Variable => "a variable of the text is not available",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl Fidelity {
    /// The fidelity that results from differences.
    pub fn of(reasons: Vec<Reason>) -> Self {
        let has = |effect: Effect| reasons.iter().any(|reason| reason.effect == effect);
        let (fewer, more) = (has(Effect::Fewer), has(Effect::More));
        if has(Effect::Refusal) {
            Self::Refused(reasons)
        } else if has(Effect::Either) || (fewer && more) {
            Self::Different(reasons)
        } else if fewer {
            Self::Tighter(reasons)
        } else if more {
            Self::Looser(reasons)
        } else {
            Self::Same(reasons)
        }
    }

    /// All differences, including those without effect.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Same(reasons)
            | Self::Tighter(reasons)
            | Self::Looser(reasons)
            | Self::Different(reasons)
            | Self::Refused(reasons) => reasons,
        }
    }

    /// Whether the exported rule has the engine's meaning.
    pub const fn is_same(&self) -> bool {
        matches!(self, Self::Same(_))
    }

    /// Whether the rule cannot be exported.
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// A one-word name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Same(_) => "same",
            Self::Tighter(_) => "tighter",
            Self::Looser(_) => "looser",
            Self::Different(_) => "different",
            Self::Refused(_) => "refused",
        }
    }
}
