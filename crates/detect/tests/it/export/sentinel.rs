//! Tests of the export to Microsoft Sentinel.

mod kql;
mod run;
mod value;

use std::collections::BTreeSet;

use detect::builtin;
use detect::examples::{self, Step};
use detect::export::{self, Choice, Exported, File};
use event::Event;
use serde_json::Value;

use super::exported;
use super::meaning::Groups;
use crate::pack;

pub(super) use run::evaluator;

/// The properties of a scheduled alert rule in the API.
const PROPERTIES: [&str; 19] = [
    "displayName",
    "description",
    "enabled",
    "severity",
    "query",
    "queryFrequency",
    "queryPeriod",
    "triggerOperator",
    "triggerThreshold",
    "suppressionDuration",
    "suppressionEnabled",
    "tactics",
    "techniques",
    "entityMappings",
    "customDetails",
    "alertDetailsOverride",
    "eventGroupingSettings",
    "incidentConfiguration",
    "templateVersion",
];
/// The tactics that the API accepts.
const TACTICS: [&str; 14] = [
    "Reconnaissance",
    "ResourceDevelopment",
    "InitialAccess",
    "Execution",
    "Persistence",
    "PrivilegeEscalation",
    "DefenseEvasion",
    "CredentialAccess",
    "Discovery",
    "LateralMovement",
    "Collection",
    "CommandAndControl",
    "Exfiltration",
    "Impact",
];

