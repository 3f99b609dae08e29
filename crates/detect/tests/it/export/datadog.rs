//! Rules for Datadog.

mod run;
pub(super) mod search;
mod suppressions;

use detect::export;
use serde_json::{Value, json};

use super::exported;

pub(super) use run::{evaluator, logs};
pub(super) use suppressions::exported as suppressions;

#[test]
fn the_rules_that_k10_documents_are_exported_as_documented() {
    let target = export::named("datadog").unwrap();
    let rules = exported(target, &target.profiles()[0], &target.formats()[0]);
    for (id, name, query, status) in [
        (
            "kasten-restorepoints-manually-deleted",
            "Kasten RestorePoints Manually Deleted",
            "deleted_k10_rps",
            "low",
        ),
        (
            "kasten-restorepointcontents-manually-deleted",
            "Kasten RestorePointContents Manually Deleted",
            "deleted_k10_rpcs",
            "high",
        ),
        (
            "kasten-clusterrestorepoints-manually-deleted",
            "Kasten ClusterRestorePoints Manually Deleted",
            "deleted_k10_crps",
            "high",
        ),
    ] {
        let rule = rules.iter().find(|rule| rule.rule == id).unwrap();
        assert!(rule.fidelity.is_same(), "{:?}", rule.fidelity);
        let json: Value = serde_json::from_str(&rule.files[0].text).unwrap();
        assert_eq!(json["name"], name);
        assert_eq!(json["type"], "log_detection");
        assert_eq!(json["options"]["detectionMethod"], "threshold");
        assert_eq!(json["queries"][0]["name"], query);
        assert_eq!(json["cases"][0]["condition"], format!("{query} > 0"));
        assert_eq!(json["cases"][0]["status"], status);
        let tags: Vec<&str> =
            json["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
        assert_eq!(tags, ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]);
        let message = json["message"].as_str().unwrap();
        let scope = if status == "low" { "{{@ObjectRef.Namespace}}" } else { "{{cluster-name}}" };
        for variable in ["{{@User.username}}", "{{@network.ip.list}}", scope] {
            assert!(message.contains(variable), "{name}: {variable}");
        }
    }
}

/// Errors that the models of Datadog's client do not find, but that the API rejects or
/// misinterprets.
fn faults(rule: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let options = &rule["options"];
    let seconds = |name: &str| options[name].as_u64();
    let (window, keep_alive) = (seconds("evaluationWindow"), seconds("keepAlive"));
    if keep_alive > seconds("maxSignalDuration") {
        faults.push("keepAlive is longer than maxSignalDuration".to_owned());
    }
    if window > keep_alive {
        faults.push("evaluationWindow is longer than keepAlive".to_owned());
    }
    let queries = rule["queries"].as_array().unwrap();
    let is_new_value = options["detectionMethod"] == "new_value";
    if is_new_value && (window.is_some() || queries.iter().any(|query| !query["name"].is_null())) {
        faults.push("new values have no evaluationWindow and no named query".to_owned());
    }
    for query in queries {
        if let Err(error) = search::read(query["query"].as_str().unwrap()) {
            faults.push(format!("query: {error}"));
        }
    }
    let names: Vec<&str> = queries.iter().filter_map(|query| query["name"].as_str()).collect();
    let cases = rule["cases"].as_array().unwrap();
    if cases.is_empty() || cases.len() > 10 {
        faults.push("1 to 10 cases".to_owned());
    }
    let conditions = cases.iter().filter_map(|case| case["condition"].as_str());
    for condition in conditions {
        for part in condition.split("||").flat_map(|alternative| alternative.split("&&")) {
            let words: Vec<&str> = part.split_whitespace().collect();
            match words.as_slice() {
                [name, ">" | ">=", number] if number.parse::<u64>().is_ok() => {
                    if !names.contains(name) {
                        faults.push(format!("`{name}` is no query"));
                    }
                }
                _ => faults.push(format!("`{part}` is no condition")),
            }
        }
    }
    faults
}

#[test]
fn exported_rules_have_no_errors_that_only_the_api_finds() {
    let target = export::named("datadog").unwrap();
    for profile in target.profiles() {
        for rule in exported(target, profile, &target.formats()[0]) {
            for file in rule.files {
                let json: Value = serde_json::from_str(&file.text).unwrap();
                assert_eq!(faults(&json), Vec::<String>::new(), "{}", file.name);
            }
        }
    }
}

#[test]
fn errors_that_only_the_api_finds_are_detected() {
    let rules = exported_json("kasten-restorepoints-excessive-deletion");
    let first_reader = exported_json("kasten-passkey-first-reader");
    for (rule, path, value, fault) in [
        (&rules, "/options/maxSignalDuration", json!(60), "keepAlive is longer"),
        (&rules, "/options/keepAlive", json!(60), "evaluationWindow is longer"),
        (&rules, "/queries/0/query", json!("@a:(b"), "query: a parenthesis is open"),
        (&rules, "/queries/0/query", json!("@a:b:c"), "query: `:` needs a backslash"),
        (&rules, "/cases/0/condition", json!("a > 0"), "`a` is no query"),
        (&rules, "/cases/0/condition", json!("deleted_k10_rps < 3"), "`deleted_k10_rps < 3` is no"),
        (&rules, "/cases", json!([]), "1 to 10 cases"),
        (&first_reader, "/queries/0", json!({"name": "a", "query": "*"}), "new values have no"),
    ] {
        let mut rule = rule.clone();
        *rule.pointer_mut(path).unwrap() = value;
        let messages = faults(&rule);
        assert!(messages.iter().any(|message| message.starts_with(fault)), "{path}: {messages:?}");
    }
}

fn exported_json(id: &str) -> Value {
    let target = export::named("datadog").unwrap();
    let rules = exported(target, &target.profiles()[0], &target.formats()[0]);
    let rule = rules.iter().find(|rule| rule.rule == id).unwrap();
    serde_json::from_str(&rule.files[0].text).unwrap()
}
