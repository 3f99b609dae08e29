//! Selects the rule type that keeps the meaning of a rule, and writes its search.

use std::time::Duration;

use super::{eql, esql, kql, profiles};
use crate::export::condition::{Attribute, Condition, Operator};
use crate::export::fidelity::{Effect, Reason, ReasonKind, format_duration};
use crate::export::model::{Counts, Key, Query, RuleModel, Who};
use crate::export::profile::Profile;

/// Interval of a rule.
const INTERVAL: Duration = Duration::from_mins(5);
/// Interval of an absence rule, whose time span may be short.
const SILENCE_INTERVAL: Duration = Duration::from_mins(1);
/// Maximum delay of an event that is still found. Kibana raises one alert for an event, even if
/// several runs find it.
const LATENESS: Duration = Duration::from_hours(1);
/// Look-back of an absence rule.
const SILENCE_SINCE: Duration = Duration::from_hours(24);
/// Maximum number of fields of a threshold or new terms rule; more is an error.
const FIELDS_MAX: usize = 3;

/// A search and its schedule.
pub(super) struct Search {
    pub(super) kind: Kind,
    pub(super) interval: Duration,
    /// Look-back.
    pub(super) from: Duration,
    /// Fields of the alert suppression.
    pub(super) suppressed_by: Vec<String>,
}

/// The rule types.
pub(super) enum Kind {
    /// An alert for every matching event, in `KQL`.
    Query(String),
    /// An alert for every group with at least this many events, in `KQL`.
    Threshold { query: String, fields: Vec<String>, at_least: u64 },
    /// An alert for every value that is new within the history, in `KQL`.
    NewTerms { query: String, fields: Vec<String>, history: Duration },
    /// An alert for every matching event or sequence, in EQL.
    Eql(String),
    /// An alert for every row, in ES|QL. The column `severity` exists if rows differ in it.
    Esql { query: String, has_severity: bool },
}

/// Builds the search, and returns the differences.
pub(super) fn of(
    model: &RuleModel<'_>,
    profile: &Profile,
) -> Result<(Search, Vec<Reason>), Vec<Reason>> {
    let mut translation = Translation { model, profile, reasons: Vec::new() };
    let search = translation.search().map_err(|reason| vec![reason])?;
    Ok((search, translation.reasons))
}

struct Translation<'t> {
    model: &'t RuleModel<'t>,
    profile: &'t Profile,
    reasons: Vec<Reason>,
}

