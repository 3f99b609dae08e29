//! `ReportAction`: creates a report on K10 for a period.

use apimachinery::{FieldError, fields};
use apiserver::Resource;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::state::Lifecycle;
use super::status::ActionStatus;
use super::subject::Subject;
use super::{ActionStrategy, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds, rules};

/// The period to report on.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportActionSpec {
    /// K10's own namespace.
    pub subject: Option<Subject>,
    /// Time at which the policy scheduled it.
    pub scheduled_time: Option<Time>,
    /// Length of the period in days.
    #[schemars(range(min = 0))]
    pub stats_interval_days: Option<i32>,
    /// Hours in addition to the days.
    #[schemars(range(min = 0))]
    pub stats_interval_hours: Option<i32>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::REPORT_ACTION,
        Lifecycle::Full,
        &Report,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<ReportActionSpec, ActionStatus>(
            "ReportAction creates a report on K10 for a period.",
        ),
    )
}

struct Report;

impl ActionStrategy for Report {
    fn validate(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = rules::in_k10_namespace(installation, action);
        let count = |path| fields::value(action, path).and_then(Value::as_i64).unwrap_or(0);
        let (days, hours) = (count("spec.statsIntervalDays"), count("spec.statsIntervalHours"));
        for (path, count) in [("spec.statsIntervalDays", days), ("spec.statsIntervalHours", hours)]
        {
            if count < 0 {
                errors.push(FieldError::invalid(path, &count.into(), "must not be negative"));
            }
        }
        if errors.is_empty() && days.saturating_mul(24).saturating_add(hours) == 0 {
            let detail = "together with spec.statsIntervalHours must be greater than 0";
            errors.push(FieldError::invalid("spec.statsIntervalDays", &days.into(), detail));
        }
        errors
    }
}
