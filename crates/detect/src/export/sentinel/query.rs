//! The query of a rule: a filter for its events, followed by the counting.
//!
//! A run reads the events of the whole look-back. It reports a window only if one of its events was
//! ingested since the last run, with a margin for delayed runs: alerts may repeat, but none is
//! lost. Windows end with each event, so they slide.

use std::time::Duration;

use super::kql::{self, Writer};
use super::profiles::{self, Table};
use super::title;
use crate::export::condition::{Attribute, Condition};
use crate::export::fidelity::{Effect, Reason, ReasonKind, format_duration};
use crate::export::model::{Counts, Key, RuleModel, Who};
use crate::export::profile::{Column, Profile};

/// Interval of a rule with a short look-back.
const FREQUENCY: Duration = Duration::from_mins(5);
/// Minimum interval with a look-back of at least [`LONG_PERIOD`].
const FREQUENCY_LONG: Duration = Duration::from_hours(1);
const LONG_PERIOD: Duration = Duration::from_hours(48);
/// Maximum look-back.
pub(super) const PERIOD_MAX: Duration = Duration::from_hours(14 * 24);
/// Maximum ingestion delay of an event that still counts in its window.
const LATENESS: Duration = Duration::from_hours(1);
/// Margin for delayed runs.
const DELAY: Duration = Duration::from_mins(10);

/// A query and its schedule.
pub(super) struct Query {
    pub(super) text: String,
    pub(super) frequency: Duration,
    pub(super) period: Duration,
    /// The group-by columns, without the cluster.
    pub(super) groups: Vec<String>,
    pub(super) reasons: Vec<Reason>,
}

/// Writes the query of a rule.
pub(super) fn of(model: &RuleModel<'_>, profile: &Profile) -> Result<Query, Reason> {
    let table = profiles::table(profile);
    let writer = Writer { profile, time: table.time };
    let mut builder = Builder { model, writer, table, reasons: Vec::new() };
    let (frequency, period) = builder.schedule();
    let groups: Vec<String> = model.group_by.iter().map(|key| column_name(&key.name)).collect();
    let text = builder.text(&groups, frequency)?;
    let detail = format!("every {}", format_duration(frequency));
    builder.add_reason(Reason::new(ReasonKind::Schedule, Effect::None, detail));
    Ok(Query { text, frequency, period, groups, reasons: builder.reasons })
}

struct Builder<'b> {
    model: &'b RuleModel<'b>,
    writer: Writer<'b>,
    table: Table,
    reasons: Vec<Reason>,
}

type Lines = Vec<String>;

