//! The search of a rule: a filter for its events, followed by the counting.
//!
//! A run reports a window only if one of its events was indexed since the last run, with a margin:
//! throttling hides repeated alerts, and none is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use super::spl::{self, Writer};
use super::title;
use crate::export::condition::{Attribute, Condition, Operator};
use crate::export::fidelity::{Effect, Reason, ReasonKind, format_duration};
use crate::export::model::{Counts, Key, RuleModel, Who};
use crate::export::profile::{Column, DryRun, Profile};

/// Default interval of a search.
const FREQUENCY: Duration = Duration::from_mins(5);
const FREQUENCY_LONG: Duration = Duration::from_hours(1);
const LONG_PERIOD: Duration = Duration::from_hours(48);
/// Maximum indexing delay of an event that still counts in its window.
const LATENESS: Duration = Duration::from_hours(1);
/// Margin for delayed runs.
const DELAY: Duration = Duration::from_mins(10);

/// A search and its schedule.
pub(super) struct Search {
    /// The commands, one per line.
    pub(super) lines: Vec<String>,
    pub(super) frequency: Duration,
    pub(super) period: Duration,
    /// The group-by fields, without the cluster.
    pub(super) groups: Vec<String>,
    pub(super) reasons: Vec<Reason>,
}

/// Writes the search of a rule.
pub(super) fn of(model: &RuleModel<'_>, profile: &Profile) -> Result<Search, Reason> {
    let history = match &model.counts {
        Counts::Single if model.cases.len() > 1 => model.rule.signal.keep_alive,
        Counts::Single => Duration::ZERO,
        Counts::FirstSeen { forget_after, .. } => *forget_after,
        _ => model.timespan,
    };
    let period = history + LATENESS;
    let frequency = if period >= LONG_PERIOD { FREQUENCY_LONG } else { FREQUENCY };
    let groups: Vec<String> = model.group_by.iter().map(|key| field_name(&key.name)).collect();
    let writer = Writer { profile, filled: BTreeSet::new() };
    let mut builder = Builder { model, writer, groups: groups.clone(), reasons: Vec::new() };
    let lines = builder.lines(frequency)?;
    let detail = format!("every {}", format_duration(frequency));
    builder.add_reason(Reason::new(ReasonKind::Schedule, Effect::None, detail));
    Ok(Search { lines, frequency, period, groups, reasons: builder.reasons })
}

struct Builder<'b> {
    model: &'b RuleModel<'b>,
    writer: Writer<'b>,
    groups: Vec<String>,
    reasons: Vec<Reason>,
}

/// The fields of the last event that an alert contains.
const LAST_EVENT_FIELDS: [(&str, &str); 5] = [
    ("verb", "verb"),
    ("resource", "objectRef.resource"),
    ("namespace", "objectRef.namespace"),
    ("name", "objectRef.name"),
    ("user_agent", "userAgent"),
];

type Lines = Vec<String>;

