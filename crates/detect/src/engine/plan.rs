//! The rules, compiled for the engine.
//!
//! Two rules are built in; their signals report the state of the engine.

use std::collections::BTreeMap;

use event::Severity;
use event::signal::Attack;

use super::attack;
use super::digest::Digest;
use super::settings::{WINDOW_EVENTS_MAX, micros};
use super::window::{Kind, Spec};
use crate::rule::{Body, Case, Correlation, CorrelationKind, Rule, SignalOptions};
use crate::template::Template;

/// Rule id of the signals about event times that the engine rejected.
pub const CLOCK_SKEW: &str = "keepwatch-clock-skew";
/// Rule id of the signals about state that reached a bound.
pub const STATE_PRESSURE: &str = "keepwatch-state-pressure";
/// The rules of the engine itself: id and title.
pub const ENGINE_RULES: [(&str, &str); 2] = [
    (CLOCK_SKEW, "Events are stamped in the future"),
    (STATE_PRESSURE, "A rule counts by a coarser key, because a bound of its state is reached"),
];

/// The compiled rule set.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The rules of the rule set by index, then the two built-in rules.
    pub(crate) rules: Vec<PlannedRule>,
    /// For each rule, the correlations that count it, with its index in their lists.
    pub(crate) consumers: Vec<Vec<(u32, u16)>>,
    pub(crate) clock_skew: u32,
    pub(crate) state_pressure: u32,
    /// The namespace of K10's own service accounts, for the fields of `actor` in texts.
    pub(crate) k10_namespace: std::sync::Arc<str>,
}

/// A compiled rule.
#[derive(Debug)]
pub(crate) struct PlannedRule {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Digest of the rule's text and of the texts that it refers to.
    pub(crate) fingerprint: Digest,
    pub(crate) raises: bool,
    pub(crate) body: PlannedBody,
    /// Names of the group-by fields.
    pub(crate) group_names: Vec<String>,
    /// Labels of counts, by index in the correlation's list; a detection has one.
    pub(crate) labels: Vec<String>,
    pub(crate) severity: Severity,
    pub(crate) cases: Vec<Case>,
    /// Keep-alive of signals. Microseconds.
    pub(crate) keep_alive: i64,
    /// Maximum duration of signals. Microseconds.
    pub(crate) max_duration: i64,
    /// Learning time and forget time of a first-seen rule. Microseconds.
    pub(crate) first_seen: Option<(i64, i64)>,
    /// Rules that supersede this one wholly: they group by no other fields.
    pub(crate) superseded_by: Vec<u32>,
    /// Rules that supersede this one partly: their signals are about some of its events.
    pub(crate) partly_superseded_by: Vec<u32>,
    /// Order of evaluation: a rule precedes the correlations that count it.
    pub(crate) rank: u32,
    /// Order of raising: a rule precedes those that it supersedes.
    pub(crate) raise_rank: u32,
    pub(crate) title_template: Option<Template>,
    pub(crate) message_template: Option<Template>,
    pub(crate) references: Vec<String>,
    pub(crate) blind_spots: Vec<String>,
    pub(crate) attack: Attack,
}

#[derive(Debug)]
pub(crate) enum PlannedBody {
    Detection,
    /// A correlation with windows, and the rules it counts.
    Window(Spec, Vec<u32>),
    /// An absence correlation: the time span in microseconds, and the rules it counts.
    Absence(i64, Vec<u32>),
}

impl PlannedBody {
    /// Whether each event contributes to the condition in the same way, so that some can be
    /// omitted.
    fn counts_alike(&self) -> bool {
        match self {
            Self::Detection => true,
            Self::Window(spec, _) => matches!(spec.kind, Kind::Count | Kind::Values),
            Self::Absence(..) => false,
        }
    }

    /// The rules that it counts, in the order of the list.
    pub(crate) fn counted(&self) -> &[u32] {
        match self {
            Self::Detection => &[],
            Self::Window(_, rules) | Self::Absence(_, rules) => rules,
        }
    }
}