impl Builder<'_> {
    fn add_reason(&mut self, reason: Reason) {
        reason.add_to(&mut self.reasons);
    }

    /// Interval and look-back.
    fn schedule(&mut self) -> (Duration, Duration) {
        let signal = &self.model.rule.signal;
        let history = match &self.model.counts {
            Counts::Single if self.model.cases.len() > 1 => signal.keep_alive,
            Counts::Single => Duration::ZERO,
            Counts::FirstSeen { forget_after, .. } => *forget_after,
            _ => self.model.timespan,
        };
        let history_max = PERIOD_MAX.saturating_sub(LATENESS);
        if history > history_max && matches!(self.model.counts, Counts::FirstSeen { .. }) {
            let detail = format!(
                "a value is forgotten after {} instead of {}",
                format_duration(PERIOD_MAX),
                format_duration(history)
            );
            self.add_reason(Reason::new(ReasonKind::Lifetime, Effect::More, detail));
        } else if history > history_max {
            self.add_reason(Reason::window_too_long(history, history_max));
        }
        let period = (history + LATENESS).min(PERIOD_MAX);
        (if period >= LONG_PERIOD { FREQUENCY_LONG } else { FREQUENCY }, period)
    }

    fn timespan(&self) -> Duration {
        self.model.timespan.min(PERIOD_MAX.saturating_sub(LATENESS))
    }

    fn text(&mut self, groups: &[String], frequency: Duration) -> Result<String, Reason> {
        let by = [vec!["Cluster".to_owned()], groups.to_vec()].concat().join(", ");
        let is_new = format!("ingestion_time() > ago({})", format_duration(frequency + DELAY));
        let mut lines = match &self.model.counts {
            Counts::Single => self.single(&by, &is_new)?,
            Counts::FirstSeen { fields, learning, .. } => {
                self.first_seen(fields, *learning, &by, &is_new)?
            }
            Counts::Events => {
                let event = self.identity()?;
                self.window(&event, &by, &is_new)?
            }
            Counts::Values(key) => {
                let value = self.key(key)?;
                self.window(&value, &by, &is_new)?
            }
            Counts::Queries => self.window("Query", &by, &is_new)?,
            Counts::Sequence => self.sequence(&by, &is_new)?,
            Counts::Absence => self.absence(&by, frequency)?,
        };
        lines.extend(self.severity());
        lines.extend(title::lines(self.model, &mut self.reasons));
        Ok(lines.join("\n"))
    }

    /// The events of some queries, with the columns for alerts.
    fn events(
        &mut self,
        condition: &Condition,
        keys: &[Key],
        extra: &[(&str, String)],
    ) -> Result<Lines, Reason> {
        let mut lines: Lines = self.table.lines.iter().map(|line| (*line).to_owned()).collect();
        match condition {
            Condition::All(parts) => {
                for part in parts {
                    lines.push(format!("| where {}", self.writer.expression(part)?));
                }
            }
            other => lines.push(format!("| where {}", self.writer.expression(other)?)),
        }
        let mut columns: Vec<(String, String)> =
            vec![("EventTime".to_owned(), self.table.time.to_owned())];
        columns.push(("Cluster".to_owned(), self.text_of("cluster")?));
        let actor = Key {
            name: "actor.username".to_owned(),
            attribute: Attribute::named("user.username"),
            who: Who::Actor,
        };
        let account = self.key(&actor)?;
        lines.push(format!("| extend Account = {account}"));
        for key in keys {
            let value = Some(self.key(key)?).filter(|column| *column != account);
            columns.push((column_name(&key.name), value.unwrap_or_else(|| "Account".to_owned())));
        }
        let (addresses, _) = self.writer.column(&Attribute::named("sourceIPs"))?;
        columns.extend([
            ("Account".to_owned(), "Account".to_owned()),
            ("SourceIp".to_owned(), format!("tostring({addresses}[0])")),
            ("Verb".to_owned(), self.text_of("verb")?),
            ("Resource".to_owned(), self.text_of("objectRef.resource")?),
            ("Namespace".to_owned(), self.text_of("objectRef.namespace")?),
            ("Name".to_owned(), self.text_of("objectRef.name")?),
        ]);
        columns.extend(extra.iter().map(|(name, text)| {
            let text = if *text == account { "Account".to_owned() } else { text.clone() };
            ((*name).to_owned(), text)
        }));
        let columns: Vec<String> = columns
            .iter()
            .map(
                |(name, text)| {
                    if name == text { name.clone() } else { format!("{name} = {text}") }
                },
            )
            .collect();
        lines.push(format!("| project {}", columns.join(", ")));
        if !matches!(self.model.counts, Counts::Single | Counts::FirstSeen { .. }) {
            // An event without the value belongs to no group.
            let keys: Vec<String> =
                keys.iter().map(|key| format!("isnotempty({})", column_name(&key.name))).collect();
            if !keys.is_empty() {
                lines.push(format!("| where {}", keys.join(" and ")));
            }
        }
        Ok(lines)
    }

    /// The union of the events of all queries, whose keys may differ.
    fn all_events(&mut self, extra: &[(&str, String)]) -> Result<Lines, Reason> {
        let model = self.model;
        let is_one = model.queries.iter().all(|query| query.group_by == model.group_by);
        if is_one && !matches!(model.counts, Counts::Queries | Counts::Sequence) {
            let conditions = model.queries.iter().map(|query| query.condition.clone());
            let any = Condition::Any(conditions.collect()).simplified();
            return self.events(&any, &model.group_by, extra);
        }
        let mut lines = Vec::new();
        for (index, query) in model.queries.iter().enumerate() {
            let mut extra = extra.to_vec();
            extra.push(("Query", kql::text(&query.label)));
            let events = self.events(&query.condition, &query.group_by, &extra)?;
            lines.push(if index == 0 { "union (".to_owned() } else { "), (".to_owned() });
            lines.extend(events.iter().map(|line| format!("    {line}")));
        }
        lines.push(")".to_owned());
        Ok(lines)
    }

    fn matches(&mut self, extra: &[(&str, String)]) -> Result<Lines, Reason> {
        let events = self.all_events(extra)?;
        let mut lines = vec!["let Matches = materialize(".to_owned()];
        lines.extend(events.iter().map(|line| format!("    {line}")));
        lines.push(");".to_owned());
        Ok(lines)
    }

    fn single(&mut self, by: &str, is_new: &str) -> Result<Lines, Reason> {
        let mut lines = self.all_events(&[("IsNew", is_new.to_owned())])?;
        lines.push(format!(
            "| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), \
             arg_max(EventTime, *) by {by}"
        ));
        lines.push("| where New > 0".to_owned());
        lines.push("| extend Count = Events, LastSeen = EventTime".to_owned());
        Ok(lines)
    }

    /// Counts distinct values within the time span before each event.
    fn window(&mut self, value: &str, by: &str, is_new: &str) -> Result<Lines, Reason> {
        let mut extra = vec![("IsNew", is_new.to_owned())];
        let counted = if value == "Query" {
            "Query"
        } else {
            extra.push(("Value", value.to_owned()));
            "Value"
        };
        let mut lines = self.matches(&extra)?;
        let count_min = self.model.cases.last().map_or(1, |case| case.at_least);
        let upper_bound = self
            .model
            .at_most
            .map(|upper_bound| format!(" and Count <= {upper_bound}"))
            .unwrap_or_default();
        lines.extend([
            "let Oldest = toscalar(Matches | where IsNew | summarize min(EventTime));".to_owned(),
            "Matches".to_owned(),
            "| where EventTime >= Oldest".to_owned(),
            format!("| distinct EventTime, {by}"),
            "| project-rename WindowEnd = EventTime".to_owned(),
            format!("| join kind=inner (Matches | where isnotempty({counted})) on {by}"),
            format!(
                "| where EventTime <= WindowEnd and EventTime > WindowEnd - {}",
                format_duration(self.timespan())
            ),
            format!(
                "| summarize Count = count_distinct({counted}), Events = count(), \
                 New = countif(IsNew), FirstSeen = min(EventTime), LastSeen = max(EventTime), \
                 arg_max(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) \
                 by {by}, WindowEnd"
            ),
            format!("| where New > 0 and Count >= {count_min}{upper_bound}"),
            format!("| summarize arg_max(Count, *) by {by}"),
        ]);
        Ok(lines)
    }

    /// Finds one event of each query, in order.
    fn sequence(&mut self, by: &str, is_new: &str) -> Result<Lines, Reason> {
        let identity = self.identity()?;
        let mut lines = self.matches(&[("IsNew", is_new.to_owned()), ("EventId", identity)])?;
        let labels: Vec<&str> =
            self.model.queries.iter().map(|query| query.label.as_str()).collect();
        for (index, label) in labels.iter().enumerate() {
            let step = index + 1;
            let is_last = step == labels.len();
            let last_event_columns =
                if is_last { ", Account, SourceIp, Verb, Resource, Namespace, Name" } else { "" };
            lines.push(format!(
                "let Step{step} = Matches | where Query == {} | project {by}, Time{step} = \
                 EventTime, Id{step} = EventId, New{step} = IsNew{last_event_columns};",
                kql::text(label)
            ));
        }
        lines.push("Step1".to_owned());
        let timespan = format_duration(self.timespan());
        for step in 2..=labels.len() {
            let before = step - 1;
            lines.push(format!("| join kind=inner Step{step} on {by}"));
            lines.push(format!(
                "| where Time{step} >= Time{before} and Time{step} < Time1 + {timespan} and \
                 Id{step} != Id{before}"
            ));
        }
        let last = labels.len().max(1);
        let new: Vec<String> = (1..=last).map(|step| format!("New{step}")).collect();
        lines.push(format!("| where {}", new.join(" or ")));
        lines.push(format!(
            "| summarize FirstSeen = min(Time1), arg_max(Time{last}, Account, SourceIp, Verb, \
             Resource, Namespace, Name) by {by}"
        ));
        lines.push(format!("| extend Count = {last}, Events = {last}, LastSeen = Time{last}"));
        Ok(lines)
    }

    /// Finds events whose value no earlier event of the look-back has.
    fn first_seen(
        &mut self,
        fields: &[Key],
        learning: Duration,
        by: &str,
        is_new: &str,
    ) -> Result<Lines, Reason> {
        let values: Vec<String> =
            fields.iter().map(|key| self.key(key)).collect::<Result<_, _>>()?;
        let value = match values.as_slice() {
            [column] => column.clone(),
            _ => format!("strcat_delim(\"|\", {})", values.join(", ")),
        };
        let mut lines = self.matches(&[("IsNew", is_new.to_owned()), ("Value", value)])?;
        lines.extend([
            "Matches".to_owned(),
            "| where IsNew and isnotempty(Value)".to_owned(),
            "| join kind=leftanti (Matches | where not(IsNew)) on Cluster, Value".to_owned(),
        ]);
        if !learning.is_zero() {
            let detail = format!(
                "the learning time of {} begins with the first event of the look-back",
                format_duration(learning)
            );
            self.add_reason(Reason::new(ReasonKind::Lifetime, Effect::Either, detail));
            lines.push(
                "| join kind=inner (Matches | summarize Began = min(EventTime) by Cluster) on Cluster"
                    .to_owned(),
            );
            lines.push(format!("| where EventTime - Began >= {}", format_duration(learning)));
        }
        lines.push(format!(
            "| summarize Events = count(), FirstSeen = min(EventTime), LastSeen = max(EventTime), \
             arg_min(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by {by}"
        ));
        lines.push("| extend Count = Events".to_owned());
        Ok(lines)
    }

    /// Finds events without a following event for the time span.
    fn absence(&mut self, by: &str, frequency: Duration) -> Result<Lines, Reason> {
        let mut lines = self.matches(&[])?;
        let timespan = format_duration(self.timespan());
        // A run reads events that are at least five minutes old.
        lines.extend([
            "Matches".to_owned(),
            format!("| extend Due = EventTime + {timespan}"),
            format!(
                "| where Due <= ago({}) and Due > ago({})",
                format_duration(FREQUENCY),
                format_duration(FREQUENCY + frequency + DELAY)
            ),
            format!("| join kind=leftouter (Matches | project Heard = EventTime, {by}) on {by}"),
            format!(
                "| summarize Later = countif(Heard > EventTime and Heard < Due), take_any(Account, \
                 SourceIp, Verb, Resource, Namespace, Name) by {by}, EventTime, Due"
            ),
            "| where Later == 0".to_owned(),
            "| extend Count = 0, Events = 0, FirstSeen = EventTime, LastSeen = EventTime"
                .to_owned(),
        ]);
        Ok(lines)
    }

    /// The severity of an alert; Sentinel has no critical, so it becomes high.
    fn severity(&mut self) -> Lines {
        let name = |severity| kql::text(super::rule::Severity::of(severity).name());
        let cases = &self.model.cases;
        let last = cases.last().map_or(self.model.rule.severity, |case| case.severity);
        let of_cases = |name: &dyn Fn(event::Severity) -> String| {
            let higher_cases = cases.iter().take(cases.len().saturating_sub(1));
            let higher_cases: Vec<String> = higher_cases
                .map(|case| format!("Count >= {}, {}", case.at_least, name(case.severity)))
                .collect();
            match higher_cases.as_slice() {
                [] => name(last),
                _ => format!("case({}, {})", higher_cases.join(", "), name(last)),
            }
        };
        if cases.iter().any(|case| case.severity == event::Severity::Critical) {
            let detail = "critical is high, and a detail of the alert says critical";
            self.add_reason(Reason::new(ReasonKind::Cases, Effect::None, detail));
        }
        let as_text = |severity: event::Severity| kql::text(severity.as_str());
        vec![format!(
            "| extend AlertSeverity = {}, RuleSeverity = {}",
            of_cases(&name),
            of_cases(&as_text)
        )]
    }

    /// An expression that identifies an event; the audit ID alone does not, as clients may choose
    /// it.
    fn identity(&self) -> Result<String, Reason> {
        let of = |name: &str| self.text_of(name);
        Ok(format!(
            "strcat_delim(\"|\", {}, {}, {}, {}, {})",
            of("auditID")?,
            of("stageTimestamp")?,
            of("verb")?,
            of("user.username")?,
            of("requestURI")?
        ))
    }

    fn text_of(&self, name: &str) -> Result<String, Reason> {
        self.writer.text_of(&Attribute::named(name))
    }

    fn key(&self, key: &Key) -> Result<String, Reason> {
        let field = self.writer.text_of(&key.attribute)?;
        let is_other = match key.who {
            Who::Named => return Ok(field),
            Who::Effective => Condition::exists("impersonatedUser.username"),
            Who::Actor => self.model.is_for_another.clone(),
        };
        if (self.writer.profile.column)(&key.impersonated()) == Column::Missing {
            return Ok(field);
        }
        let other = self.writer.text_of(&key.impersonated())?;
        Ok(format!("iff({}, {other}, {field})", self.writer.expression(&is_other)?))
    }
}

/// The column of a key: `actor.username` is `ActorUsername`.
pub(super) fn column_name(key: &str) -> String {
    let words = key.split(|char: char| !char.is_ascii_alphanumeric());
    words
        .filter_map(|word| {
            let mut chars = word.chars();
            chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str())
        })
        .collect()
}
