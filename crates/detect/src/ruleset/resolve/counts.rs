//! Checks that a correlation can reach its count: the events of its rules have the fields by which
//! they are grouped, and the counted field can have that many values.

use super::Resolver;
use crate::budget::Budget;
use crate::error::Position;
use crate::field::{Field, Path, StatusPath};
use crate::matcher::Expression;
use crate::sigma::{self, CorrelationKind, Document};

/// Number of codes of three digits.
const CODES: u64 = 900;

/// An error: its position, message and hint.
type Fault = (Position, String, String);

impl Resolver<'_> {
    /// Whether the correlation can reach its count.
    pub(super) fn check_counts(
        &mut self,
        document: &Document,
        correlation: &sigma::Correlation,
        documents: &[Document],
    ) -> bool {
        let budget = self.budget(document);
        let fault = self
            .missing_group(correlation, documents, &budget)
            .or_else(|| self.too_few_values(document, correlation, &budget));
        let Some((at, message, hint)) = fault else { return true };
        self.error(document, at, message, Some(hint));
        false
    }

    /// A rule whose events never have a field of the group-by: they would not be correlated.
    fn missing_group(
        &self,
        correlation: &sigma::Correlation,
        documents: &[Document],
        budget: &Budget,
    ) -> Option<Fault> {
        for (name, at) in &correlation.group_by {
            for (rule, _) in &correlation.rules {
                let (Ok(field), Some(expression)) =
                    (self.group_field(name, rule, correlation, documents), self.expression(rule))
                else {
                    continue;
                };
                if !expression.may_have(&field, budget) {
                    let rule = sigma::yaml::printable(rule);
                    let message = format!("no event of the rule `{rule}` has the field `{field}`");
                    let hint = "an event without it is not correlated: group by another field";
                    return Some((*at, message, hint.to_owned()));
                }
            }
        }
        None
    }

    /// A threshold or a case beyond the number of values that the counted fields can have.
    fn too_few_values(
        &self,
        document: &Document,
        correlation: &sigma::Correlation,
        budget: &Budget,
    ) -> Option<Fault> {
        let CorrelationKind::ValueCount(counted) = &correlation.kind else { return None };
        let rules = correlation.rules.iter();
        let expressions: Vec<&Expression> =
            rules.filter_map(|(rule, _)| self.expression(rule)).collect();
        let is_group = |field: &Field| {
            let mut names = correlation.group_by.iter();
            names.any(|(name, _)| Field::parse(name).is_ok_and(|group_field| group_field == *field))
        };
        let mut values_max: u64 = 1;
        for field in counted {
            let values = if is_group(field) && !field.has_several_values() {
                1
            } else {
                number_of_values(field, &expressions, budget)?
            };
            // Of several fields, some can be absent.
            let absent = u64::from(counted.len() > 1);
            values_max = values_max.saturating_mul(values + absent);
        }
        let names: Vec<String> = counted.iter().map(|field| format!("`{field}`")).collect();
        let names = names.join(" and ");
        let hint = format!("use a number up to {values_max}, or count another field");
        let least = correlation.condition.map_or(0, |condition| condition.at_least);
        if least > values_max {
            let message =
                format!("{names} has at most {values_max} values in these events, never {least}");
            return Some((correlation.condition_at, message, hint));
        }
        let mut cases = document.header.signal.cases.iter();
        let case = cases.find(|case| case.at_least > values_max)?;
        let message = format!(
            "the case `{}` could never apply: {names} has at most {values_max} values",
            case.name
        );
        Some((document.header.cases_at.unwrap_or(document.at), message, hint))
    }
}

/// The number of values that a field can have in the events of these rules; `None` if it is not
/// bounded.
fn number_of_values(field: &Field, rules: &[&Expression], budget: &Budget) -> Option<u64> {
    if !rules.iter().any(|rule| rule.may_have(field, budget)) {
        return Some(0);
    }
    if *field.path() == Path::Status(StatusPath::Code) {
        return Some(CODES);
    }
    let words = sigma::possible_values(field.path())?;
    let is_possible = |rule: &Expression, word: &str| {
        let is_evaluated = match field.path() {
            // Without these fields a rule does not evaluate all events.
            Path::Stage => rule.names_stage() || matches!(word, "ResponseComplete" | "Panic"),
            Path::DryRun => rule.names_dry_run() || word == "false",
            _ => true,
        };
        is_evaluated && rule.may_have_value(field, word, budget)
    };
    let possible = words.iter().filter(|word| rules.iter().any(|rule| is_possible(rule, word)));
    Some(possible.count() as u64)
}
