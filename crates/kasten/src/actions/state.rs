//! The states of an action and the transitions between them.
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

use apimachinery::{FieldError, fields};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

/// The state of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum State {
    /// Created, but not yet started by an executor.
    Pending,
    /// Validated and started.
    Running,
    /// A phase failed and is retried.
    AttemptFailed,
    /// A phase failed permanently.
    Failed,
    /// Finished successfully.
    Complete,
    /// Not executed, because there was no work or no time.
    Skipped,
    /// Stopped by a `CancelAction`.
    Cancelled,
    /// The object is being deleted.
    Deleting,
}

impl State {
    /// All states.
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

    /// The state's name in the API.
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

    /// Parses the state's name in the API.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether the action is finished, successfully or not.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Failed | Self::Complete | Self::Skipped | Self::Cancelled)
    }

    /// Whether the transition to `next` is allowed.
    fn can_change_to(self, next: Self) -> bool {
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

/// The states and transitions of a kind of action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    /// All states.
    Full,
    /// Without Skipped, Cancelled and Deleting: `BatchRestoreAction`.
    Batch,
    /// Running, Complete, Failed: `ValidateAction` and `UpgradeAction`.
    Short,
}

impl Lifecycle {
    /// The initial state.
    pub(crate) const fn initial_state(self) -> State {
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

    /// Checks that the state is unchanged or that the transition is allowed.
    pub(crate) fn check(
        self,
        action: &Map<String, Value>,
        old: &Map<String, Value>,
    ) -> Vec<FieldError> {
        let (from, to) = (fields::text(old, "status.state"), fields::text(action, "status.state"));
        if from == to {
            return Vec::new();
        }
        let states = self.states();
        let Some(next) = State::parse(to).filter(|next| states.contains(next)) else {
            let names: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
            return vec![FieldError::not_supported("status.state", &json!(to), &names)];
        };
        if State::parse(from).is_some_and(|state| state.can_change_to(next)) {
            return Vec::new();
        }
        let allowed: Vec<&str> = states
            .iter()
            .filter(|next| State::parse(from).is_some_and(|state| state.can_change_to(**next)))
            .map(|state| state.as_str())
            .collect();
        let detail = match allowed.as_slice() {
            [] => format!("{from} is final"),
            names => format!("{from} can change to: {}", names.join(", ")),
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

    fn transitions(lifecycle: Lifecycle) -> String {
        let mut lines = Vec::new();
        for from in lifecycle.states() {
            let next: Vec<&str> = lifecycle
                .states()
                .iter()
                .filter(|to| **to != *from)
                .filter(|to| {
                    let (new, old) = (with_state(to.as_str()), with_state(from.as_str()));
                    lifecycle.check(&new, &old).is_empty()
                })
                .map(|state| state.as_str())
                .collect();
            lines.push(format!("{} -> {}\n", from.as_str(), next.join(" ")));
        }
        lines.concat()
    }

    #[test]
    fn only_the_transitions_of_the_life_cycle_are_allowed() {
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
        .assert_eq(&transitions(Lifecycle::Full));
        expect_test::expect![[r"
            Pending -> Running
            Running -> AttemptFailed Failed Complete
            AttemptFailed -> Running Failed
            Failed -> 
            Complete -> 
        "]]
        .assert_eq(&transitions(Lifecycle::Batch));
        expect_test::expect![[r"
            Running -> Failed Complete
            Failed -> 
            Complete -> 
        "]]
        .assert_eq(&transitions(Lifecycle::Short));
    }

    #[test]
    fn an_invalid_state_names_the_field_and_the_valid_states() {
        let errors = Lifecycle::Full.check(&with_state("Complete"), &with_state("Pending"));
        assert_eq!(errors[0].field, "status.state");
        expect_test::expect![[
            r#"Invalid value: "Complete": Pending can change to: Running, Skipped"#
        ]]
        .assert_eq(&errors[0].message);
        let errors = Lifecycle::Short.check(&with_state("Pending"), &with_state("Running"));
        expect_test::expect![[
            r#"Unsupported value: "Pending": supported values: "Running", "Failed", "Complete""#
        ]]
        .assert_eq(&errors[0].message);
    }
}
