//! A rule in Bicep.

use serde_json::Value;

use super::rule::Template;

/// A Bicep file that creates the rule in an existing workspace.
pub(super) fn text(template: &Template) -> String {
    let properties = serde_json::to_value(template.properties()).unwrap_or_default();
    let mut text = String::from(
        "@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')\n\
         param workspace string\n\n\
         resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {\n  \
         name: workspace\n}\n\n",
    );
    text.extend([
        "resource rule 'Microsoft.SecurityInsights/alertRules@",
        Template::api_version(),
        "' = {\n  scope: logs\n  name: '",
        template.guid(),
        "'\n  kind: 'Scheduled'\n  properties: ",
    ]);
    write(&properties, 1, &mut text);
    text.push_str("\n}\n");
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    let indent = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('{');
            for (key, value) in members {
                indent(text, depth + 1);
                text.extend([key, ": "]);
                write(value, depth + 1, text);
            }
            indent(text, depth);
            text.push('}');
        }
        Value::Object(_) => text.push_str("{}"),
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for item in items {
                indent(text, depth + 1);
                write(item, depth + 1, text);
            }
            indent(text, depth);
            text.push(']');
        }
        Value::Array(_) => text.push_str("[]"),
        Value::String(string) => quote(string, text),
        other => text.push_str(&other.to_string()),
    }
}

fn quote(string: &str, text: &mut String) {
    text.push('\'');
    let mut chars = string.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\'' => text.push_str("\\'"),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '$' if chars.peek() == Some(&'{') => text.push_str("\\$"),
            _ => text.push(char),
        }
    }
    text.push('\'');
}
