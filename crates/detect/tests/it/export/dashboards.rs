//! Queries of dashboards are parsed by the readers of exported rules, and every field that they
//! name exists in the events of the examples.

use std::collections::BTreeSet;

use detect::examples::{self, Step};
use detect::export::dashboard;
use detect::{builtin, export};
use event::Event;
use serde_json::Value;

use super::{datadog, elastic, loki, pack};

const CLUSTER: &str = "prod-eu";

/// The events of all examples.
pub(super) fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for document in builtin::documents() {
        for example in examples::read(&pack::events(document)).unwrap() {
            events.extend(example.steps.iter().filter_map(|step| match step {
                Step::Event(event) => Some((**event).clone()),
                Step::Clock(_) => None,
            }));
        }
    }
    events
}

/// The JSON of a dashboard, by system, profile, and the beginning of its name.
fn dashboard(system: &str, profile: &str, name: &str) -> Value {
    let system = dashboard::all().iter().find(|known| known.name == system).unwrap();
    let files = system.write(profile);
    let file = files.iter().find(|file| file.name.starts_with(name)).unwrap();
    serde_json::from_str(&file.text).unwrap()
}

fn texts<'v>(value: &'v Value, path: &str) -> Vec<&'v str> {
    let values = path.split('/').fold(vec![value], |values, key| match key {
        "*" => {
            values.into_iter().flat_map(|value| value.as_array().into_iter().flatten()).collect()
        }
        key => values.into_iter().filter_map(|value| value.get(key)).collect(),
    });
    values.into_iter().map(|value| value.as_str().unwrap()).collect()
}

fn assert_all_exist(names: &[&str], exists: impl Fn(&str) -> bool) {
    assert!(!names.is_empty(), "there is no field to check");
    let missing: BTreeSet<&&str> = names.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "no event has {missing:?}");
}

#[test]
fn dashboards_and_rules_have_the_same_profiles() {
    for system in dashboard::all() {
        for profile in system.profiles {
            let targets =
                if system.name == "grafana" { vec!["loki", "elastic"] } else { vec!["datadog"] };
            for target in targets {
                let profiles = export::named(target).unwrap().profiles();
                assert!(profiles.iter().any(|known| known.name == *profile), "{target} {profile}");
            }
            assert!(!system.write(profile).is_empty());
        }
    }
}

#[test]
fn each_datadog_query_uses_existing_fields() {
    for profile in ["kasten", "kubernetes.audit"] {
        let json = dashboard("datadog", profile, "keepwatch-events");
        let logs = datadog::logs(profile, CLUSTER, &events());
        let searches = texts(&json, "widgets/*/definition/requests/*/queries/*/search/query");
        let lists = texts(&json, "widgets/*/definition/requests/*/query/query_string");
        assert_eq!(searches.len() + lists.len(), json["widgets"].as_array().unwrap().len());
        for search in searches.into_iter().chain(lists) {
            let (search, variables) = search.split_once(" $").unwrap();
            assert_eq!(variables, "user $cluster $namespace");
            let read = datadog::search::read(search).unwrap();
            let matching = logs.iter().filter(|log| read.matches(log)).count();
            assert!(matching > 0, "{search} finds nothing");
        }
        let paths = [
            "template_variables/*/prefix",
            "widgets/*/definition/requests/*/queries/*/group_by/*/facet",
            "widgets/*/definition/requests/*/columns/*/field",
        ];
        let names: Vec<&str> = paths.iter().flat_map(|path| texts(&json, path)).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| *name != "timestamp").collect();
        assert_all_exist(&names, |name| {
            logs.iter().any(|log| !datadog::search::values(log, name).is_empty())
        });
    }
}

/// Replaces variables as Grafana does.
fn filled_in(text: &str) -> String {
    text.replace("${user}", ".*").replace("${cluster}", "prod-.*").replace("${namespace}", ".*")
}

