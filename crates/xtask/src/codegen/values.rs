//! Generates the chart's `values.yaml` and its reference page from the chart's schema.
//!
//! The schema is the only source, so the values that Helm rejects, the defaults and the
//! documentation cannot disagree. A property with `properties` is a section; any other is a
//! setting.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

const WIDTH: usize = 96;

/// `values.yaml`: every setting with its default, and its description above it.
pub(super) fn file(schema: &str) -> Result<String> {
    let mut text = String::from(
        "# Generated from values.schema.json: `cargo xtask codegen` writes this file.\n\
         # docs/reference/values.md lists the flag that each value sets.\n",
    );
    write_section(&mut text, properties(&parse(schema)?)?, 0)?;
    Ok(text)
}

/// The defaults of missing values, which the templates fill in: path and value. Free-form maps are
/// omitted, because a user may remove their keys.
pub(super) fn defaults(schema: &str) -> Result<String> {
    let mut text = String::from(
        "# Generated from values.schema.json: `cargo xtask codegen` writes this file.\n",
    );
    write_defaults(&mut text, properties(&parse(schema)?)?, "")?;
    Ok(text)
}

/// The reference page: a table of all settings.
pub(super) fn page(schema: &str) -> Result<String> {
    let mut text = String::from(
        "# Chart values\n\nGenerated from `charts/keepwatch/values.schema.json`: `cargo xtask codegen` \
         writes this page. For a flag without a value here, use `extraArgs`; the [command \
         line](cli.md) lists all flags.\n\n\
         | Value | Default | Unit | Description | Flag |\n|---|---|---|---|---|\n",
    );
    write_rows(&mut text, properties(&parse(schema)?)?, "")?;
    Ok(text)
}

fn parse(schema: &str) -> Result<Value> {
    serde_json::from_str(schema).context("values.schema.json is no JSON")
}

fn properties(schema: &Value) -> Result<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object).context("a section without properties")
}

fn is_section(schema: &Value) -> bool {
    schema.get("properties").is_some()
}

fn text_field<'s>(schema: &'s Value, key: &str) -> &'s str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn write_section(text: &mut String, section: &Map<String, Value>, depth: usize) -> Result<()> {
    let indent = "  ".repeat(depth);
    for (name, schema) in section {
        if depth == 0 {
            text.push('\n');
        }
        let unit = text_field(schema, "x-unit");
        let mut description = text_field(schema, "description").to_owned();
        if !unit.is_empty() {
            write!(description, " Unit: {unit}.")?;
        }
        for line in wrap(&description, WIDTH - indent.len()) {
            writeln!(text, "{indent}# {line}")?;
        }
        if is_section(schema) {
            writeln!(text, "{indent}{name}:")?;
            write_section(text, properties(schema)?, depth + 1)?;
        } else {
            // JSON is YAML.
            writeln!(text, "{indent}{name}: {}", default(schema, name)?)?;
        }
    }
    Ok(())
}

fn write_defaults(text: &mut String, section: &Map<String, Value>, prefix: &str) -> Result<()> {
    for (name, schema) in section {
        let path = format!("{prefix}{name}");
        if is_section(schema) {
            write_defaults(text, properties(schema)?, &format!("{path}."))?;
            continue;
        }
        let default = default(schema, &path)?;
        if !default.is_object() {
            writeln!(text, "{path}: {default}")?;
        }
    }
    Ok(())
}

fn write_rows(text: &mut String, section: &Map<String, Value>, prefix: &str) -> Result<()> {
    for (name, schema) in section {
        let path = format!("{prefix}{name}");
        if is_section(schema) {
            write_rows(text, properties(schema)?, &format!("{path}."))?;
            continue;
        }
        let (unit, flag) = (text_field(schema, "x-unit"), text_field(schema, "x-flag"));
        let flag = if flag.is_empty() { String::new() } else { format!("`{flag}`") };
        let description = text_field(schema, "description").replace('|', "\\|");
        let default = default(schema, &path)?;
        writeln!(text, "| `{path}` | `{default}` | {unit} | {description} | {flag} |")?;
    }
    Ok(())
}

fn default<'s>(schema: &'s Value, name: &str) -> Result<&'s Value> {
    schema.get("default").with_context(|| format!("{name} has no default in values.schema.json"))
}

/// Lines of at most `width` characters, broken at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"properties": {"file": {"description": "Where lines go.",
        "properties": {"size": {"description": "Size at which it is rotated.", "default": 100,
            "x-unit": "MB", "x-flag": "--audit-log-file-size"}}}}}"#;

    #[test]
    fn values_are_written_with_their_descriptions() {
        let text = file(SCHEMA).unwrap();
        let expected = "\n# Where lines go.\nfile:\n  # Size at which it is rotated. Unit: MB.\n  \
                        size: 100\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn defaults_are_written_with_their_paths() {
        let text = defaults(SCHEMA).unwrap();
        assert!(text.ends_with("\nfile.size: 100\n"), "{text}");
    }

    #[test]
    fn the_page_has_a_row_for_each_value() {
        let text = page(SCHEMA).unwrap();
        let expected = "| `file.size` | `100` | MB | Size at which it is rotated. | `--audit-log-file-size` |\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn a_setting_without_a_default_is_an_error() {
        let error = file(r#"{"properties": {"a": {"type": "string"}}}"#).unwrap_err();
        assert!(error.to_string().contains("a has no default"), "{error}");
    }
}
