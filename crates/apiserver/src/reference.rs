//! Reference documentation of resources in Markdown, generated from their definitions.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{Resource, Scope};

/// Writes the table of resources: names, verbs, columns.
pub fn overview(page: &mut String, kinds: &[Resource]) {
    page.push_str(
        "| Kind | Resource | Scope | Verbs | Subresources | Columns |\n|---|---|---|---|---|---|\n",
    );
    for kind in kinds {
        let verbs: Vec<&str> = kind.verbs.iter().map(|verb| verb.as_str()).collect();
        let below: Vec<&str> =
            kind.subresources.iter().map(|subresource| subresource.name()).collect();
        let columns: Vec<String> =
            kind.columns.iter().map(|column| column_name(column.name, column.priority)).collect();
        let scope = match kind.scope {
            Scope::Namespaced => "namespace",
            Scope::Cluster => "cluster",
        };
        // Writing to a String cannot fail, here and below.
        _ = writeln!(
            page,
            "| {} | `{}` | {scope} | {} | {} | {} |",
            kind.kind,
            kind.plural,
            verbs.join(" "),
            below.join(" "),
            columns.join(", "),
        );
    }
}

/// Writes the section of a resource, with its fields.
pub fn section(page: &mut String, kind: &Resource) {
    let schema = kind.schema.tree();
    let description = schema["description"].as_str().unwrap_or_default();
    _ = write!(page, "\n### {}\n\n{description}\n", kind.kind);
    if !kind.selectable_fields.is_empty() {
        let list: Vec<String> =
            kind.selectable_fields.iter().map(|path| format!("`{path}`")).collect();
        _ = write!(page, "\nField selectors: {}.\n", list.join(", "));
    }
    let mut rows = String::new();
    for part in ["spec", "status"] {
        rows_of(&mut rows, &schema["properties"][part], part);
    }
    if !rows.is_empty() {
        _ = write!(page, "\n| Field | Type | Description |\n|---|---|---|\n{rows}");
    }
}

/// Adds one row per field below `schema`, depth first.
fn rows_of(rows: &mut String, schema: &Value, path: &str) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required = schema["required"].as_array();
    for (name, field) in properties {
        let path = format!("{path}.{name}");
        let is_required =
            required.is_some_and(|names| names.iter().any(|required| required == name));
        let mark = if is_required { ", required" } else { "" };
        let description = field["description"].as_str().unwrap_or_default();
        _ = writeln!(rows, "| `{path}` | {}{mark} | {description} |", type_of(field));
        match field["type"].as_str() {
            Some("array") => rows_of(rows, &field["items"], &format!("{path}[]")),
            _ => rows_of(rows, field, &path),
        }
    }
}

fn type_of(field: &Value) -> String {
    if let Some(words) = field["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return words.join(", ");
    }
    match (field["type"].as_str(), field["format"].as_str()) {
        (Some("array"), _) => format!("list of {}", type_of(&field["items"])),
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some(name), _) => name.to_owned(),
        (None, _) => "anything".to_owned(),
    }
}

fn column_name(name: &str, priority: i32) -> String {
    let name = name.to_uppercase();
    if priority > 0 { format!("({name})") } else { name }
}
