//! The matching language of rules on its own: which events a suppression means.

use crate::error::{Errors, RuleError};
use crate::fields::Fields;
use crate::matcher::Expression;
use crate::ruleset::LoadOptions;
use crate::sigma;

/// Which events are meant: selections and a condition, as under a rule's `detection`.
#[derive(Clone, Debug)]
pub struct EventMatcher {
    expression: Expression,
}

impl EventMatcher {
    /// Reads selections and a condition from an API object. Without `condition`, all selections must
    /// hold. `name` is named in errors.
    pub fn parse(
        name: &str,
        value: &serde_json::Value,
        options: &LoadOptions,
    ) -> Result<Self, Vec<RuleError>> {
        // JSON is YAML.
        Self::parse_text(name, &value.to_string(), options)
    }

    /// Reads selections and a condition from YAML.
    pub fn parse_text(
        name: &str,
        text: &str,
        options: &LoadOptions,
    ) -> Result<Self, Vec<RuleError>> {
        let mut errors = Errors::of(name);
        let detection = sigma::event_matcher(text, options, &mut errors);
        match detection {
            Some(detection) if errors.is_empty() => {
                Ok(Self { expression: sigma::expression(&detection) })
            }
            _ => Err(errors.into_vec()),
        }
    }

    /// Whether the event is meant.
    pub fn matches(&self, fields: &Fields<'_>) -> bool {
        self.expression.matches(fields)
    }
}
