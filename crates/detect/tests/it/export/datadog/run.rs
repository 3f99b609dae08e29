//! Evaluates a Datadog rule on logs: groups, windows, cases, new values and sequences, as
//! documented.

use std::collections::{BTreeMap, BTreeSet};

use detect::export::Exported;
use event::{Event, EventRef, k10, v1};
use serde_json::{Value, json};

use super::search::{self, Log, Search};
use crate::acts::SECOND;
use crate::export::elastic::without_bodies;
use crate::export::meaning::{Evaluator, Groups};

/// The value of a missing key in a group.
const MISSING: &str = "";

/// The rules of one profile.
struct Datadog {
    profile: &'static str,
    rules: Vec<Option<Rule>>,
}

/// Reads exported rules.
pub(in crate::export) fn evaluator(
    profile: &'static str,
    rules: &[Exported],
) -> Box<dyn Evaluator> {
    let read = |rule: &Exported| rule.files.first().map(|file| Rule::read(&file.text));
    Box::new(Datadog { profile, rules: rules.iter().map(read).collect() })
}

/// Converts events to logs of a profile.
pub(in crate::export) fn logs(profile: &'static str, cluster: &str, events: &[Event]) -> Vec<Log> {
    let datadog = Datadog { profile, rules: Vec::new() };
    events.iter().map(|event| datadog.log(event, cluster).log).collect()
}

/// A log after Datadog's pipeline.
struct Timed {
    /// Microseconds.
    time: i64,
    log: Log,
}

impl Datadog {
    fn log(&self, event: &Event, cluster: &str) -> Timed {
        let view = EventRef::from(event);
        let mut line = Vec::new();
        let log = if self.profile == "kasten" {
            let labels = k10::LineContext {
                cluster_name: cluster.to_owned(),
                ..k10::LineContext::default()
            };
            k10::write(&view, &labels, &mut line);
            let attributes: Value = serde_json::from_slice(&line).unwrap();
            let tags = attributes["ddtags"].as_str().unwrap_or_default().split(',');
            let tags: Vec<(&str, &str)> = tags.filter_map(|tag| tag.split_once(':')).collect();
            search::log(&attributes, &tags)
        } else {
            v1::write(&view, &mut line);
            let attributes = integration(serde_json::from_slice(&line).unwrap());
            search::log(
                &attributes,
                &[("kube_cluster_name", cluster), ("source", "kubernetes.audit")],
            )
        };
        Timed { time: event.stage_timestamp.as_micros(), log }
    }
}

/// Moves fields of kube-apiserver's events as the pipeline of Datadog's integration does.
fn integration(mut event: Value) -> Value {
    for (from, to) in [
        ("/verb", "method"),
        ("/requestURI", "url"),
        ("/userAgent", "useragent"),
        ("/responseStatus/code", "status_code"),
    ] {
        if let Some(value) = event.pointer_mut(from).map(Value::take) {
            event["http"][to] = value;
        }
    }
    without_bodies(&mut event);
    if let Some(addresses) = event.get_mut("sourceIPs").map(Value::take) {
        event["network"] = json!({"client": {"ip": addresses}});
    }
    event
}

/// A parsed rule.
struct Rule {
    queries: Vec<Query>,
    conditions: Vec<String>,
    options: Value,
    method: String,
}

struct Query {
    name: String,
    search: Search,
    group_by: Vec<String>,
    distinct: Vec<String>,
    metrics: Vec<String>,
    keeps_missing: bool,
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.map(|item| item.as_str().unwrap().to_owned()).collect()
}

impl Rule {
    fn read(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).unwrap();
        let queries = json["queries"].as_array().unwrap().iter().map(|query| Query {
            name: query["name"].as_str().unwrap_or_default().to_owned(),
            search: search::read(query["query"].as_str().unwrap()).unwrap(),
            group_by: texts(&query["groupByFields"]),
            distinct: texts(&query["distinctFields"]),
            metrics: texts(&query["metrics"]),
            keeps_missing: query["hasOptionalGroupByFields"] == true,
        });
        let cases = json["cases"].as_array().unwrap().iter();
        let method = json["options"]["detectionMethod"].as_str().unwrap().to_owned();
        Self {
            queries: queries.collect(),
            conditions: cases
                .map(|case| case["condition"].as_str().unwrap_or_default().to_owned())
                .collect(),
            options: json["options"].clone(),
            method,
        }
    }
}

impl Query {
    /// The group of a log without the cluster, which is the same in all logs of a test.
    fn group(&self, log: &Log) -> Option<Vec<String>> {
        let mut group = Vec::new();
        for field in &self.group_by {
            let text = search::values(log, field).iter().find(|text| !text.is_empty());
            if field.starts_with('@') {
                group.push(match text {
                    Some(value) => value.clone(),
                    None if self.keeps_missing => MISSING.to_owned(),
                    None => return None,
                });
            }
        }
        Some(group)
    }
}

impl Evaluator for Datadog {
    fn alerts(&self, cluster: &str, events: &[Event]) -> Vec<Groups> {
        let logs: Vec<Timed> = events.iter().map(|event| self.log(event, cluster)).collect();
        let rules = self.rules.iter();
        rules.map(|rule| rule.as_ref().map(|rule| rule.alerts(&logs)).unwrap_or_default()).collect()
    }
}

