//! Settings of the engine, and its bounds.

use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum time by which a stage timestamp may be ahead of the arrival; a later one is rejected.
/// Microseconds.
pub const FUTURE_SKEW_MAX: i64 = 10_000_000;
/// Delay up to which an event of a source without a lateness bound is not late. Microseconds.
pub const UNORDERED_LATENESS: i64 = 10_000_000;
/// Maximum advance of the clock without confirmation, if arrivals are not trusted and the lateness
/// bound is not longer. Microseconds.
pub const JUMP_MAX: i64 = 60_000_000;
/// Number of events that confirm a jump of the clock.
pub const JUMP_EVENTS: usize = 3;
/// Maximum number of distinct values of a list field in a group-by; further values are ignored.
pub const GROUP_VALUES_MAX: usize = 16;
/// Maximum length of a group-by value, in bytes; a longer one is truncated and gets a digest.
pub const GROUP_VALUE_LEN_MAX: usize = 256;
/// Maximum number of event times in a window. A larger threshold is reduced to this one.
pub const WINDOW_EVENTS_MAX: usize = 65_536;
/// Maximum number of events of a window whose details are kept for a signal.
pub const WINDOW_DETAILS_MAX: usize = 64;
/// Maximum length of an event in the evidence, in bytes; a longer one is kept without bodies.
pub const EVIDENCE_EVENT_LEN_MAX: usize = 16 << 10;
/// Maximum number of events in a signal.
pub const EVIDENCE_EVENTS_MAX: usize = 10;
/// Maximum total length of the events in a signal, in bytes.
pub const EVIDENCE_LEN_MAX: usize = 64 << 10;
/// Maximum number of audit IDs in a signal.
pub const AUDIT_IDS_MAX: usize = 20;
/// Maximum number of objects listed in a signal.
pub const TARGETS_MAX: usize = 20;
/// Maximum number of objects that one change of a signal contains in addition to the listed ones.
pub const UNLISTED_MAX: usize = 2_000;
/// Maximum number of objects that a signal counts exactly; beyond it the count is an estimate
/// (3 %).
pub const TARGETS_COUNTED_MAX: usize = 1024;
/// Maximum number of users, of addresses and of user agents in a signal.
pub const ACTOR_VALUES_MAX: usize = 10;
/// Maximum number of users, namespaces, resources and addresses that a signal counts exactly;
/// beyond it the count is an estimate (3 %).
pub const NAMES_COUNTED_MAX: usize = 256;
/// Time after which an unseen value of an actor counts as new again. Microseconds.
pub const MARK_RETENTION: i64 = 30 * 86_400_000_000;
/// Time for which identities of events are remembered, to drop duplicates. Microseconds.
pub const IDENTITY_RETENTION: i64 = 86_400_000_000;
/// Maximum time between the events of one request in the logs of two sources. Microseconds.
pub const REQUEST_TOLERANCE: u64 = 5_000_000;
/// Maximum number of remembered requests that another source may report with the person behind an
/// impersonated user, or without.
pub const IMPERSONATIONS_MAX: usize = 16_384;
/// Maximum length of a chunk of a checkpoint, in bytes.
pub const CHUNK_LEN_MAX: usize = 256 << 10;
/// Up to this count, every update of a signal is sent immediately. Beyond it, an update is sent
/// when the count has grown by a tenth, when the severity rises, and at the latest after
/// [`UPDATE_DELAY`].
pub const UPDATES_AT_ONCE: u64 = 16;
/// Maximum delay of an update of a busy signal. Microseconds.
pub const UPDATE_DELAY: i64 = 1_000_000;

/// The settings of the engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lateness bound: maximum delay of an event that is still counted in order.
    pub lateness: Duration,
    /// Lateness bounds of single sources, by name.
    pub lateness_by_source: BTreeMap<String, Duration>,
    /// Whether arrival times are trusted.
    pub arrival: Arrival,
    /// Limits of the state.
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
    /// The lateness bound of a source. Microseconds.
    pub(crate) fn lateness_of(&self, source: &str) -> i64 {
        micros(*self.lateness_by_source.get(source).unwrap_or(&self.lateness))
    }

    /// The largest lateness bound of all sources. Microseconds.
    pub(crate) fn lateness_max(&self) -> i64 {
        micros(self.lateness_by_source.values().copied().fold(self.lateness, Duration::max))
    }

    /// Maximum advance of the clock without confirmation. Microseconds.
    pub(crate) fn jump_max(&self) -> i64 {
        match self.arrival {
            Arrival::Observed => i64::MAX,
            Arrival::Stamped => self.lateness_max().max(JUMP_MAX),
        }
    }
}

/// The source of [`Input::arrival`](super::Input).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A trusted clock, such as that of the journal's commits.
    Observed,
    /// The event itself, because it is read from a file. A time far ahead of the others is
    /// accepted only after further events confirm it.
    Stamped,
}

/// Limits of the state. At a limit a rule counts by a coarser group, and the engine raises a
/// state-pressure signal.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of groups with a window, per rule.
    pub groups_per_rule: usize,
    /// Maximum number of open signals, per rule.
    pub signals_per_rule: usize,
    /// Maximum size of the windows of all rules, in bytes.
    pub state_bytes: usize,
    /// Size of the windows, in bytes, above which they keep no events as evidence.
    pub evidence_bytes: usize,
    /// Maximum number of events that wait to be counted in order.
    pub waiting_events: usize,
    /// Maximum size of the waiting events, in bytes.
    pub waiting_bytes: usize,
    /// Maximum number of remembered identities of events, to drop duplicates.
    pub identities: usize,
    /// Maximum number of values that a first-seen rule remembers.
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

/// Converts a duration to microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> i64 {
    // Leaves headroom: additions of times must not overflow.
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 8)
}
