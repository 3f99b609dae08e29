//! Rules for Elastic.

mod document;
mod expression;
mod kql;
mod run;

use std::collections::BTreeSet;

use detect::export;
use serde_json::Value;

use super::exported;

pub(super) use document::{fields, without_bodies};
pub(super) use run::evaluator;

#[test]
fn each_rule_is_in_the_language_that_keeps_its_meaning() {
    let target = export::named("elastic").unwrap();
    let rules = exported(target, &target.profiles()[0], &target.formats()[0]);
    for (id, kind) in [
        ("kasten-restorepoints-manually-deleted", "query"),
        ("kasten-passkeys-excessive-use", "threshold"),
        ("kasten-passkey-first-reader", "new_terms"),
        ("kasten-account-used-by-person", "eql"),
        ("kasten-passkey-read-restore-delete", "eql"),
        ("kasten-restorepoints-excessive-deletion", "esql"),
        ("kasten-restore-into-foreign-namespace", "esql"),
    ] {
        let rule = rules.iter().find(|rule| rule.rule == id).unwrap();
        let json: Value = serde_json::from_str(&rule.files[0].text).unwrap();
        assert_eq!(json["type"], kind, "{id}");
    }
}

/// Keys that Kibana requires in every rule, and values that it accepts for each rule type.
#[test]
fn every_rule_has_the_keys_that_an_import_requires() {
    let target = export::named("elastic").unwrap();
    let mut ids = BTreeSet::new();
    for profile in target.profiles() {
        for rule in exported(target, profile, &target.formats()[0]) {
            let Some(file) = rule.files.first() else { continue };
            assert_eq!(file.text.lines().count(), 1, "{}", rule.rule);
            let json: Value = serde_json::from_str(&file.text).unwrap();
            for key in ["rule_id", "name", "description", "type", "query", "language", "from"] {
                assert!(
                    json[key].as_str().is_some_and(|text| !text.is_empty()),
                    "{}: {key}",
                    rule.rule
                );
            }
            let id = json["rule_id"].as_str().unwrap().to_owned();
            assert_eq!(id.len(), 36);
            assert!(ids.insert(id), "an id twice: {}", rule.rule);
            let scores = [("low", 21), ("medium", 47), ("high", 73), ("critical", 99)];
            let actual = (json["severity"].as_str().unwrap(), json["risk_score"].as_i64().unwrap());
            assert!(scores.contains(&actual), "{}: {actual:?}", rule.rule);
            let is_esql = json["type"] == "esql";
            assert_eq!(json.get("index").is_none(), is_esql, "{}", rule.rule);
            for threat in json["threat"].as_array().unwrap() {
                assert!(!threat["technique"].as_array().unwrap().is_empty(), "{}", rule.rule);
            }
        }
    }
}
