//! What can be set about the engine, and its bounds.

use std::collections::BTreeMap;
use std::time::Duration;

/// A stage timestamp further ahead of the arrival than this is not believed. Microseconds.
pub const FUTURE_SKEW_MAX: i64 = 10_000_000;
/// A clock that jumps further than this has to be confirmed, when arrivals are not trusted.
/// Microseconds.
pub const JUMP_MAX: i64 = 86_400_000_000;
/// So many events have to say that time went on before a jump is believed.
pub const JUMP_EVENTS: usize = 3;
/// Different values of a list field that an event is grouped by; further ones are left out.
pub const GROUP_VALUES_MAX: usize = 16;
/// Bytes of a value that events are grouped by; a longer one is cut and carries a digest.
pub const GROUP_VALUE_LEN_MAX: usize = 256;
/// Times that a window remembers. A threshold above it counts as this one.
pub const WINDOW_EVENTS_MAX: usize = 65_536;
/// Events of a window whose details are kept until a signal needs them.
pub const WINDOW_DETAILS_MAX: usize = 64;
/// Bytes of an event that is kept as evidence; a longer one is kept without its bodies.
pub const EVIDENCE_EVENT_LEN_MAX: usize = 16 << 10;
/// Events that a signal carries.
pub const EVIDENCE_EVENTS_MAX: usize = 10;
/// Bytes of the events that a signal carries.
pub const EVIDENCE_LEN_MAX: usize = 64 << 10;
/// Audit IDs that a signal names.
pub const AUDIT_IDS_MAX: usize = 20;
/// Objects that a signal names.
pub const TARGETS_MAX: usize = 20;
/// Objects that a signal counts exactly; beyond it the count is an estimate (3 %).
pub const TARGETS_COUNTED_MAX: usize = 1024;
/// Users, addresses and user agents that a signal names, each.
pub const ACTOR_VALUES_MAX: usize = 10;
/// A value that was not seen for so long counts as new again, for the marks of an actor. Microseconds.
pub const MARK_MEMORY: i64 = 30 * 86_400_000_000;
/// Identities of events are remembered for so long, to drop duplicates. Microseconds.
pub const IDENTITY_MEMORY: i64 = 86_400_000_000;
/// Bytes of a chunk of a checkpoint.
pub const CHUNK_LEN_MAX: usize = 256 << 10;
/// Updates of a signal in a row are told at once up to this count; beyond it when it has grown by a
/// tenth, when its severity rises, and at the latest after [`UPDATE_DELAY`].
pub const UPDATES_AT_ONCE: u64 = 16;
/// An update of a busy signal waits at most so long. Microseconds.
pub const UPDATE_DELAY: i64 = 1_000_000;

/// What can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How late an event may arrive and still be counted in order.
    pub lateness: Duration,
    /// The same for sources that differ.
    pub lateness_by_source: BTreeMap<String, Duration>,
    /// What is known of arrivals.
    pub arrival: Arrival,
    /// Bounds of the state.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lateness: Duration::ZERO,
            lateness_by_source: BTreeMap::new(),
            arrival: Arrival::Observed,
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// Microseconds for a source.
    pub(crate) fn lateness_of(&self, source: &str) -> i64 {
        micros(*self.lateness_by_source.get(source).unwrap_or(&self.lateness))
    }

    /// The largest. Microseconds.
    pub(crate) fn lateness_max(&self) -> i64 {
        micros(self.lateness_by_source.values().copied().fold(self.lateness, Duration::max))
    }
}

/// Where [`Input::arrival`](super::Input) comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// From a clock of ours, such as that of the journal's commits. It is believed.
    Observed,
    /// From the event itself, because it is read from a file. One that is far ahead of the others is
    /// believed when further events confirm it.
    Stamped,
}

/// Bounds of the state. At a bound a rule counts by a coarser key and says so by a signal.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Groups with a window, for each rule.
    pub groups_per_rule: usize,
    /// Open signals, for each rule.
    pub signals_per_rule: usize,
    /// Bytes of the windows of all rules.
    pub state_bytes: usize,
    /// While windows hold more bytes than this, they keep no events as evidence.
    pub evidence_bytes: usize,
    /// Events that wait for their turn.
    pub waiting_events: usize,
    /// Bytes of the events that wait for their turn.
    pub waiting_bytes: usize,
    /// Identities of events, to drop duplicates.
    pub identities: usize,
    /// Values that a rule remembers to know which ones are new.
    pub values_per_rule: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            groups_per_rule: 100_000,
            signals_per_rule: 1_000,
            state_bytes: 64 << 20,
            evidence_bytes: 8 << 20,
            waiting_events: 100_000,
            waiting_bytes: 64 << 20,
            identities: 200_000,
            values_per_rule: 20_000,
        }
    }
}

/// Microseconds of a duration; one that is too long is the longest.
pub(crate) fn micros(duration: Duration) -> i64 {
    // Additions of times must not overflow.
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 8)
}