#[test]
fn each_loki_query_uses_existing_labels() {
    for profile in ["kasten", "kubernetes.audit"] {
        let json = dashboard("grafana", profile, "keepwatch-events-loki");
        let queries = texts(&json, "panels/*/targets/*/expr");
        let all_lines = loki::lines(profile, CLUSTER, &events());
        assert_eq!(queries.len(), json["panels"].as_array().unwrap().len());
        for query in queries {
            let query = filled_in(query);
            let (outside, lines) = match query.split_once("count_over_time(") {
                None => ("", query.as_str()),
                Some((outside, rest)) => (outside, rest.split_once(" [$__").unwrap().0),
            };
            let passed = loki::passed(lines, &all_lines);
            assert!(!passed.is_empty(), "{query} finds nothing");
            let by = outside.split_once("by (").map(|(_, rest)| rest.split_once(')').unwrap().0);
            if let Some(by) = by {
                assert_all_exist(&[by], |name| {
                    passed
                        .iter()
                        .any(|labels| labels.get(name).is_some_and(|value| !value.is_empty()))
                });
            }
            let other = lines.replace("prod-.*", "dev-.*");
            assert!(loki::passed(&other, &all_lines).is_empty(), "{other}");
        }
    }
}

#[test]
fn each_elasticsearch_query_uses_mapped_or_known_fields() {
    for profile in ["kasten", "kubernetes.audit"] {
        let json = dashboard("grafana", profile, "keepwatch-events-elasticsearch");
        let queries = texts(&json, "panels/*/targets/*/query");
        assert_eq!(queries.len(), json["panels"].as_array().unwrap().len());
        let fields: Vec<&str> = queries
            .iter()
            .flat_map(|query| query.split(' '))
            .filter_map(|word| Some(word.trim_start_matches('(').split_once(':')?.0))
            .collect();
        let variables = texts(&json, "templating/list/*/query");
        let variables: Vec<Value> =
            variables.iter().filter_map(|query| serde_json::from_str(query).ok()).collect();
        assert_eq!(variables.len(), 3);
        let mut names = fields;
        names.extend(variables.iter().map(|query| query["field"].as_str().unwrap()));
        names.extend(texts(&json, "panels/*/targets/*/bucketAggs/*/field"));
        names.extend(texts(&json, "panels/*/transformations/*/options/include/names/*"));
        let known = elastic::fields(profile, CLUSTER, &events());
        assert_all_exist(&names, |name| known.contains(name));
    }
}

#[test]
fn a_dashboard_can_be_imported_unchanged() {
    for file in
        dashboard::all().iter().find(|system| system.name == "grafana").unwrap().write("kasten")
    {
        let json: Value = serde_json::from_str(&file.text).unwrap();
        // No data source is fixed: the first variable selects one.
        let sources: BTreeSet<&str> = texts(&json, "panels/*/targets/*/datasource/uid")
            .into_iter()
            .chain(texts(&json, "panels/*/datasource/uid"))
            .collect();
        assert_eq!(sources, BTreeSet::from(["${datasource}"]), "{}", file.name);
        let first = &json["templating"]["list"][0];
        assert_eq!(
            (first["type"].as_str(), first["name"].as_str()),
            (Some("datasource"), Some("datasource"))
        );
        let kinds: BTreeSet<&str> = texts(&json, "panels/*/datasource/type").into_iter().collect();
        assert_eq!(kinds, BTreeSet::from([first["query"].as_str().unwrap()]));
        let mut cells = BTreeSet::new();
        for panel in json["panels"].as_array().unwrap() {
            let grid = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(grid("x") + grid("w") <= 24, "{}", panel["title"]);
            for x in grid("x")..grid("x") + grid("w") {
                for y in grid("y")..grid("y") + grid("h") {
                    assert!(cells.insert((x, y)), "{} overlaps another panel", panel["title"]);
                }
            }
        }
    }
}
