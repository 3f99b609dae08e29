//! Writes the `LogQL` expression that keeps the meaning of a rule.

use std::time::Duration;

use super::profiles;
use super::stage::{Labels, literal};
use crate::export::condition::{Attribute, Condition, Operator};
use crate::export::fidelity::{Effect, Reason, ReasonKind, format_duration};
use crate::export::model::{Counts, Key, Query, RuleModel, Who};
use crate::export::profile::Profile;

/// Evaluation interval of a rule group.
pub(super) const INTERVAL: Duration = Duration::from_mins(1);
/// Range of a search for single events: longer than the interval, for late lines.
const SINGLE: Duration = Duration::from_mins(5);
/// Maximum delay of a line that is still found.
const LATENESS: Duration = Duration::from_mins(4);
/// Look-back of an absence rule.
const SILENCE_SINCE: Duration = Duration::from_hours(24);
/// Loki's default bound of a range, `max_query_length`.
const RANGE_MAX: Duration = Duration::from_hours(721);

/// An expression and its labels.
pub(super) struct Search {
    /// The expression, whose value is a count.
    pub(super) expression: String,
    /// Label of each key, with its name in the rule.
    pub(super) labels: Vec<(String, String)>,
    /// The comparison of each severity case, in order; empty for a rule without a count.
    pub(super) bounds: Vec<String>,
}

/// Builds the expression, and returns the differences.
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
        let keys = model.group_by.as_slice();
        let mut bounds = vec!["> 0".to_owned()];
        let expression = match &model.counts {
            Counts::Single => {
                self.report_lateness(LATENESS);
                if model.cases.len() > 1 {
                    self.add_reason(
                        ReasonKind::Cases,
                        Effect::None,
                        "an alert does not count events",
                    );
                }
                self.count(&self.any()?, keys, &range(SINGLE), false)?
            }
            Counts::FirstSeen { fields, learning, forget_after } => {
                self.first_seen(fields, *learning, *forget_after)?
            }
            Counts::Events => {
                bounds = self.cases();
                let range = self.window()?;
                self.count(&self.any()?, keys, &range, true)?
            }
            Counts::Values(key) => {
                bounds = self.cases();
                let range = self.window()?;
                let mut all = keys.to_vec();
                all.push(key.clone());
                let inner = self.count(&self.any()?, &all, &range, true)?;
                let by = Self::by(keys);
                format!("count by ({}) (\n{}\n)", by.join(", "), indented(&inner))
            }
            Counts::Queries => {
                let all = u64::try_from(model.queries.len()).unwrap_or(u64::MAX);
                if model.cases.iter().any(|case| case.at_least != all) {
                    return Err(Reason::refusal(ReasonKind::Condition, "some of several rules"));
                }
                self.all_of_them()?
            }
            Counts::Sequence => {
                self.add_reason(ReasonKind::NoOrder, Effect::More, "any order counts");
                self.all_of_them()?
            }
            Counts::Absence => {
                bounds.clear();
                self.absence()?
            }
        };
        let labels = Self::by(keys)
            .into_iter()
            .zip(keys.iter().map(|key| key.name.clone()).chain(["cluster".to_owned()]));
        Ok(Search { expression, labels: labels.collect(), bounds })
    }

    fn add_reason(&mut self, kind: ReasonKind, effect: Effect, detail: impl Into<String>) {
        Reason::new(kind, effect, detail).add_to(&mut self.reasons);
    }

    fn report_lateness(&mut self, by: Duration) {
        let detail = format!("lines that come more than {} late are not seen", format_duration(by));
        self.add_reason(ReasonKind::Schedule, Effect::None, detail);
    }

    /// The disjunction of the queries, which must have the same group-by.
    fn any(&self) -> Result<Condition, Reason> {
        self.model.check_groups()?;
        let any = self.model.queries.iter().map(|query| query.condition.clone()).collect();
        Ok(Condition::Any(any).simplified())
    }

    /// The range of a count, long enough that no window falls between two evaluations.
    fn window(&mut self) -> Result<String, Reason> {
        let window = self.model.timespan + INTERVAL;
        if window > RANGE_MAX {
            return Err(Reason::refusal(ReasonKind::WindowTooLong, format_duration(window)));
        }
        let detail = format!("the window is up to {} longer", format_duration(INTERVAL));
        self.add_reason(ReasonKind::RoundedTime, Effect::More, detail);
        Ok(range(window))
    }

    /// The comparison of each case; the cases are disjoint.
    fn cases(&self) -> Vec<String> {
        let mut below = String::new();
        let mut bounds = Vec::with_capacity(self.model.cases.len());
        for case in &self.model.cases {
            bounds.push(format!(">= {}{below}", case.at_least));
            below = format!(" < {}", case.at_least);
        }
        bounds
    }

    /// The labels of the keys and of the cluster.
    fn by(keys: &[Key]) -> Vec<String> {
        let mut by: Vec<String> = keys.iter().map(label).collect();
        by.push("cluster".to_owned());
        by.dedup();
        by
    }

    /// The number of events by key. With `is_strict`, an event without a key belongs to no group.
    fn count(
        &self,
        condition: &Condition,
        keys: &[Key],
        range: &str,
        is_strict: bool,
    ) -> Result<String, Reason> {
        let mut labels = Labels::new(self.profile);
        let filter = labels.filter(condition)?;
        let mut lines = vec![filter.replace(" | ", "\n| ")];
        labels.of(&Attribute::named("cluster"))?;
        for key in keys {
            let plain = labels.of(&key.attribute)?;
            if key.who != Who::Named {
                let other = labels.of(&key.impersonated())?;
                let is_other = self.is_other(key, &mut labels)?;
                lines.push(format!(
                    "| label_format {}=`{{{{ if {is_other} }}}}{{{{ .{other} }}}}{{{{ else }}}}{{{{ .{plain} }}}}{{{{ end }}}}`",
                    label(key)
                ));
            }
            if is_strict {
                lines.push(format!("| {}!=\"\"", label(key)));
            }
        }
        let selector = profiles::selector(self.profile);
        // A line that is not JSON would fail the whole query.
        let head = format!("{selector}\n{}\n| __error__=\"\"", labels.stage());
        let body = indented(&format!("{head}\n{}\n[{range}]", lines.join("\n")));
        let by = Self::by(keys).join(", ");
        Ok(format!("sum by ({by}) (count_over_time(\n{body}\n))"))
    }

    /// A template condition: the actor is not the user.
    fn is_other(&self, key: &Key, labels: &mut Labels<'_>) -> Result<String, Reason> {
        let condition = match key.who {
            Who::Actor => self.model.is_for_another.clone(),
            Who::Named | Who::Effective => Condition::exists("impersonatedUser.username"),
        };
        template(&condition, labels)?
            .ok_or_else(|| Reason::refusal(ReasonKind::Grouping, key.name.clone()))
    }

    fn first_seen(
        &mut self,
        value_keys: &[Key],
        learning: Duration,
        forget_after: Duration,
    ) -> Result<String, Reason> {
        let mut keys = self.model.group_by.clone();
        keys.extend(value_keys.iter().filter(|key| !self.model.group_by.contains(key)).cloned());
        if keys.len() > self.model.group_by.len() {
            return Err(Reason::refusal(ReasonKind::Grouping, "by other fields than are new"));
        }
        if !learning.is_zero() {
            let detail = format!("nothing is learned for {} before", format_duration(learning));
            self.add_reason(ReasonKind::NoFirstSeen, Effect::More, detail);
        }
        if forget_after + SINGLE > RANGE_MAX {
            return Err(Reason::refusal(ReasonKind::WindowTooLong, format_duration(forget_after)));
        }
        self.report_lateness(LATENESS);
        let condition = self.any()?;
        let now = self.count(&condition, &keys, &range(SINGLE), true)?;
        let before = format!("{} offset {}", range(forget_after), range(SINGLE));
        let before = self.count(&condition, &keys, &before, true)?.replace(
            &format!("[{} offset {}]", range(forget_after), range(SINGLE)),
            &format!("[{}] offset {}", range(forget_after), range(SINGLE)),
        );
        Ok(format!("{now}\nunless\n{before}"))
    }

    fn all_of_them(&mut self) -> Result<String, Reason> {
        let range = self.window()?;
        let part = |query: &Query<'_>| self.count(&query.condition, &query.group_by, &range, true);
        let parts: Result<Vec<String>, Reason> = self.model.queries.iter().map(part).collect();
        Ok(parts?.join("\nand\n"))
    }

    /// An expression for groups with events within a day, but none for the time span.
    fn absence(&mut self) -> Result<String, Reason> {
        let model = self.model;
        let condition = self.any()?;
        let detail = format!(
            "silence that ends within {} of its time, or began more than {} ago, is not seen",
            format_duration(INTERVAL),
            format_duration(SILENCE_SINCE)
        );
        self.add_reason(ReasonKind::Schedule, Effect::Fewer, detail);
        let before = self.count(&condition, &model.group_by, &range(SILENCE_SINCE), true)?;
        let since = self.count(&condition, &model.group_by, &range(model.timespan), true)?;
        Ok(format!("{before}\nunless\n{since}"))
    }
}

