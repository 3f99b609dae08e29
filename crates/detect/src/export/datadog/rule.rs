//! A rule in Datadog's API: `POST /api/v2/security_monitoring/rules`.
//!
//! The types allow only values that the API accepts.

#![expect(clippy::struct_field_names, reason = "the API calls them so")]

use std::fmt;
use std::time::Duration;

use event::Severity;
use serde::Serialize;

/// A log detection rule.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) r#type: RuleType,
    pub(super) is_enabled: bool,
    pub(super) has_extended_title: bool,
    pub(super) message: String,
    pub(super) tags: Vec<String>,
    pub(super) queries: Vec<Query>,
    pub(super) cases: Vec<Case>,
    pub(super) options: Options,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RuleType {
    LogDetection,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    /// `None` for new-value rules, whose queries must not have a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) query: String,
    pub(super) aggregation: Aggregation,
    pub(super) group_by_fields: Vec<String>,
    pub(super) distinct_fields: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) metrics: Vec<String>,
    pub(super) has_optional_group_by_fields: bool,
    pub(super) data_source: DataSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Aggregation {
    Count,
    Cardinality,
    NewValue,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DataSource {
    Logs,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<String>,
    pub(super) notifications: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Status {
    pub(super) const fn of(severity: Severity) -> Self {
        match severity {
            Severity::Informational => Self::Info,
            Severity::Low => Self::Low,
            Severity::Medium => Self::Medium,
            Severity::High => Self::High,
            Severity::Critical => Self::Critical,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Options {
    pub(super) detection_method: DetectionMethod,
    /// `None` for new-value rules, which must not have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evaluation_window: Option<Window>,
    pub(super) keep_alive: Window,
    pub(super) max_signal_duration: Window,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) new_value_options: Option<NewValueOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sequence_detection_options: Option<SequenceOptions>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DetectionMethod {
    Threshold,
    NewValue,
    SequenceDetection,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewValueOptions {
    /// Days.
    pub(super) forget_after: u8,
    /// Days.
    pub(super) learning_duration: u8,
    pub(super) learning_method: LearningMethod,
    pub(super) learning_threshold: u8,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LearningMethod {
    Duration,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SequenceOptions {
    pub(super) steps: Vec<Step>,
    pub(super) step_transitions: Vec<StepTransition>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) condition: String,
    pub(super) evaluation_window: Window,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepTransition {
    pub(super) parent: String,
    pub(super) child: String,
    pub(super) evaluation_window: Window,
}

/// A window length that the API accepts, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(super) struct Window(u32);

const WINDOWS: [u32; 12] = [0, 60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Window {
    /// The zero window.
    pub(super) const ZERO: Self = Self(0);
    /// The longest window, a day.
    pub(super) const MAX: Self = Self(86_400);

    /// The shortest window of at least `time`, or the longest window.
    pub(super) fn at_least(time: Duration) -> Self {
        let length =
            WINDOWS.into_iter().find(|known| Duration::from_secs(u64::from(*known)) >= time);
        length.map_or(Self::MAX, Self)
    }

    /// The longest window of at most `time`.
    pub(super) fn at_most(time: Duration) -> Self {
        let fits = |known: &u32| Duration::from_secs(u64::from(*known)) <= time;
        Self(WINDOWS.into_iter().filter(fits).max().unwrap_or_default())
    }

    pub(super) const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl Rule {
    /// The JSON of the API request.
    pub(super) fn json(&self) -> String {
        // Serialization cannot fail: the value contains only texts and numbers.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}
