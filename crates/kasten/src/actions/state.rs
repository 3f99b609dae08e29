//! The states of an action and the arrows between them.
//!
//! ```text
//!             +--> Skipped
//! Pending --> Running <--> AttemptFailed
//!    |           |              |
//!    |           +--> Complete  +--> Failed, Cancelled
//!    |           +--> Failed
//!    |           +--> Cancelled   (also the effect of a CancelAction)
//!    any finished --> Deleting --> (gone)
//! ```

use apiserver::FieldError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::fields;

/// How far an action has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum State {
    /// Made, and not yet taken up.
    Pending,
    /// Validated and started.
    Running,
    /// A phase failed and is tried again.
    AttemptFailed,
    /// A phase failed for good.
    Failed,
    /// Done.
    Complete,
    /// Not done, because there was nothing to do or no time to do it.
    Skipped,
    /// Stopped by a `CancelAction`.
    Cancelled,
    /// Its record is going away.
    Deleting,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Running,
        Self::AttemptFailed,
        Self::Failed,
        Self::Complete,
        Self::Skipped,
        Self::Cancelled,
        Self::Deleting,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::AttemptFailed => "AttemptFailed",
            Self::Failed => "Failed",
            Self::Complete => "Complete",
            Self::Skipped => "Skipped",
            Self::Cancelled => "Cancelled",
            Self::Deleting => "Deleting",
        }
    }

    /// The state that is written so.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more is done.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Failed | Self::Complete | Self::Skipped | Self::Cancelled)
    }

    /// Whether an arrow leads from here to `next`.
    fn leads_to(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(next, Self::Running | Self::Skipped),
            Self::Running => matches!(
                next,
                Self::AttemptFailed | Self::Complete | Self::Failed | Self::Cancelled
            ),
            Self::AttemptFailed => {
                matches!(next, Self::Running | Self::Failed | Self::Cancelled)
            }
            Self::Failed | Self::Complete | Self::Skipped | Self::Cancelled => {
                next == Self::Deleting
            }
            Self::Deleting => false,
        }
    }
}

/// Which of the states a kind of action knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// All of them.
    Full,
    /// No skipping, no cancelling, no deleting: `BatchRestoreAction`.
    Batch,
    /// Running, Complete, Failed: `ValidateAction` and `UpgradeAction`.
    Short,
}

impl Course {
    /// The state an action begins in.
    pub(crate) const fn first(self) -> State {
        match self {
            Self::Full | Self::Batch => State::Pending,
            Self::Short => State::Running,
        }
    }

    const fn states(self) -> &'static [State] {
        match self {
            Self::Full => &State::ALL,
            Self::Batch => &[
                State::Pending,
                State::Running,
                State::AttemptFailed,
                State::Failed,
                State::Complete,
            ],
            Self::Short => &[State::Running, State::Failed, State::Complete],
        }
    }

    /// Whether the state moved along an arrow, or stayed.
    pub(crate) fn check(
        self,
        action: &Map<String, Value>,
        old: &Map<String, Value>,
    ) -> Vec<FieldError> {
        let (from, to) = (fields::text(old, "status.state"), fields::text(action, "status.state"));
        if from == to {
            return Vec::new();
        }
        let known = self.states();
        let Some(next) = State::parse(to).filter(|next| known.contains(next)) else {
            let words: Vec<&str> = known.iter().map(|state| state.as_str()).collect();
            return vec![FieldError::not_supported("status.state", &json!(to), &words)];
        };
        if State::parse(from).is_some_and(|state| state.leads_to(next)) {
            return Vec::new();
        }
        let possible: Vec<&str> = known
            .iter()
            .filter(|next| State::parse(from).is_some_and(|state| state.leads_to(**next)))
            .map(|state| state.as_str())
            .collect();
        let detail = match possible.as_slice() {
            [] => format!("nothing follows {from}"),
            words => format!("{from} may be followed by: {}", words.join(", ")),
        };
        vec![FieldError::invalid("status.state", &json!(to), &detail)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_state(state: &str) -> Map<String, Value> {
        let mut action = Map::new();
        fields::set(&mut action, "status.state", state);
        action
    }

    fn arrows(course: Course) -> String {
        let mut lines = Vec::new();
        for from in course.states() {
            let next: Vec<&str> = course
                .states()
                .iter()
                .filter(|to| **to != *from)
                .filter(|to| {
                    let (new, old) = (with_state(to.as_str()), with_state(from.as_str()));
                    course.check(&new, &old).is_empty()
                })
                .map(|state| state.as_str())
                .collect();
            lines.push(format!("{} -> {}\n", from.as_str(), next.join(" ")));
        }
        lines.concat()
    }

    #[test]
    fn an_action_moves_along_the_arrows_only() {
        expect_test::expect![[r"
            Pending -> Running Skipped
            Running -> AttemptFailed Failed Complete Cancelled
            AttemptFailed -> Running Failed Cancelled
            Failed -> Deleting
            Complete -> Deleting
            Skipped -> Deleting
            Cancelled -> Deleting
            Deleting -> 
        "]]
        .assert_eq(&arrows(Course::Full));
        expect_test::expect![[r"
            Pending -> Running
            Running -> AttemptFailed Failed Complete
            AttemptFailed -> Running Failed
            Failed -> 
            Complete -> 
        "]]
        .assert_eq(&arrows(Course::Batch));
        expect_test::expect![[r"
            Running -> Failed Complete
            Failed -> 
            Complete -> 
        "]]
        .assert_eq(&arrows(Course::Short));
    }

    #[test]
    fn a_wrong_state_names_the_field_and_what_is_possible() {
        let errors = Course::Full.check(&with_state("Complete"), &with_state("Pending"));
        assert_eq!(errors[0].field, "status.state");
        expect_test::expect![[
            r#"Invalid value: "Complete": Pending may be followed by: Running, Skipped"#
        ]]
        .assert_eq(&errors[0].message);
        let errors = Course::Short.check(&with_state("Pending"), &with_state("Running"));
        expect_test::expect![[
            r#"Unsupported value: "Pending": supported values: "Running", "Failed", "Complete""#
        ]]
        .assert_eq(&errors[0].message);
    }
}
