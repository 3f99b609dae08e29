//! Converts a rule model to a Datadog rule.

use std::time::Duration;

use super::query::Writer;
use super::rule::{
    Aggregation, Case, DataSource, DetectionMethod, LearningMethod, NewValueOptions, Options,
    Query, Rule, RuleType, SequenceOptions, Status, Step, StepTransition, Window,
};
use super::{profiles, text};
use crate::export::condition::{Attribute, Condition, Operator};
use crate::export::fidelity::{Effect, Reason, ReasonKind, format_duration};
use crate::export::model::{Counts, Key, RuleModel};
use crate::export::profile::Profile;

const DAY: Duration = Duration::from_hours(24);
/// Maximum number of days after which a value is forgotten.
const FORGET_AFTER_DAYS_MAX: u64 = 30;

/// Converts a rule, and returns the differences.
pub(super) fn rule(
    model: &RuleModel<'_>,
    profile: &Profile,
) -> Result<(Rule, Vec<Reason>), Vec<Reason>> {
    let mut translation = Translation { model, profile, reasons: Vec::new() };
    let rule = translation.rule().map_err(|reason| vec![reason])?;
    Ok((rule, translation.reasons))
}

struct Translation<'t> {
    model: &'t RuleModel<'t>,
    profile: &'t Profile,
    reasons: Vec<Reason>,
}

