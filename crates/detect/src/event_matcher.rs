//! A condition on events without a rule: selects the events of a suppression.

use crate::error::{Errors, RuleError};
use crate::fields::Fields;
use crate::matcher::Expression;
use crate::ruleset::LoadOptions;
use crate::sigma;

/// Selections and a condition, as under a rule's `detection`.
#[derive(Clone, Debug)]
pub struct EventMatcher {
    expression: Expression,
}

impl EventMatcher {
    /// Parses selections and a condition from an API object. Without `condition`, all selections
    /// must match. Errors contain `name`.
    pub fn parse(
        name: &str,
        value: &serde_json::Value,
        options: &LoadOptions,
    ) -> Result<Self, Vec<RuleError>> {
        // JSON is YAML.
        Self::parse_text(name, &value.to_string(), options)
    }

    /// Parses selections and a condition from YAML.
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

    /// Whether the event matches.
    pub fn matches(&self, fields: &Fields<'_>) -> bool {
        self.expression.matches(fields)
    }
}