/// The label of a key; a computed key has a separate name.
fn label(key: &Key) -> String {
    let name = match key.who {
        Who::Named => return super::stage::label(&key.attribute),
        Who::Effective | Who::Actor => &key.name,
    };
    name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect()
}

/// A condition as a Go template expression, if it can be expressed.
fn template(condition: &Condition, labels: &mut Labels<'_>) -> Result<Option<String>, Reason> {
    Ok(match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            let word = if matches!(condition, Condition::All(_)) { "and" } else { "or" };
            let mut text = format!("({word}");
            for part in parts {
                let Some(part) = template(part, labels)? else { return Ok(None) };
                text.extend([" ", &part]);
            }
            Some(text + ")")
        }
        Condition::Not(inner) => template(inner, labels)?.map(|inner| format!("(not {inner})")),
        Condition::Test(attribute, Operator::Exists) => {
            Some(format!("(ne .{} \"\")", labels.of(attribute)?))
        }
        Condition::Test(attribute, Operator::StartsWith(start, _)) => {
            Some(format!("(hasPrefix {} .{})", literal(start), labels.of(attribute)?))
        }
        Condition::Test(..) => None,
    })
}

/// Formats a duration for ranges.
pub(super) fn range(time: Duration) -> String {
    let seconds = time.as_secs();
    match () {
        () if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        () if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        () => format!("{seconds}s"),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