impl Translation<'_> {
    fn rule(&mut self) -> Result<Rule, Reason> {
        if self.model.at_most.is_some() && self.model.counts != Counts::Absence {
            return Err(Reason::refusal(ReasonKind::NoUpperBound, ""));
        }
        let queries = self.queries()?;
        let options = self.options();
        let cases = self.cases(&queries)?;
        Ok(Rule {
            name: self.model.rule.title.clone(),
            r#type: RuleType::LogDetection,
            is_enabled: true,
            has_extended_title: true,
            message: text::message(self.model, self.profile, &mut self.reasons),
            tags: text::tags(self.model),
            queries,
            cases,
            options,
        })
    }

    fn add_reason(&mut self, reason: Reason) {
        reason.add_to(&mut self.reasons);
    }

    fn queries(&mut self) -> Result<Vec<Query>, Reason> {
        let model = self.model;
        match &model.counts {
            Counts::Absence => Err(Reason::refusal(ReasonKind::NoAbsence, "")),
            // One query for all conditions, so that an event counts once.
            Counts::Single | Counts::Events | Counts::Values(_) | Counts::FirstSeen { .. } => {
                model.check_groups()?;
                let conditions = model.queries.iter().map(|query| query.condition.clone());
                let any = Condition::Any(conditions.collect()).simplified();
                Ok(vec![self.query(model.label(), &any, &model.group_by)?])
            }
            Counts::Queries | Counts::Sequence => model
                .queries
                .iter()
                .map(|query| self.query(&query.label, &query.condition, &query.group_by))
                .collect(),
        }
    }

    fn query(&mut self, label: &str, condition: &Condition, keys: &[Key]) -> Result<Query, Reason> {
        let is_single = matches!(self.model.counts, Counts::Single | Counts::FirstSeen { .. });
        let mut condition = condition.clone();
        if !is_single {
            // An event without the value belongs to no group.
            let exist =
                keys.iter().map(|key| Condition::Test(key.attribute.clone(), Operator::Exists));
            condition =
                Condition::All(std::iter::once(condition).chain(exist).collect()).simplified();
        }
        let mut writer = Writer { profile: self.profile, reasons: Vec::new() };
        let query = writer.query(&condition)?;
        writer.reasons.into_iter().for_each(|reason| self.add_reason(reason));
        self.report_dry_runs(&condition);
        let scope = profiles::scope(self.profile).into_iter();
        let query: Vec<String> = scope.map(str::to_owned).chain([query]).collect();
        let mut group_by_fields: Vec<String> =
            keys.iter().map(|key| self.key(key, false)).collect::<Result<_, _>>()?;
        group_by_fields.push(self.column(&Attribute::named("cluster"))?);
        let (aggregation, distinct_fields, metrics) = match &self.model.counts {
            Counts::Values(key) => {
                (Aggregation::Cardinality, vec![self.key(key, true)?], Vec::new())
            }
            Counts::FirstSeen { fields, .. } => {
                let metrics: Vec<String> =
                    fields.iter().map(|key| self.key(key, true)).collect::<Result<_, _>>()?;
                group_by_fields.retain(|field| !metrics.contains(field));
                (Aggregation::NewValue, Vec::new(), metrics)
            }
            _ => (Aggregation::Count, Vec::new(), Vec::new()),
        };
        Ok(Query {
            name: (aggregation != Aggregation::NewValue).then(|| label.to_owned()),
            query: query.join(" "),
            aggregation,
            group_by_fields,
            distinct_fields,
            metrics,
            has_optional_group_by_fields: true,
            data_source: DataSource::Logs,
        })
    }

    /// Reports the dry runs that are not detected: a deletion counts by its body, other requests by
    /// the usual form of the URL.
    fn report_dry_runs(&mut self, condition: &Condition) {
        let attributes = condition.attributes();
        let uses = |name| attributes.contains(&Attribute::named(name));
        let details = [
            (
                uses("requestObject.dryRun"),
                "a deletion that requests a dry run in its URL and has no body matches too",
            ),
            (
                uses("requestURI"),
                "a request with an unusual encoding of dryRun in its URL matches too",
            ),
        ];
        for (_, detail) in details.into_iter().filter(|(is, _)| *is) {
            self.add_reason(Reason::new(ReasonKind::DryRun, Effect::Rare, detail));
        }
    }

    fn key(&mut self, key: &Key, is_counted: bool) -> Result<String, Reason> {
        if text::is_computed(key) {
            let is_single = self.model.counts == Counts::Single && !is_counted;
            let effect = match (is_single, profiles::has_impersonation(self.profile)) {
                (true, _) => Effect::None,
                (false, true) => Effect::Either,
                (false, false) => Effect::Rare,
            };
            let detail = format!(
                "by `{}` instead of `{}`, which differ when K10 acts for a user",
                key.attribute, key.name
            );
            self.add_reason(Reason::new(ReasonKind::Grouping, effect, detail));
        }
        self.column(&key.attribute)
    }

    fn column(&self, attribute: &Attribute) -> Result<String, Reason> {
        Ok(self.profile.named(attribute)?.0)
    }

    fn cases(&self, queries: &[Query]) -> Result<Vec<Case>, Reason> {
        let labels: Vec<&str> = queries.iter().filter_map(|query| query.name.as_deref()).collect();
        let case = |name: &str, severity, condition| Case {
            name: name.to_owned(),
            status: Status::of(severity),
            condition,
            notifications: Vec::new(),
        };
        let of_steps = |last: Option<&str>| {
            let first =
                self.model.cases.first().map_or(self.model.rule.severity, |case| case.severity);
            vec![case("", first, last.map(|step| format!("{step} > 0")))]
        };
        Ok(match &self.model.counts {
            Counts::FirstSeen { .. } => of_steps(None),
            Counts::Sequence => of_steps(labels.last().copied()),
            Counts::Queries => {
                let all = u64::try_from(labels.len()).unwrap_or(u64::MAX);
                if self.model.cases.iter().any(|case| case.at_least != all) {
                    return Err(Reason::refusal(ReasonKind::Condition, "some of several rules"));
                }
                let each: Vec<String> = labels.iter().map(|label| format!("{label} > 0")).collect();
                vec![case("", self.model.rule.severity, Some(each.join(" && ")))]
            }
            _ => {
                let label = labels.first().copied().unwrap_or_default();
                let condition = |at_least| match at_least {
                    1 => format!("{label} > 0"),
                    more => format!("{label} >= {more}"),
                };
                let cases = self.model.cases.iter();
                cases
                    .map(|severity_case| {
                        case(
                            &severity_case.name,
                            severity_case.severity,
                            Some(condition(severity_case.at_least)),
                        )
                    })
                    .collect()
            }
        })
    }

    fn options(&mut self) -> Options {
        let signal = &self.model.rule.signal;
        let window = match &self.model.counts {
            Counts::FirstSeen { .. } => None,
            Counts::Sequence => Some(Window::ZERO),
            // Count the events within the keep-alive of a signal.
            Counts::Single => Some(Window::at_most(signal.keep_alive)),
            _ => Some(self.window()),
        };
        if self.model.counts == Counts::Single && self.model.cases.len() > 1 {
            let detail = "a case counts the events of its window, not of the whole signal";
            self.add_reason(Reason::new(ReasonKind::Cases, Effect::None, detail));
        }
        let keep_alive = Window::at_least(signal.keep_alive).max(window.unwrap_or(Window::ZERO));
        let max_signal_duration = Window::at_least(signal.max_duration).max(keep_alive);
        for (name, expected, actual) in [
            ("without an event", signal.keep_alive, keep_alive),
            ("at most", signal.max_duration, max_signal_duration),
        ] {
            if actual.duration() != expected {
                let detail = format!(
                    "{} {name} instead of {}",
                    format_duration(actual.duration()),
                    format_duration(expected)
                );
                self.add_reason(Reason::new(ReasonKind::Lifetime, Effect::None, detail));
            }
        }
        let detection_method = match &self.model.counts {
            Counts::FirstSeen { .. } => DetectionMethod::NewValue,
            Counts::Sequence => DetectionMethod::SequenceDetection,
            _ => DetectionMethod::Threshold,
        };
        Options {
            detection_method,
            evaluation_window: window,
            keep_alive,
            max_signal_duration,
            new_value_options: self.new_value(),
            sequence_detection_options: self.sequence(),
        }
    }

    /// The window of a count; a length that the API does not accept becomes the next longer one.
    fn window(&mut self) -> Window {
        let timespan = self.model.timespan;
        let window = Window::at_least(timespan);
        if timespan > DAY {
            self.add_reason(Reason::window_too_long(timespan, DAY));
        } else if window.duration() != timespan {
            let detail = format!(
                "{} instead of {}",
                format_duration(window.duration()),
                format_duration(timespan)
            );
            self.add_reason(Reason::new(ReasonKind::RoundedTime, Effect::More, detail));
        }
        window
    }

    fn new_value(&mut self) -> Option<NewValueOptions> {
        let Counts::FirstSeen { fields, learning, forget_after } = &self.model.counts else {
            return None;
        };
        if fields.iter().any(|key| !self.model.group_by.contains(key)) {
            let detail = "a signal for each new value";
            self.add_reason(Reason::new(ReasonKind::Grouping, Effect::None, detail));
        }
        let days = |time: &Duration| time.as_secs().div_ceil(DAY.as_secs());
        let clamped =
            |days: u64, days_min| u8::try_from(days.clamp(days_min, FORGET_AFTER_DAYS_MAX));
        let detail = "the very first value raises no signal";
        self.add_reason(Reason::new(ReasonKind::NoFirstSeen, Effect::Fewer, detail));
        if days(forget_after) > FORGET_AFTER_DAYS_MAX {
            let detail = format!(
                "a value is forgotten after 30 days instead of {}",
                format_duration(*forget_after)
            );
            self.add_reason(Reason::new(ReasonKind::Lifetime, Effect::More, detail));
        }
        Some(NewValueOptions {
            forget_after: clamped(days(forget_after), 1).unwrap_or(30),
            learning_duration: clamped(days(learning), 0).unwrap_or(30),
            learning_method: LearningMethod::Duration,
            learning_threshold: 0,
        })
    }

    /// The options of a sequence: the steps share the time span, as the maximum time between steps.
    fn sequence(&mut self) -> Option<SequenceOptions> {
        if self.model.counts != Counts::Sequence {
            return None;
        }
        let labels: Vec<&str> =
            self.model.queries.iter().map(|query| query.label.as_str()).collect();
        let between = u32::try_from(labels.len().saturating_sub(1)).unwrap_or(u32::MAX).max(1);
        let timespan = self.model.timespan;
        let window = Window::at_most((timespan.min(DAY)) / between);
        let detail = format!(
            "each step within {} of the one before instead of all within {}",
            format_duration(window.duration()),
            format_duration(timespan)
        );
        self.add_reason(Reason::new(ReasonKind::WindowTooLong, Effect::Fewer, detail));
        let steps = labels.iter().map(|label| Step {
            name: (*label).to_owned(),
            condition: format!("{label} > 0"),
            evaluation_window: Window::ZERO,
        });
        let transitions = labels.windows(2).filter_map(|pair| match pair {
            [parent, child] => Some(StepTransition {
                parent: (*parent).to_owned(),
                child: (*child).to_owned(),
                evaluation_window: window,
            }),
            _ => None,
        });
        Some(SequenceOptions { steps: steps.collect(), step_transitions: transitions.collect() })
    }
}
