//! The custom resource definitions of the group, as a manifest.
//!
//! It is written without a YAML library, because it contains only maps, lists and quoted texts.

use std::fmt::Write as _;

use apiserver::{Column, Resource, Scope};
use serde_json::{Map, Value, json};

/// The manifest: one `CustomResourceDefinition` for each kind.
pub fn definitions() -> String {
    let mut text = String::from(
        "# Generated from the kinds: `cargo xtask codegen` writes this file.\n\
         # A cluster that has these definitions of K10 keeps K10's.\n",
    );
    for resource in crate::kinds::config_resources() {
        text.push_str("---\n");
        write_block(&mut text, &definition(&resource), 0);
    }
    text
}

fn definition(resource: &Resource) -> Value {
    let scope = match resource.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let columns: Vec<Value> = resource.columns.iter().map(column).collect();
    let mut schema = resource.schema.tree();
    schema["properties"]["metadata"] = json!({"type": "object"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", resource.plural, resource.group)},
        "spec": {
            "group": resource.group,
            "names": {
                "kind": resource.kind,
                "listKind": format!("{}List", resource.kind),
                "plural": resource.plural,
                "singular": resource.singular,
            },
            "scope": scope,
            "versions": [{
                "name": resource.version,
                "served": true,
                "storage": true,
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

fn column(column: &Column) -> Value {
    let mut printer_column = json!({
        "name": column.name,
        "type": column.kind,
        "jsonPath": format!(".{}", column.path),
        "description": column.description,
    });
    if column.priority > 0 {
        printer_column["priority"] = column.priority.into();
    }
    printer_column
}

/// A value that begins on a new line. Writing to a `String` cannot fail.
fn write_block(text: &mut String, value: &Value, indent: usize) {
    let indentation = " ".repeat(indent);
    match value {
        Value::Object(map) => write_members(text, map, &indentation, indent),
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                write_block(&mut inner, item, indent + 2);
                // The dash takes the place of the first line's indentation.
                let rest = inner.get(indent + 2..).unwrap_or_default();
                _ = write!(text, "{indentation}- {rest}");
            }
        }
        scalar => _ = writeln!(text, "{indentation}{scalar}"),
    }
}

fn write_members(text: &mut String, map: &Map<String, Value>, indentation: &str, indent: usize) {
    for (key, value) in map {
        let is_empty = match value {
            Value::Object(map) => map.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => true,
        };
        if is_empty {
            _ = writeln!(text, "{indentation}{key}: {value}");
            continue;
        }
        _ = writeln!(text, "{indentation}{key}:");
        write_block(text, value, indent + if value.is_object() { 2 } else { 0 });
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn the_manifest_is_what_helm_installs() {
        let text = definitions();
        expect_file!["../../../../charts/keepwatch/crds/config.kio.kasten.io.yaml"]
            .assert_eq(&text);
        for word in ["$ref", "anyOf", "subresources"] {
            assert!(!text.contains(word), "{word}");
        }
    }

    #[test]
    fn maps_and_lists_become_blocks() {
        let value = json!({"a": [{"b": 1, "c": ["x: y"]}, {"d": {}}], "e": true});
        let mut text = String::new();
        write_block(&mut text, &value, 0);
        assert_eq!(text, "a:\n- b: 1\n  c:\n  - \"x: y\"\n- d: {}\ne: true\n");
    }
}
