//! The reference page on the kinds, made from the kinds, so that it cannot differ from them.

use std::fmt::Write as _;

use apiserver::{Resource, Scope, Subresource, Verb};
use serde_json::Value;

use crate::{Installation, config, domain, resources};

/// The page, as Markdown.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    let installation = Installation::DEFAULT;
    let kinds = resources(&installation);
    overview(&mut page, &kinds);
    page.push_str(CUSTOM);
    let custom = config::resources();
    overview(&mut page, &custom);
    page.push_str(
        "\nColumns in parentheses are shown with `-o wide`; NAME comes before all of them.\n",
    );
    for group in installation.groups() {
        // Writing to a String cannot fail, here and below.
        _ = write!(page, "\n## {group}/{}\n", domain::VERSION);
        for kind in kinds.iter().filter(|kind| kind.group == group) {
            section(&mut page, kind);
        }
    }
    _ = write!(page, "\n## {}/{}\n", domain::CONFIG, domain::VERSION);
    for kind in &custom {
        section(&mut page, kind);
    }
    page
}

const HEAD: &str = "\
# Kinds

Generated from the kinds themselves; do not edit.

No kind offers `deletecollection`: clients fall back to single deletes, each of which is recorded.
Every kind with a status is reported on through `/status`; `/details` is read only.
`RestorePointContent`, `ClusterRestorePoint`, `StorageRepository`, `RetireAction`, `ImportAction`,
`StageAction` and `MigrateFCDAction` can be created by K10's own service accounts only (group
`system:serviceaccounts:kasten-io`); everybody else gets 403 whatever RBAC says, and is recorded.
Whoever names a restore point, a content, a repository or a policy in what he creates must be
allowed to read it.

`keepwatch serve --k10-api-domain` serves the aggregated groups below another domain than
`kio.kasten.io`, as a K10 does that is installed with `useNamespacedAPI`, and `--k10-namespace` says
where K10 is if not in `kasten-io`; whatever stands here then follows, `config.kio.kasten.io` excepted.

";

const CUSTOM: &str = "
Custom resources, served by kube-apiserver in a cluster and by `keepwatch up` itself:

";

fn overview(page: &mut String, kinds: &[Resource]) {
    page.push_str(
        "| kind | resource | scope | verbs | below it | columns |\n|---|---|---|---|---|---|\n",
    );
    for kind in kinds {
        let verbs: Vec<&str> = kind.verbs.iter().map(|verb| verb_name(*verb)).collect();
        let below: Vec<&str> = kind.subresources.iter().map(|sub| subresource_name(*sub)).collect();
        let columns: Vec<String> =
            kind.columns.iter().map(|column| column_name(column.name, column.priority)).collect();
        let scope = match kind.scope {
            Scope::Namespaced => "namespace",
            Scope::Cluster => "cluster",
        };
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

fn section(page: &mut String, kind: &Resource) {
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
        _ = write!(page, "\n| field | type | what it is |\n|---|---|---|\n{rows}");
    }
}

/// One row for each field below `schema`, depth first.
fn rows_of(rows: &mut String, schema: &Value, path: &str) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required = schema["required"].as_array();
    for (name, field) in properties {
        let path = format!("{path}.{name}");
        let is_required = required.is_some_and(|names| names.iter().any(|one| one == name));
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

const fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Delete => "delete",
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Patch => "patch",
        Verb::Update => "update",
        Verb::Watch => "watch",
    }
}

const fn subresource_name(subresource: Subresource) -> &'static str {
    match subresource {
        Subresource::Status => "status",
        Subresource::Details => "details",
    }
}