impl Builder<'_> {
    fn add_reason(&mut self, reason: Reason) {
        reason.add_to(&mut self.reasons);
    }

    fn lines(&mut self, frequency: Duration) -> Result<Lines, Reason> {
        self.model.check_groups()?;
        let mut lines = self.events(frequency)?;
        let by = [vec!["cluster".to_owned()], self.groups.clone()].concat().join(" ");
        lines.extend(match &self.model.counts {
            Counts::Single => Self::single(&by),
            Counts::FirstSeen { learning, .. } => self.first_seen(*learning, &by),
            Counts::Events => self.window("event_id", &by),
            Counts::Values(_) => self.window("value", &by),
            Counts::Queries => {
                let steps = "| mvexpand step".to_owned();
                std::iter::once(steps).chain(self.window("step", &by)).collect()
            }
            Counts::Sequence => self.sequence(&by),
            Counts::Absence => self.absence(frequency, &by),
        });
        lines.push(self.severity());
        lines.push(title::line(self.model, &mut self.reasons));
        Ok(lines)
    }

    /// The events of all queries, with the fields for alerts.
    fn events(&mut self, frequency: Duration) -> Result<Lines, Reason> {
        let model = self.model;
        let conditions = model.queries.iter().map(|query| query.condition.clone());
        let any = Condition::Any(conditions.collect()).simplified();
        self.report_dry_runs(&any);
        let mut tests = Vec::new();
        match &any {
            Condition::All(parts) => {
                for part in parts {
                    tests.push(format!("| where {}", self.writer.expression(part)?));
                }
            }
            other => tests.push(format!("| where {}", self.writer.expression(other)?)),
        }
        let mut columns = vec![("event_id".to_owned(), self.identity()?)];
        let actor = Key {
            name: String::new(),
            attribute: Attribute::named("user.username"),
            who: Who::Actor,
        };
        let account = self.key(&actor)?;
        columns.push(("account".to_owned(), account.clone()));
        columns.push(("source_ip".to_owned(), self.writer.field(&Attribute::named("sourceIPs"))?));
        for (name, field) in LAST_EVENT_FIELDS {
            columns.push((name.to_owned(), self.writer.field(&Attribute::named(field))?));
        }
        for (name, key) in self.groups.clone().into_iter().zip(&model.group_by) {
            let value = Some(self.key(key)?).filter(|column| *column != account);
            columns.push((name, value.unwrap_or_else(|| "account".to_owned())));
        }
        columns.extend(self.counted()?);
        let time = self.writer.field(&Attribute::named("stageTimestamp"))?;
        let mut lines = vec!["`keepwatch_events`".to_owned()];
        if let Some(terms) = terms(&any, self.writer.profile) {
            lines.push(terms);
        }
        let filled: Vec<String> = self.writer.filled.iter().map(|name| listed(name)).collect();
        lines.push(format!("| fillnull value=\"\" {}", filled.join(" ")));
        lines.push(format!(
            "| eval _time=coalesce(strptime(replace({time},\"Z$\",\"+0000\"),\
             \"%Y-%m-%dT%H:%M:%S.%6N%z\"),_time)"
        ));
        lines.extend(tests);
        lines.push("| eval cluster=`keepwatch_cluster`".to_owned());
        let columns: Vec<String> =
            columns.iter().map(|(name, value)| format!("{name}={value}")).collect();
        lines.push(format!("| eval {}", columns.join(", ")));
        let since = frequency + DELAY;
        lines.push(format!(
            "| eval is_new=if(_indextime>relative_time(now(),\"-{}m\"),1,0)",
            since.as_secs() / 60
        ));
        if !matches!(model.counts, Counts::Single | Counts::FirstSeen { .. })
            && !self.groups.is_empty()
        {
            // An event without the value belongs to no group.
            let conditions: Vec<String> =
                self.groups.iter().map(|name| format!("{name}!=\"\"")).collect();
            lines.push(format!("| where {}", conditions.join(" AND ")));
        }
        Ok(lines)
    }

    /// Reports the limit of dry-run detection: a deletion counts unless its body is of a dry run.
    fn report_dry_runs(&mut self, condition: &Condition) {
        let uses_body = condition.attributes().contains(&Attribute::named("requestObject.dryRun"));
        if uses_body && self.writer.profile.dry_run == DryRun::Wildcards {
            let detail =
                "a deletion that requests a dry run in its URL and has no body matches too";
            self.add_reason(Reason::new(ReasonKind::DryRun, Effect::Rare, detail));
        }
    }

    /// The counted value, or the indices of the queries that an event matches.
    fn counted(&mut self) -> Result<Vec<(String, String)>, Reason> {
        let model = self.model;
        Ok(match &model.counts {
            Counts::Values(key) => vec![("value".to_owned(), self.key(key)?)],
            Counts::FirstSeen { fields, .. } => {
                let values: Vec<String> =
                    fields.iter().map(|key| self.key(key)).collect::<Result<_, _>>()?;
                vec![("value".to_owned(), values.join(".\"|\"."))]
            }
            Counts::Queries | Counts::Sequence => {
                let mut steps = Vec::new();
                for (index, query) in model.queries.iter().enumerate() {
                    let test = self.writer.expression(&query.condition)?;
                    steps.push(format!("if({test},\"{}\",null())", index + 1));
                }
                let steps = format!("mvappend({})", steps.join(","));
                vec![("step".to_owned(), steps), ("lead".to_owned(), "mvindex(step,0)".to_owned())]
            }
            _ => Vec::new(),
        })
    }

    fn single(by: &str) -> Lines {
        vec![
            format!(
                "| stats count AS events, sum(is_new) AS new, min(_time) AS first_seen, \
                 max(_time) AS last_seen, {} BY {by}",
                last_event_fields()
            ),
            "| where new>0".to_owned(),
            "| eval count=events".to_owned(),
        ]
    }

    /// Counts distinct values within the time span before each event.
    fn window(&self, value: &str, by: &str) -> Lines {
        let count_min = self.model.cases.last().map_or(1, |case| case.at_least);
        let upper_bound = self
            .model
            .at_most
            .map(|upper_bound| format!(" AND count<={upper_bound}"))
            .unwrap_or_default();
        let mut lines = Vec::new();
        if value == "value" {
            lines.push("| where value!=\"\"".to_owned());
        }
        lines.extend([
            "| sort 0 _time".to_owned(),
            format!(
                "| streamstats time_window={} dc({value}) AS count, count AS events, \
                 sum(is_new) AS new, min(_time) AS first_seen BY {by}",
                span(self.model.timespan)
            ),
            format!("| where new>0 AND count>={count_min}{upper_bound}"),
            format!(
                "| stats max(count) AS count, max(events) AS events, min(first_seen) AS first_seen, \
                 max(_time) AS last_seen, {} BY {by}",
                last_event_fields()
            ),
        ]);
        lines
    }

    /// Computes for each step the latest start of a chain that reaches it. At equal times, an event
    /// that starts a chain sorts first, and no event follows itself.
    fn sequence(&self, by: &str) -> Lines {
        let seconds = self.model.timespan.as_secs();
        let mut lines = vec![
            "| mvexpand step".to_owned(),
            "| sort 0 _time lead event_id -step".to_owned(),
            format!(
                "| streamstats time_window={} sum(is_new) AS new BY {by}",
                span(self.model.timespan)
            ),
        ];
        let last = self.model.queries.len();
        for step in 1..=last {
            let before = step - 1;
            lines.push(match step {
                1 => "| eval reached=if(step=\"1\",_time,null())".to_owned(),
                _ => format!(
                    "| eval reached=if(step=\"{step}\" AND _time-start{before}<{seconds},\
                     start{before},null())"
                ),
            });
            if step < last {
                lines.push(format!("| streamstats max(reached) AS start{step} BY {by}"));
            }
        }
        lines.extend([
            "| where isnotnull(reached) AND new>0".to_owned(),
            format!(
                "| stats min(reached) AS first_seen, max(_time) AS last_seen, {} BY {by}",
                last_event_fields()
            ),
            format!("| eval count={last}, events={last}"),
        ]);
        lines
    }

    /// Finds values whose first event in the look-back is new.
    fn first_seen(&mut self, learning: Duration, by: &str) -> Lines {
        let mut lines = vec!["| where value!=\"\"".to_owned()];
        let start_field = if learning.is_zero() {
            ""
        } else {
            let detail = format!(
                "the learning time of {} begins with the first event of the look-back",
                format_duration(learning)
            );
            self.add_reason(Reason::new(ReasonKind::Lifetime, Effect::Either, detail));
            lines.push("| eventstats min(_time) AS began BY cluster".to_owned());
            "began "
        };
        lines.push("| eventstats min(is_new) AS all_new BY cluster value".to_owned());
        lines.push("| where all_new=1".to_owned());
        if !start_field.is_empty() {
            lines.push(format!("| where _time-began>={}", learning.as_secs()));
        }
        lines.push(format!(
            "| stats count AS events, min(_time) AS first_seen, max(_time) AS last_seen, {} BY {by}",
            last_event_fields()
        ));
        lines.push("| eval count=events".to_owned());
        lines
    }

    /// Finds events without a following event for the time span.
    fn absence(&self, frequency: Duration, by: &str) -> Lines {
        let minutes = |time: Duration| time.as_secs() / 60;
        vec![
            "| sort 0 - _time".to_owned(),
            format!("| streamstats current=f window=1 global=f last(_time) AS later BY {by}"),
            format!("| eval due=_time+{}", self.model.timespan.as_secs()),
            format!(
                "| where coalesce(later,{})>=due AND due<=relative_time(now(),\"-{}m\") AND \
                 due>relative_time(now(),\"-{}m\")",
                spl::FAR,
                minutes(FREQUENCY),
                minutes(FREQUENCY + frequency + DELAY)
            ),
            format!(
                "| stats max(_time) AS first_seen, max(_time) AS last_seen, {} BY {by}",
                last_event_fields()
            ),
            "| eval count=0, events=0".to_owned(),
        ]
    }

    fn severity(&self) -> String {
        let cases = &self.model.cases;
        let last = cases.last().map_or(self.model.rule.severity, |case| case.severity);
        let higher_cases = cases.iter().take(cases.len().saturating_sub(1));
        let higher_cases: Vec<String> = higher_cases
            .map(|case| format!("count>={},\"{}\",", case.at_least, case.severity.as_str()))
            .collect();
        let higher_cases = higher_cases.concat();
        if higher_cases.is_empty() {
            format!("| eval severity=\"{}\"", last.as_str())
        } else {
            format!("| eval severity=case({higher_cases}true(),\"{}\")", last.as_str())
        }
    }

    /// An expression that identifies an event; the audit ID alone does not, as clients may choose
    /// it.
    fn identity(&mut self) -> Result<String, Reason> {
        let parts: Vec<String> =
            ["auditID", "stageTimestamp", "verb", "user.username", "requestURI"]
                .into_iter()
                .map(|name| self.writer.field(&Attribute::named(name)))
                .collect::<Result<_, _>>()?;
        Ok(parts.join(".\"|\"."))
    }

    fn key(&mut self, key: &Key) -> Result<String, Reason> {
        let field = self.writer.field(&key.attribute)?;
        let is_other = match key.who {
            Who::Named => return Ok(field),
            Who::Effective => Condition::exists("impersonatedUser.username"),
            Who::Actor => self.model.is_for_another.clone(),
        };
        if (self.writer.profile.column)(&key.impersonated()) == Column::Missing {
            return Ok(field);
        }
        let other = self.writer.field(&key.impersonated())?;
        let test = self.writer.expression(&is_other)?;
        Ok(format!("if({test},{other},{field})"))
    }
}