impl Plan {
    pub(crate) fn new(rules: &[Rule], lateness_max: i64) -> Self {
        let mut planned: Vec<_> =
            rules.iter().map(|rule| PlannedRule::of(rule, rules, lateness_max)).collect();
        supersede(rules, &mut planned);
        rank(&mut planned);
        let clock_skew = index(planned.len());
        let own = [(Severity::Medium, "source"), (Severity::High, "rule")];
        let own = ENGINE_RULES.into_iter().zip(own);
        planned.extend(own.map(|((id, title), (level, group))| built_in(id, title, level, group)));
        let mut consumers = vec![Vec::new(); planned.len()];
        for (rule, planned) in planned.iter().enumerate() {
            for (position, counted) in planned.body.counted().iter().enumerate() {
                if let Some(consumers) = consumers.get_mut(*counted as usize) {
                    consumers.push((index(rule), u16::try_from(position).unwrap_or(u16::MAX)));
                }
            }
        }
        Self {
            rules: planned,
            consumers,
            clock_skew,
            state_pressure: clock_skew + 1,
            k10_namespace: crate::ruleset::K10_NAMESPACE.into(),
        }
    }

    pub(crate) fn rule(&self, rule: u32) -> Option<&PlannedRule> {
        self.rules.get(rule as usize)
    }

    /// The index in the rule set; `None` for a built-in rule.
    pub(crate) fn public_index(&self, rule: u32) -> Option<usize> {
        (rule < self.clock_skew).then_some(rule as usize)
    }

    /// The rule with a fingerprint.
    pub(crate) fn index_of(&self, fingerprint: Digest) -> Option<u32> {
        self.rules.iter().position(|rule| rule.fingerprint == fingerprint).map(index)
    }

    /// Rule indices by fingerprint, to restore the state of unchanged rules.
    pub(crate) fn by_fingerprint(&self) -> BTreeMap<Digest, u32> {
        self.rules.iter().zip(0..).map(|(rule, index)| (rule.fingerprint, index)).collect()
    }
}

/// Converts an index; rule sets are far smaller than `u32::MAX`.
fn index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl PlannedRule {
    fn of(rule: &Rule, rules: &[Rule], lateness_max: i64) -> Self {
        let options = &rule.signal;
        let (body, group_names, labels) = match &rule.body {
            Body::Detection(_) => (
                PlannedBody::Detection,
                options.group_by.iter().map(ToString::to_string).collect(),
                vec![options.query.clone()],
            ),
            Body::Correlation(correlation) => (
                correlation_body(correlation, options, lateness_max),
                correlation.group_by.iter().map(|field| field.name.clone()).collect(),
                correlation.rules.iter().filter_map(|rule| rules.get(*rule)).map(label).collect(),
            ),
        };
        Self {
            id: rule.id.clone(),
            title: rule.title.clone(),
            fingerprint: fingerprint(rule, rules),
            raises: rule.raises,
            body,
            group_names,
            labels,
            severity: rule.severity,
            cases: options.cases.clone(),
            keep_alive: micros(options.keep_alive),
            max_duration: micros(options.max_duration),
            first_seen: options
                .first_seen
                .as_ref()
                .map(|first_seen| (first_seen.learning, first_seen.forget_after)),
            superseded_by: Vec::new(),
            partly_superseded_by: Vec::new(),
            rank: 0,
            raise_rank: 0,
            title_template: options.title.clone(),
            message_template: options.message.clone(),
            references: rule.references.clone(),
            blind_spots: options.blind_spots.clone(),
            attack: attack::of_tags(&rule.tags),
        }
    }

    /// The severity of a signal with that count.
    pub(crate) fn severity_of(&self, count: u64) -> Severity {
        self.case(count).map_or(self.severity, |case| case.severity.max(self.severity))
    }

    /// The first (most severe) case that holds at a count.
    pub(crate) fn case(&self, count: u64) -> Option<&Case> {
        self.cases.iter().find(|case| count >= case.at_least)
    }
}

fn label(rule: &Rule) -> String {
    if rule.signal.query.is_empty() {
        rule.name.clone().unwrap_or_else(|| rule.id.clone())
    } else {
        rule.signal.query.clone()
    }
}

fn correlation_body(
    correlation: &Correlation,
    options: &SignalOptions,
    lateness_max: i64,
) -> PlannedBody {
    let rules: Vec<u32> = correlation.rules.iter().map(|rule| index(*rule)).collect();
    let kind = match correlation.kind {
        CorrelationKind::EventCount => Kind::Count,
        CorrelationKind::ValueCount(_) => Kind::Values,
        CorrelationKind::Temporal => Kind::Rules,
        CorrelationKind::TemporalOrdered => Kind::Order(rules.len()),
        CorrelationKind::Absence => return PlannedBody::Absence(correlation.timespan, rules),
    };
    let bounded = (correlation.condition.at_most != u64::MAX)
        .then(|| correlation.condition.at_most.saturating_add(1));
    let largest = options.cases.iter().map(|case| case.at_least).chain(bounded);
    let largest = largest.fold(correlation.condition.at_least, u64::max);
    let count_max = usize::try_from(largest).unwrap_or(usize::MAX).clamp(1, WINDOW_EVENTS_MAX);
    let (at_least, at_most) = match kind {
        Kind::Order(_) => (1, u64::MAX),
        _ => (correlation.condition.at_least.max(1), correlation.condition.at_most),
    };
    let horizon = correlation.timespan.saturating_add(lateness_max).min(i64::MAX / 4);
    let timespan = correlation.timespan.clamp(1, i64::MAX / 8);
    PlannedBody::Window(Spec { kind, timespan, horizon, at_least, at_most, count_max }, rules)
}

