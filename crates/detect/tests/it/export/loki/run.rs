//! Evaluates `LogQL` on lines, at the evaluation times of a rule group.

use std::collections::{BTreeMap, BTreeSet};

use detect::export::Exported;
use event::{Event, EventRef, k10, v1};
use serde_json::Value;

use super::expressions;
use super::logql::{self, Labels, Metric, Stage, span};
use crate::export::elastic::without_bodies;
use crate::export::meaning::{Evaluator, Groups};

struct Loki {
    profile: &'static str,
    rules: Vec<Option<Rule>>,
}

struct Rule {
    interval: i64,
    alerts: Vec<Metric>,
}

/// Reads exported rules.
pub(in crate::export) fn evaluator(
    profile: &'static str,
    rules: &[Exported],
) -> Box<dyn Evaluator> {
    let read = |rule: &Exported| rule.files.first().map(|file| Rule::read(&file.text));
    Box::new(Loki { profile, rules: rules.iter().map(read).collect() })
}

/// A log line.
pub(in crate::export) struct Line {
    /// Microseconds.
    time: i64,
    text: String,
    json: Value,
    stream: Labels,
}

/// Series by labels.
type Vector = BTreeMap<Labels, f64>;
/// Times and labels of the lines that pass a sum's stages, by the sum's position in the expression.
type Passed = Vec<Vec<(i64, Labels)>>;

impl Loki {
    fn line(&self, event: &Event, cluster: &str) -> Line {
        let (view, mut text) = (EventRef::from(event), Vec::new());
        let stream = if self.profile == "kasten" {
            let labels = k10::LineContext {
                cluster_name: cluster.to_owned(),
                ..k10::LineContext::default()
            };
            k10::write(&view, &labels, &mut text);
            vec![("app", "keepwatch")]
        } else {
            v1::write(&view, &mut text);
            vec![("job", "kubernetes-audit"), ("cluster", cluster)]
        };
        let text = String::from_utf8(text).unwrap();
        let stream =
            stream.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut json = serde_json::from_str(&text).unwrap();
        if self.profile != "kasten" {
            without_bodies(&mut json);
        }
        Line { time: event.stage_timestamp.as_micros(), text, json, stream }
    }
}

/// Converts events to lines of a profile.
pub(in crate::export) fn lines(
    profile: &'static str,
    cluster: &str,
    events: &[Event],
) -> Vec<Line> {
    let loki = Loki { profile, rules: Vec::new() };
    events.iter().map(|event| loki.line(event, cluster)).collect()
}

/// Labels of the lines that pass a log query.
pub(in crate::export) fn passed(query: &str, lines: &[Line]) -> Vec<Labels> {
    let stages = logql::read_lines(query);
    let through = |line: &Line| {
        let run = |labels, stage: &Stage| stage.run(&line.text, &line.json, labels);
        stages.iter().try_fold(line.stream.clone(), run)
    };
    lines.iter().filter_map(through).collect()
}

impl Evaluator for Loki {
    fn alerts(&self, cluster: &str, events: &[Event]) -> Vec<Groups> {
        let lines: Vec<Line> = events.iter().map(|event| self.line(event, cluster)).collect();
        let alerts = |rule: &Rule| rule.alerts(&lines);
        self.rules.iter().map(|rule| rule.as_ref().map(alerts).unwrap_or_default()).collect()
    }
}

impl Rule {
    fn read(text: &str) -> Self {
        let interval = text.lines().find_map(|line| line.trim().strip_prefix("interval: "));
        Self {
            interval: span(interval.unwrap()),
            alerts: expressions(text).iter().map(|text| logql::read(text)).collect(),
        }
    }

    fn alerts(&self, lines: &[Line]) -> Groups {
        let mut alerts = Groups::new();
        for alert in &self.alerts {
            let mut passed = Passed::new();
            alert.pass(lines, &mut passed);
            for now in self.times(alert, &passed) {
                let series = alert.value(&passed, &mut 0, now);
                alerts.extend(series.into_keys().map(|labels| group(alert.by(), &labels)));
            }
        }
        alerts
    }

    /// The evaluation after each matching line; for an absence rule, the one before.
    fn times(&self, alert: &Metric, passed: &Passed) -> BTreeSet<i64> {
        let interval = self.interval;
        let times = || passed.iter().flatten().map(|(time, _)| *time);
        match alert {
            // The longest silence is at the last evaluation before a line.
            Metric::Unless(before, _) if !before.is_short() => {
                times().map(|time| (time - 1) / interval * interval).collect()
            }
            _ => times().map(|time| (time + interval - 1) / interval * interval).collect(),
        }
    }
}

fn group(by: &[String], labels: &Labels) -> Vec<String> {
    let names = by.iter().filter(|name| *name != "cluster");
    names.map(|name| labels.get(name).cloned().unwrap_or_default()).collect()
}

impl Metric {
    fn by(&self) -> &[String] {
        match self {
            Self::Sum { by, .. } | Self::Count(by, _) => by,
            Self::Compared(inner, ..) | Self::Unless(inner, _) | Self::And(inner, _) => inner.by(),
        }
    }

    /// Whether it looks back only a few minutes.
    fn is_short(&self) -> bool {
        matches!(self, Self::Sum { range, .. } if *range <= 10 * crate::acts::MINUTE)
    }

    /// Runs the lines through the stages of every sum, once for all evaluations.
    fn pass(&self, lines: &[Line], passed: &mut Passed) {
        match self {
            Self::Sum { stream, .. } => {
                let through = |line: &Line| {
                    let run = |labels, stage: &Stage| stage.run(&line.text, &line.json, labels);
                    let labels = stream.iter().try_fold(line.stream.clone(), run)?;
                    Some((line.time, labels))
                };
                passed.push(lines.iter().filter_map(through).collect());
            }
            Self::Count(_, inner) | Self::Compared(inner, ..) => inner.pass(lines, passed),
            Self::Unless(left, right) | Self::And(left, right) => {
                left.pass(lines, passed);
                right.pass(lines, passed);
            }
        }
    }

    fn value(&self, passed: &Passed, sum: &mut usize, now: i64) -> Vector {
        match self {
            Self::Sum { by, range, offset, .. } => {
                let end = now - offset;
                let mut series = Vector::new();
                for (time, labels) in &passed[*sum] {
                    if end - range < *time && *time <= end {
                        *series.entry(only(labels, by)).or_default() += 1.0;
                    }
                }
                *sum += 1;
                series
            }
            Self::Count(by, inner) => {
                let mut series = Vector::new();
                for labels in inner.value(passed, sum, now).into_keys() {
                    *series.entry(only(&labels, by)).or_default() += 1.0;
                }
                series
            }
            Self::Compared(inner, sign, bound) => {
                let mut series = inner.value(passed, sum, now);
                series.retain(|_, value| match sign.as_str() {
                    ">=" => *value >= *bound,
                    "<=" => *value <= *bound,
                    ">" => *value > *bound,
                    _ => *value < *bound,
                });
                series
            }
            Self::Unless(left, right) | Self::And(left, right) => {
                let mut left = left.value(passed, sum, now);
                let right = right.value(passed, sum, now);
                let wants = matches!(self, Self::And(..));
                left.retain(|labels, _| right.contains_key(labels) == wants);
                left
            }
        }
    }
}

/// An empty label is the same as no label.
fn only(labels: &Labels, by: &[String]) -> Labels {
    let is_kept = |(name, value): &(&String, &String)| by.contains(name) && !value.is_empty();
    labels.iter().filter(is_kept).map(|(name, value)| (name.clone(), value.clone())).collect()
}