/// Aggregations that keep the fields of the last event of a group.
fn last_event_fields() -> String {
    let names = ["account", "source_ip"].into_iter().chain(LAST_EVENT_FIELDS.map(|(name, _)| name));
    let each: Vec<String> = names.map(|name| format!("latest({name}) AS {name}")).collect();
    each.join(", ")
}

/// Index terms that exclude most events cheaply; `where` decides.
fn terms(condition: &Condition, profile: &Profile) -> Option<String> {
    let Condition::All(parts) = condition else { return None };
    let term = |part: &Condition| match part {
        Condition::Test(attribute, Operator::OneOf(texts, _)) if attribute.has_fixed_case() => {
            let Column::Named(name, _) = (profile.column)(attribute) else { return None };
            let is_plain = |text: &String| !text.is_empty() && !text.contains(['*', '"', '\\']);
            if !texts.iter().all(is_plain) {
                return None;
            }
            let each: Vec<String> =
                texts.iter().map(|text| format!("{}={}", listed(&name), spl::text(text))).collect();
            Some(match each.as_slice() {
                [term] => term.clone(),
                many => format!("({})", many.join(" OR ")),
            })
        }
        _ => None,
    };
    let terms: Vec<String> = parts.iter().filter_map(term).collect();
    (!terms.is_empty()).then(|| terms.join(" "))
}

/// The form of a field name in commands.
fn listed(name: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.');
    if name.chars().all(is_plain) { name.to_owned() } else { format!("\"{name}\"") }
}

fn span(time: Duration) -> String {
    format_duration(time)
}

/// The field of a key: `actor.username` is `actor_username`.
pub(super) fn field_name(key: &str) -> String {
    let name = |char: char| if char.is_ascii_alphanumeric() { char } else { '_' };
    format!("group_{}", key.chars().map(name).collect::<String>())
}