/// The digest of the texts of the rule and of all rules it refers to.
fn fingerprint(rule: &Rule, rules: &[Rule]) -> Digest {
    let mut texts = vec![rule.id.as_bytes(), &rule.text_digest.0[..]];
    let mut visited = vec![false; rules.len()];
    let mut open = vec![rule];
    while let Some(Rule { body: Body::Correlation(correlation), .. }) = open.pop() {
        for &counted in &correlation.rules {
            if let (Some(visited), Some(rule)) = (visited.get_mut(counted), rules.get(counted))
                && !std::mem::replace(visited, true)
            {
                texts.extend([rule.id.as_bytes(), &rule.text_digest.0[..]]);
                open.push(rule);
            }
        }
    }
    Digest::of(texts)
}

fn supersede(rules: &[Rule], planned: &mut [PlannedRule]) {
    let by_id: BTreeMap<&str, usize> =
        rules.iter().enumerate().map(|(at, rule)| (rule.id.as_str(), at)).collect();
    for (superseding, rule) in rules.iter().enumerate() {
        let Some(group_names) = planned.get(superseding).map(|rule| rule.group_names.clone())
        else {
            continue;
        };
        for superseded in &rule.signal.supersedes {
            let superseded = by_id.get(superseded.as_str()).and_then(|at| planned.get_mut(*at));
            let Some(superseded) = superseded else { continue };
            let is_coarser = group_names.iter().all(|name| superseded.group_names.contains(name));
            if is_coarser || !superseded.body.counts_alike() {
                superseded.superseded_by.push(index(superseding));
            } else {
                superseded.partly_superseded_by.push(index(superseding));
            }
        }
    }
}

/// Orders the rules. A rule set rejects cycles of both kinds of references; the loop ends in any
/// case after one pass per rule.
fn rank(planned: &mut [PlannedRule]) {
    for _ in 0..planned.len() {
        let mut changed = false;
        for at in 0..planned.len() {
            let highest = |references: &[u32], of: fn(&PlannedRule) -> u32| {
                let ranks = references.iter().filter_map(|rule| planned.get(*rule as usize));
                ranks.map(|rule| of(rule) + 1).max().unwrap_or_default()
            };
            let Some(rule) = planned.get(at) else { continue };
            let superseding = [&*rule.superseded_by, &*rule.partly_superseded_by].concat();
            let ranks = (
                rule.rank.max(highest(rule.body.counted(), |rule| rule.rank)),
                rule.raise_rank.max(highest(&superseding, |rule| rule.raise_rank)),
            );
            changed |= ranks != (rule.rank, rule.raise_rank);
            if let Some(rule) = planned.get_mut(at) {
                (rule.rank, rule.raise_rank) = ranks;
            }
        }
        if !changed {
            return;
        }
    }
}

fn built_in(id: &str, title: &str, severity: Severity, group: &str) -> PlannedRule {
    PlannedRule {
        severity,
        group_names: vec![group.to_owned()],
        ..PlannedRule::with_defaults(id, title)
    }
}

impl PlannedRule {
    /// A detection rule with default options.
    pub(crate) fn with_defaults(id: &str, title: &str) -> Self {
        const KEEP_ALIVE: i64 = 3_600_000_000;
        const MAX_DURATION: i64 = 86_400_000_000;
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            fingerprint: Digest::of([id.as_bytes()]),
            raises: true,
            body: PlannedBody::Detection,
            group_names: Vec::new(),
            labels: vec![String::new()],
            severity: Severity::default(),
            cases: Vec::new(),
            keep_alive: KEEP_ALIVE,
            max_duration: MAX_DURATION,
            first_seen: None,
            superseded_by: Vec::new(),
            partly_superseded_by: Vec::new(),
            rank: 0,
            raise_rank: 0,
            title_template: None,
            message_template: None,
            references: Vec::new(),
            blind_spots: Vec::new(),
            attack: Attack::default(),
        }
    }
}
