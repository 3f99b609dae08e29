//! What each kind is served with.

use std::fmt::Write as _;

use apimachinery::schema::{Path, Schema};
use apiserver::Scope;
use expect_test::{expect, expect_file};
use serde_json::{Value, json};

use super::fake_registry::resource;
use crate::kinds::{CONFIG_KINDS, KINDS, config_resources};
use crate::{Installation, resources};

#[test]
fn each_kind_has_its_names_verbs_and_columns() {
    let mut table = String::new();
    for kind in resources(&Installation::DEFAULT) {
        let scope = if kind.scope == Scope::Cluster { "C" } else { "N" };
        let verbs: String =
            kind.verbs.iter().map(|verb| format!("{verb:?}").chars().next().unwrap()).collect();
        let columns: Vec<String> = kind
            .columns
            .iter()
            .map(|column| format!("{}:{}", column.name, column.priority))
            .collect();
        let group = kind.group.split('.').next().unwrap();
        writeln!(
            table,
            "{group} {} {} {scope} {verbs} {:?} {} {:?}",
            kind.plural,
            kind.singular,
            kind.subresources,
            columns.join(","),
            kind.short_names,
        )
        .unwrap();
    }
    expect![[r"
        actions backupactions backupaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        actions restoreactions restoreaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        actions exportactions exportaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        actions importactions importaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        actions runactions runaction N CDGLW [Status, Details] Created At:0,State:0,Pct:0 []
        actions retireactions retireaction C CDGLW [Status, Details] Created At:0 []
        actions cancelactions cancelaction N C []  []
        actions backupclusteractions backupclusteraction C CDGLW [Status, Details] Created At:0 []
        actions restoreclusteractions restoreclusteraction C CDGLW [Status, Details] Created At:0 []
        actions batchrestoreactions batchrestoreaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        actions reportactions reportaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        actions upgradeactions upgradeaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        actions validateactions validateaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        actions stageactions stageaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        actions migratefcdactions migratefcdaction N CDGLW [Status, Details] State:0,Age:0,Pct:1 []
        apps restorepoints restorepoint N CDGLW [Status, Details] Age:0,State:1,Content:1 []
        apps restorepointcontents restorepointcontent C CDGLPUW [Status, Details] State:0,Age:0,Namespace:1,Restore Point:1 []
        apps clusterrestorepoints clusterrestorepoint C CDGLW [Status, Details] Age:0 []
        apps applications application N GLW [Details] Age:0,State:1 []
        repositories storagerepositories storagerepository N CDGLPUW [Status, Details] LocationType:0 []
        vault passkeys passkey C CDGLPUW [Status] Valid:0 []
        dr kastendrreviews kastendrreview N CDGLW [Status] State:0,Age:0 []
        dr kastendrrestores kastendrrestore N CDGLW [Status] State:0,Age:0 []
    "]].assert_eq(&table);
}

#[test]
fn each_row_of_the_table_has_the_names_of_the_resource_in_its_module() {
    let installation = Installation::DEFAULT;
    let rows = KINDS.iter().zip(resources(&installation));
    let config_rows = CONFIG_KINDS.iter().zip(config_resources());
    for (names, resource) in rows.chain(config_rows) {
        assert_eq!(
            (resource.group, resource.kind, resource.plural, resource.singular, resource.scope),
            (
                installation.group(names.group),
                names.kind,
                names.plural,
                names.singular,
                names.scope
            )
        );
    }
    assert!(crate::resource_names().contains(&"restorepointcontents"));
}

#[test]
fn every_schema_is_structural_and_described() {
    for kind in resources(&Installation::DEFAULT).into_iter().chain(config_resources()) {
        check_structural(&kind.schema.tree(), kind.kind);
    }
}

/// Every place has a type or says that it is open; nothing of JSON Schema is left that `OpenAPI`
/// v3.0 does not know.
fn check_structural(schema: &Value, path: &str) {
    let map = schema.as_object().unwrap();
    for keyword in ["$ref", "$defs", "$schema", "anyOf", "oneOf", "allOf", "const", "title"] {
        assert!(!map.contains_key(keyword), "{path} has {keyword}");
    }
    let is_open = map.contains_key("x-kubernetes-preserve-unknown-fields");
    assert!(map.get("type").is_some_and(Value::is_string) || is_open, "{path} has no type");
    if let Some(properties) = map.get("properties").and_then(Value::as_object) {
        for (name, subschema) in properties {
            let path = format!("{path}.{name}");
            let is_described = subschema.get("description").is_some_and(Value::is_string);
            assert!(is_described, "{path} has no description");
            check_structural(subschema, &path);
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(subschema) = map.get(keyword) {
            check_structural(subschema, &format!("{path}.{keyword}"));
        }
    }
}

fn pretty(kind: &str) -> String {
    serde_json::to_string_pretty(&resource(kind).schema.tree()).unwrap() + "\n"
}

#[test]
fn schemas_are_as_published() {
    expect_file!["schemas/restorepoint.json"].assert_eq(&pretty("RestorePoint"));
    expect_file!["schemas/passkey.json"].assert_eq(&pretty("Passkey"));
    expect_file!["schemas/exportaction.json"].assert_eq(&pretty("ExportAction"));
}

#[test]
fn key_material_has_no_field() {
    let passkey = resource("Passkey");
    assert!(passkey.omit_bodies);
    let mut object = super::fake_registry::object(
        "Passkey",
        "p",
        json!({"passphrase": "s3cret", "secret": {"name": "s", "passphrase": "s3cret"}}),
    );
    let mut unknown = Vec::new();
    object.shift_remove("metadata");
    Schema::compile(&passkey.schema.tree()).prune_map(&mut object, Path::Root, &mut unknown);
    assert_eq!(unknown, ["spec.passphrase", "spec.secret.passphrase"]);
    assert_eq!(object["spec"], json!({"secret": {"name": "s"}}));
}

#[test]
fn the_reference_names_every_kind_and_field() {
    let page = crate::reference();
    for kind in resources(&Installation::DEFAULT).into_iter().chain(config_resources()) {
        assert!(page.contains(&format!("### {}\n", kind.kind)), "{}", kind.kind);
    }
    assert!(page.contains("| `spec.subject.name` | string, required | Name of the object. |"));
    assert!(page.contains(
        "| RunAction | `runactions` | namespace | create delete get list watch | status details | CREATED AT, STATE, PCT |"
    ));
    assert!(page.contains("Field selectors: `status.state`."));
}