/// The exported templates of all rules, with their file names. `profile` is an index into the
/// target's profiles: `ContainerLogV2`, `AKSAudit`, `AKSAuditAdmin`.
fn rules_of(profile: usize) -> Vec<(String, Value)> {
    let target = export::named("sentinel").unwrap();
    let (profile, format) = (&target.profiles()[profile], &target.formats()[0]);
    let rules = exported(target, profile, format);
    let written: Vec<&str> = rules.iter().map(|rule| rule.rule.as_str()).collect();
    let set = pack::all();
    let choice = Choice { profile, format, options: set.options(), has_suppressions: false };
    let package = target.package(&set, &written, &choice);
    let files = rules.iter().flat_map(|rule| rule.files.clone()).chain(package);
    files.map(|file| (file.name, serde_json::from_str(&file.text).unwrap())).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_template_has_exactly_the_properties_of_the_api() {
    let mut guids = BTreeSet::new();
    for (file, template) in rules_of(0) {
        assert_eq!(
            keys(&template),
            ["$schema", "contentVersion", "parameters", "resources"],
            "{file}"
        );
        let resource = &template["resources"][0];
        assert_eq!(keys(resource), ["id", "name", "type", "kind", "apiVersion", "properties"]);
        assert_eq!(
            (&resource["kind"], &resource["apiVersion"]),
            (&"Scheduled".into(), &"2024-09-01".into())
        );
        let rule = &resource["properties"];
        assert!(keys(rule).iter().all(|key| PROPERTIES.contains(key)), "{file}: {:?}", keys(rule));
        assert!(guids.insert(resource["name"].to_string()), "{file} has the id of another");
        let text = |key: &str| rule[key].as_str().unwrap();
        assert!(["High", "Medium", "Low", "Informational"].contains(&text("severity")), "{file}");
        assert!((1..=10_000).contains(&text("query").chars().count()), "{file}");
        assert!((1..=256).contains(&text("displayName").chars().count()), "{file}");
        assert!(text("description").chars().count() <= 5_000, "{file}");
        assert!(!text("description").contains("{{"), "{file}");
        assert!(!text("displayName").starts_with('['), "{file}: an expression");
        for tactic in rule["tactics"].as_array().unwrap() {
            assert!(TACTICS.contains(&tactic.as_str().unwrap()), "{file}: {tactic}");
        }
        let details = rule["customDetails"].as_object().unwrap();
        assert!(details.len() <= 20 && details.keys().all(|key| key.len() <= 20), "{file}");
        assert!((1..=5).contains(&rule["entityMappings"].as_array().unwrap().len()), "{file}");
        for column in details.values() {
            let column = column.as_str().unwrap();
            assert!(text("query").contains(column), "{file}: no column {column}");
        }
    }
}

#[test]
fn the_rule_that_k10_documents_is_exported_under_its_name() {
    let rules = rules_of(0);
    let (_, template) = rules
        .iter()
        .find(|(name, _)| name == "kasten-restorepoint-resources-manually-deleted.json")
        .unwrap();
    let rule = &template["resources"][0]["properties"];
    assert_eq!(rule["displayName"], "Kasten RestorePoint Resources Manually Deleted");
    // Disabled, because the rules that it combines are exported too.
    assert_eq!(rule["enabled"], false);
    let query = rule["query"].as_str().unwrap();
    assert!(kql::read(query).is_ok(), "{query}");
    for resource in ["restorepoints", "restorepointcontents", "clusterrestorepoints"] {
        assert!(query.contains(&format!("\"{resource}\"")), "{resource}: {query}");
    }
}

#[test]
fn a_table_without_reads_has_no_rule_about_reads() {
    let of =
        |profile| -> Vec<String> { rules_of(profile).into_iter().map(|(file, _)| file).collect() };
    let reads = "kasten-passkey-first-reader.json".to_owned();
    assert!(of(1).contains(&reads));
    assert!(!of(2).contains(&reads));
}

/// Checked on the examples of every built-in rule, not only those of the three parts.
#[test]
fn the_combined_rule_raises_the_alerts_of_its_parts() {
    let target = export::named("sentinel").unwrap();
    let rules = exported(target, &target.profiles()[0], &target.formats()[0]);
    let parts: Vec<Exported> = rules
        .into_iter()
        .filter(|rule| {
            let kind = rule.rule.strip_suffix("-manually-deleted").unwrap_or_default();
            matches!(
                kind,
                "kasten-restorepoints"
                    | "kasten-restorepointcontents"
                    | "kasten-clusterrestorepoints"
            )
        })
        .collect();
    assert_eq!(parts.len(), 3);
    let name = "kasten-restorepoint-resources-manually-deleted.json";
    let (_, combined) = rules_of(0).into_iter().find(|(id, _)| id == name).unwrap();
    let file = File { name: name.to_owned(), text: combined.to_string() };
    let combined = Exported { files: vec![file], ..parts[0].clone() };
    let (parts, combined) =
        (evaluator("ContainerLogV2", &parts), evaluator("ContainerLogV2", &[combined]));
    let mut alerts = 0;
    for document in builtin::documents() {
        for example in examples::read(&pack::events(document)).unwrap() {
            let event = |step: &Step| match step {
                Step::Event(event) => Some((**event).clone()),
                Step::Clock(_) => None,
            };
            let events: Vec<Event> = example.steps.iter().filter_map(event).collect();
            let expected: Groups =
                parts.alerts(&example.cluster, &events).into_iter().flatten().collect();
            alerts += expected.len();
            assert_eq!(combined.alerts(&example.cluster, &events), [expected]);
        }
    }
    assert!(alerts > 10, "{alerts} alerts");
}

#[test]
fn expressions_on_missing_fields_are_null() {
    for (expression, holds) in [
        ("todouble(Event.code) >= 200", false),
        ("not(todouble(Event.code) >= 200)", false),
        ("coalesce(todouble(Event.code) >= 200, false)", false),
        ("not(coalesce(todouble(Event.code) >= 200, false))", true),
        ("tostring(Event.name) == \"Ana\"", true),
        ("tostring(Event.name) == \"ana\"", false),
        ("tostring(Event.name) =~ \"ana\"", true),
        ("tostring(Event.name) in (\"ana\", \"eva\")", false),
        ("tostring(Event.name) in~ (\"ana\", \"eva\")", true),
        ("isnotempty(tostring(Event.other.name))", false),
        ("coalesce(set_has_element(Event.list, \"b\"), false)", true),
        ("coalesce(set_has_element(Event.name, \"b\"), false)", false),
        ("tostring(Event.list[0]) matches regex @\"(?i)^A$\"", true),
    ] {
        let query = kql::read(&format!("AKSAudit | where {expression}")).unwrap();
        let [kql::Operator::Where(test)] = query.body.operators.as_slice() else {
            panic!("{query:?}")
        };
        let event = serde_json::json!({"name": "Ana", "list": ["a", "b"], "code": null});
        let cells = [("Event".to_owned(), value::Cell::Json(std::borrow::Cow::Owned(event)))];
        let row = value::Row { ingested: 0, cells: cells.into() };
        let scope = value::Scope { now: 0, scalars: &std::collections::BTreeMap::new() };
        assert_eq!(scope.eval(test, &row).is_true(), holds, "{expression}");
    }
    for invalid in ["", "T | where", "T | take 5", "T | where a in b", "T | where a == 'x'"] {
        assert!(kql::read(invalid).is_err(), "{invalid}");
    }
}