impl Rule {
    fn alerts(&self, logs: &[Timed]) -> Groups {
        let mut hits: Vec<Hit<'_>> = Vec::new();
        for Timed { time, log } in logs {
            for (index, query) in self.queries.iter().enumerate() {
                if query.search.matches(log)
                    && let Some(group) = query.group(log)
                {
                    hits.push((*time, index, group, log));
                }
            }
        }
        match self.method.as_str() {
            "threshold" => threshold(self, &hits),
            "new_value" => new_value(self, &hits),
            "sequence_detection" => sequence(self, &hits),
            other => panic!("{other}"),
        }
    }
}

/// Time, query index and counted values of a hit.
type WindowEntry = (i64, usize, Vec<String>);
/// Time, query index, group and log.
type Hit<'l> = (i64, usize, Vec<String>, &'l Log);

fn micros(seconds: &Value) -> i64 {
    seconds.as_i64().unwrap() * SECOND
}

fn threshold(rule: &Rule, hits: &[Hit<'_>]) -> Groups {
    let window = micros(&rule.options["evaluationWindow"]);
    let mut alerts = BTreeSet::new();
    let mut windows: BTreeMap<&Vec<String>, Vec<WindowEntry>> = BTreeMap::new();
    for (time, index, group, log) in hits {
        let query = &rule.queries[*index];
        let values: Vec<String> =
            query.distinct.iter().flat_map(|field| search::values(log, field)).cloned().collect();
        let entries = windows.entry(group).or_default();
        entries.push((*time, *index, values));
        entries.retain(|(entry_time, ..)| *entry_time > time - window);
        let number = |name: &str| {
            let index = rule.queries.iter().position(|query| query.name == name).unwrap();
            let of_query = entries.iter().filter(|(_, of, _)| *of == index);
            if rule.queries[index].distinct.is_empty() {
                of_query.count()
            } else {
                of_query.flat_map(|(.., values)| values).collect::<BTreeSet<_>>().len()
            }
        };
        if rule.conditions.iter().any(|condition| holds(condition, &number)) {
            alerts.insert(group.clone());
        }
    }
    alerts
}

/// Evaluates a condition such as `a > 0 && b >= 5 || c > 1`.
pub(super) fn holds(condition: &str, number: &dyn Fn(&str) -> usize) -> bool {
    let compare = |part: &str| {
        let words: Vec<&str> = part.split_whitespace().collect();
        let [name, sign, bound] = words.as_slice() else { panic!("{part}") };
        let bound: usize = bound.parse().unwrap();
        match *sign {
            ">" => number(name) > bound,
            ">=" => number(name) >= bound,
            other => panic!("{other}"),
        }
    };
    condition.split("||").any(|part| part.split("&&").all(compare))
}

/// Every value that was not seen for the time after which values are forgotten, except the first of
/// a group, which is learned.
fn new_value(rule: &Rule, hits: &[Hit<'_>]) -> Groups {
    let options = &rule.options["newValueOptions"];
    assert_eq!(options["learningDuration"], 0, "learning is not evaluated");
    let forget_after = micros(&options["forgetAfter"]) * 86_400;
    let mut alerts = BTreeSet::new();
    let mut last_times: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    let mut groups: BTreeSet<&Vec<String>> = BTreeSet::new();
    for (time, index, group, log) in hits {
        let metrics = &rule.queries[*index].metrics;
        let value = metrics.iter().flat_map(|field| search::values(log, field)).cloned();
        let value = value.collect::<Vec<_>>();
        let group_and_value = [group.clone(), value].concat();
        let before = last_times.insert(group_and_value.clone(), *time);
        let is_first = groups.insert(group);
        if !is_first && before.is_none_or(|before| time - before > forget_after) {
            // A group without other fields consists of the values.
            alerts.insert(if group.is_empty() { group_and_value } else { group.clone() });
        }
    }
    alerts
}

fn sequence(rule: &Rule, hits: &[Hit<'_>]) -> Groups {
    let options = &rule.options["sequenceDetectionOptions"];
    let steps = options["steps"].as_array().unwrap();
    let transitions = options["stepTransitions"].as_array().unwrap();
    let mut alerts = BTreeSet::new();
    let mut reached: BTreeMap<&Vec<String>, Vec<Option<i64>>> = BTreeMap::new();
    for (time, index, group, _) in hits {
        let reached = reached.entry(group).or_insert_with(|| vec![None; steps.len()]);
        let name = &rule.queries[*index].name;
        for at in (0..steps.len()).rev() {
            let met = |number: &str| usize::from(number == name.as_str());
            if !holds(steps[at]["condition"].as_str().unwrap(), &met) {
                continue;
            }
            let is_next = at == 0 || {
                let transition = &transitions[at - 1];
                assert_eq!(transition["child"], steps[at]["name"]);
                let window = micros(&transition["evaluationWindow"]);
                reached[at - 1].is_some_and(|before| time - before < window)
            };
            if is_next {
                reached[at] = Some(*time);
                if at + 1 == steps.len() {
                    alerts.insert(group.clone());
                }
            }
        }
    }
    alerts
}