impl Translation<'_> {
    fn search(&mut self) -> Result<Search, Reason> {
        let model = self.model;
        if model.at_most.is_some() && model.counts != Counts::Absence {
            return Err(Reason::refusal(ReasonKind::NoUpperBound, ""));
        }
        for query in &model.queries {
            self.check(&query.condition)?;
        }
        match &model.counts {
            Counts::Single => self.single(),
            Counts::FirstSeen { fields, learning, forget_after } => {
                self.first_seen(fields, *learning, *forget_after)
            }
            Counts::Events => match self.threshold()? {
                Some(search) => Ok(search),
                None => self.counted(None),
            },
            Counts::Values(key) => self.counted(Some(key)),
            Counts::Queries => self.all_of_them(),
            Counts::Sequence => self.sequence(),
            Counts::Absence => self.absence(),
        }
    }

    fn add_reason(&mut self, kind: ReasonKind, effect: Effect, detail: impl Into<String>) {
        Reason::new(kind, effect, detail).add_to(&mut self.reasons);
    }

    /// Checks that every field exists, and reports the limits of dry-run detection.
    fn check(&mut self, condition: &Condition) -> Result<(), Reason> {
        for attribute in condition.attributes() {
            self.column(attribute)?;
        }
        let attributes = condition.attributes();
        let uses = |name| attributes.contains(&Attribute::named(name));
        if uses("requestObject.dryRun") {
            let detail =
                "a deletion that requests a dry run in its URL and has no body matches too";
            self.add_reason(ReasonKind::DryRun, Effect::Rare, detail);
        }
        if uses("requestURI") {
            let detail = "a request with an unusual encoding of dryRun in its URL matches too";
            self.add_reason(ReasonKind::DryRun, Effect::Rare, detail);
        }
        Ok(())
    }

    fn column(&self, attribute: &Attribute) -> Result<String, Reason> {
        Ok(self.profile.named(attribute)?.0)
    }

    /// The disjunction of the queries, which must have the same group-by, with values of the keys
    /// in `present_keys`.
    fn any(&self, present_keys: &[&Key]) -> Result<Condition, Reason> {
        self.model.check_groups()?;
        let any = self.model.queries.iter().map(|query| query.condition.clone()).collect();
        let exists = present_keys.iter().map(|key| exists(key));
        Ok(Condition::All(std::iter::once(Condition::Any(any)).chain(exists).collect())
            .simplified())
    }

    /// The field names of keys. A computed user becomes the user of the event.
    fn fields(&mut self, keys: &[Key], is_meaning: bool) -> Result<Vec<String>, Reason> {
        let mut fields = Vec::with_capacity(keys.len() + 1);
        for key in keys {
            if key.who != Who::Named {
                let effect = match (is_meaning, profiles::has_impersonation(self.profile)) {
                    (false, _) => Effect::None,
                    (true, true) => Effect::Either,
                    (true, false) => Effect::Rare,
                };
                let detail = format!(
                    "by `{}` instead of `{}`, which differ when K10 acts for a user",
                    key.attribute, key.name
                );
                self.add_reason(ReasonKind::Grouping, effect, detail);
            }
            fields.push(self.column(&key.attribute)?);
        }
        fields.push(self.column(&Attribute::named("cluster"))?);
        Ok(fields)
    }

    fn report_lateness(&mut self, from: Duration) {
        let detail =
            format!("events that come more than {} late are not seen", format_duration(from));
        self.add_reason(ReasonKind::Schedule, Effect::None, detail);
    }

    fn single(&mut self) -> Result<Search, Reason> {
        let condition = self.any(&[])?;
        let query = kql::query(&condition, self.profile).map(Kind::Query);
        let query = query.or_else(|| {
            let query = eql::query(&condition, self.profile)?;
            Some(Kind::Eql(format!("any where {query}")))
        });
        let query = query.or_else(|| {
            let query = esql::query(&condition, self.profile)?;
            let from = profiles::index(self.profile);
            let query = format!("FROM {from} METADATA _id, _index, _version\n| WHERE {query}");
            Some(Kind::Esql { query, has_severity: false })
        });
        let kind = query.ok_or_else(|| self.untranslatable(&condition))?;
        if self.model.cases.len() > 1 {
            self.add_reason(ReasonKind::Cases, Effect::None, "an alert does not count events");
        }
        self.report_lateness(LATENESS);
        let keys = self.model.group_by.clone();
        let suppressed_by = self.fields(&keys, false)?;
        Ok(Search { kind, interval: INTERVAL, from: INTERVAL + LATENESS, suppressed_by })
    }

    /// The part that none of the languages can express.
    fn untranslatable(&self, condition: &Condition) -> Reason {
        let mut parts = Vec::new();
        tests(condition, &mut parts);
        let is_said = |test: &&Condition| {
            kql::query(test, self.profile).is_some()
                || eql::query(test, self.profile).is_some()
                || esql::query(test, self.profile).is_some()
        };
        let detail = match parts.iter().find(|test| !is_said(test)) {
            Some(Condition::Test(attribute, Operator::Shorter(_))) => {
                format!("the length of the duration `{attribute}`")
            }
            Some(Condition::Test(attribute, _)) => format!("a comparison with `{attribute}`"),
            _ => "parts of it are for different languages".to_owned(),
        };
        Reason::refusal(ReasonKind::Condition, detail)
    }

    fn first_seen(
        &mut self,
        value_keys: &[Key],
        learning: Duration,
        forget_after: Duration,
    ) -> Result<Search, Reason> {
        let mut keys = self.model.group_by.clone();
        keys.extend(value_keys.iter().filter(|key| !self.model.group_by.contains(key)).cloned());
        let condition = self.any(&keys.iter().collect::<Vec<_>>())?;
        let query = kql::query(&condition, self.profile);
        let query = query.ok_or_else(|| self.untranslatable(&condition))?;
        let fields = self.fields(&keys, true)?;
        if fields.len() > FIELDS_MAX {
            return Err(Reason::refusal(ReasonKind::Grouping, "by more than three fields"));
        }
        if !learning.is_zero() {
            let detail = format!("nothing is learned for {} before", format_duration(learning));
            self.add_reason(ReasonKind::NoFirstSeen, Effect::More, detail);
        }
        self.report_lateness(LATENESS);
        let kind = Kind::NewTerms { query, fields: fields.clone(), history: forget_after };
        Ok(Search { kind, interval: INTERVAL, from: INTERVAL + LATENESS, suppressed_by: fields })
    }

    /// A threshold rule; `None` if only ES|QL keeps the severity cases or computed users.
    fn threshold(&mut self) -> Result<Option<Search>, Reason> {
        let model = self.model;
        let is_computed = model.group_by.iter().any(|key| key.who != Who::Named);
        if model.cases.len() > 1
            || model.group_by.len() + 1 > FIELDS_MAX
            || (is_computed && profiles::has_impersonation(self.profile))
        {
            return Ok(None);
        }
        let condition = self.any(&model.group_by.iter().collect::<Vec<_>>())?;
        let Some(query) = kql::query(&condition, self.profile) else { return Ok(None) };
        let fields = self.fields(&model.group_by, true)?;
        let at_least = model.cases.first().map_or(1, |case| case.at_least);
        let kind = Kind::Threshold { query, fields: fields.clone(), at_least };
        let from = self.window();
        Ok(Some(Search { kind, interval: INTERVAL, from, suppressed_by: fields }))
    }

    /// Look-back of a count, long enough that no window falls between two runs.
    fn window(&mut self) -> Duration {
        let from = self.model.timespan + INTERVAL;
        let detail = format!("the window is up to {} longer", format_duration(INTERVAL));
        self.add_reason(ReasonKind::RoundedTime, Effect::More, detail);
        from
    }

    /// The common start of ES|QL searches: events, and the columns of keys.
    fn rows(&self, condition: &Condition, keys: &[(&str, &Key)]) -> Result<String, Reason> {
        let untranslatable = || self.untranslatable(condition);
        let query = esql::query(condition, self.profile).ok_or_else(untranslatable)?;
        let mut text = format!("FROM {}\n| WHERE {query}\n", profiles::index(self.profile));
        for (name, key) in keys {
            let value = self.value(key)?;
            if value != **name {
                text.extend(["| EVAL ", name, " = ", &value, "\n"]);
            }
            text.extend(["| WHERE ", name, " IS NOT NULL AND ", name, " != \"\"\n"]);
        }
        Ok(text)
    }

    /// The expression of a key's value, which selects the user of a computed one.
    fn value(&self, key: &Key) -> Result<String, Reason> {
        let plain = esql::field(&self.column(&key.attribute)?);
        let is_other = match key.who {
            Who::Named => return Ok(plain),
            Who::Effective => Condition::exists("impersonatedUser.username"),
            Who::Actor => self.model.is_for_another.clone(),
        };
        let other = esql::field(&self.column(&key.impersonated())?);
        let is_other = esql::query(&is_other, self.profile)
            .ok_or_else(|| Reason::refusal(ReasonKind::Grouping, key.name.clone()))?;
        Ok(format!("CASE({is_other}, {other}, {plain})"))
    }

    fn counted(&mut self, distinct: Option<&Key>) -> Result<Search, Reason> {
        let model = self.model;
        let condition = self.any(&[])?;
        let names: Vec<String> = model.group_by.iter().map(|key| self.name(key)).collect();
        let mut keys: Vec<(&str, &Key)> =
            names.iter().map(String::as_str).zip(&model.group_by).collect();
        let counted = distinct.map(|key| self.name(key)).unwrap_or_default();
        if let Some(key) = distinct
            && !keys.iter().any(|(name, _)| *name == counted)
        {
            keys.push((&counted, key));
        }
        let mut query = self.rows(&condition, &keys)?;
        let cluster = esql::field(&self.column(&Attribute::named("cluster"))?);
        let count = match distinct {
            Some(_) => format!("COUNT_DISTINCT({counted})"),
            None => "COUNT(*)".to_owned(),
        };
        let by: Vec<&str> = names.iter().map(String::as_str).chain([cluster.as_str()]).collect();
        let count_min = model.cases.iter().map(|case| case.at_least).min().unwrap_or(1);
        query.extend([
            "| STATS count = ",
            &count,
            ", first_seen = MIN(@timestamp), last_seen = MAX(@timestamp) BY ",
            &by.join(", "),
            &format!("\n| WHERE count >= {count_min}"),
        ]);
        let has_severity = model.cases.len() > 1;
        if has_severity {
            query.extend(["\n| EVAL severity = ", &self.severities()]);
        }
        let suppressed_by = by.into_iter().map(|field| field.replace('`', "")).collect();
        let from = self.window();
        let kind = Kind::Esql { query, has_severity };
        Ok(Search { kind, interval: INTERVAL, from, suppressed_by })
    }

    /// The column of a key; a computed key has a separate name.
    fn name(&self, key: &Key) -> String {
        match key.who {
            Who::Named => {
                self.column(&key.attribute).map(|name| esql::field(&name)).unwrap_or_default()
            }
            Who::Effective | Who::Actor => key.name.replace('.', "_"),
        }
    }

    fn severities(&self) -> String {
        let mut text = String::from("CASE(");
        for case in &self.model.cases {
            let severity = super::rule::severity(case.severity);
            let bound = case.at_least.to_string();
            text.extend(["count >= ", &bound, ", \"", severity, "\", "]);
        }
        let last =
            self.model.cases.last().map_or("low", |case| super::rule::severity(case.severity));
        text.extend(["\"", last, "\")"]);
        text
    }

    /// A search for an event of each query, in any order.
    fn all_of_them(&mut self) -> Result<Search, Reason> {
        let model = self.model;
        let all = u64::try_from(model.queries.len()).unwrap_or(u64::MAX);
        if model.cases.iter().any(|case| case.at_least != all) {
            return Err(Reason::refusal(ReasonKind::Condition, "some of several rules"));
        }
        let mut query = self.counted(None)?;
        let Kind::Esql { query: text, .. } = &mut query.kind else { return Ok(query) };
        let mut columns = String::new();
        let mut conditions = Vec::new();
        for part in &model.queries {
            let condition = esql::query(&part.condition, self.profile)
                .ok_or_else(|| self.untranslatable(&part.condition))?;
            columns.extend([&part.label, " = COUNT(*) WHERE ", &condition, ", "]);
            conditions.push(format!("{} > 0", part.label));
        }
        *text = text.replace("STATS count = COUNT(*), ", &format!("STATS {columns}"));
        let end = text.rfind("\n| WHERE count").unwrap_or(text.len());
        text.truncate(end);
        text.extend(["\n| WHERE ", &conditions.join(" AND ")]);
        Ok(query)
    }

    /// A search for a sequence.
    fn sequence(&mut self) -> Result<Search, Reason> {
        let model = self.model;
        let mut text = format!("sequence with maxspan={}", span(model.timespan));
        for Query { condition, group_by, .. } in &model.queries {
            let exist = group_by.iter().map(exists);
            let condition =
                Condition::All(std::iter::once(condition.clone()).chain(exist).collect());
            let condition = condition.simplified();
            let query = eql::query(&condition, self.profile)
                .ok_or_else(|| self.untranslatable(&condition))?;
            let by: Vec<String> =
                self.fields(group_by, true)?.iter().map(|name| eql::field(name)).collect();
            text.extend(["\n  [any where ", &query, "] by ", &by.join(", ")]);
        }
        let detail = "events within one millisecond have no order";
        self.add_reason(ReasonKind::RoundedTime, Effect::Rare, detail);
        self.report_lateness(LATENESS);
        let from = model.timespan + INTERVAL + LATENESS;
        Ok(Search { kind: Kind::Eql(text), interval: INTERVAL, from, suppressed_by: Vec::new() })
    }

    /// A search for groups without an event for the time span after the last one.
    fn absence(&mut self) -> Result<Search, Reason> {
        let model = self.model;
        let condition = self.any(&[])?;
        let names: Vec<String> = model.group_by.iter().map(|key| self.name(key)).collect();
        let keys: Vec<(&str, &Key)> =
            names.iter().map(String::as_str).zip(&model.group_by).collect();
        let mut query = self.rows(&condition, &keys)?;
        let cluster = esql::field(&self.column(&Attribute::named("cluster"))?);
        let by: Vec<&str> = names.iter().map(String::as_str).chain([cluster.as_str()]).collect();
        query.extend([
            "| STATS last_seen = MAX(@timestamp) BY ",
            &by.join(", "),
            &format!("\n| WHERE last_seen < NOW() - {} seconds", model.timespan.as_secs()),
        ]);
        let detail = format!(
            "silence that ends within {} of its time, or began more than {} ago, is not seen",
            format_duration(SILENCE_INTERVAL),
            format_duration(SILENCE_SINCE)
        );
        self.add_reason(ReasonKind::Schedule, Effect::Fewer, detail);
        let suppressed_by = by.into_iter().map(|field| field.replace('`', "")).collect();
        Ok(Search {
            kind: Kind::Esql { query, has_severity: false },
            interval: SILENCE_INTERVAL,
            from: SILENCE_SINCE + model.timespan,
            suppressed_by,
        })
    }
}

fn exists(key: &Key) -> Condition {
    Condition::Test(key.attribute.clone(), Operator::Exists)
}

fn tests<'c>(condition: &'c Condition, tests_of: &mut Vec<&'c Condition>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            for part in parts {
                tests(part, tests_of);
            }
        }
        Condition::Not(inner) => tests(inner, tests_of),
        Condition::Test(..) => tests_of.push(condition),
    }
}

/// Formats a duration for EQL and rules.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match () {
        () if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        () if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        () => format!("{seconds}s"),
    }
}
