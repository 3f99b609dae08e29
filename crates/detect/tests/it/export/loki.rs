//! Rules for Loki.

mod logql;
mod run;
mod template;

use detect::export;

use super::exported;

pub(super) use run::{evaluator, lines, passed};

/// The values of a key such as `expr` in the file.
pub(super) fn expressions(text: &str) -> Vec<String> {
    let (mut expressions, mut lines) = (Vec::new(), text.lines().peekable());
    while let Some(line) = lines.next() {
        if line.trim() != "expr: |-" {
            continue;
        }
        let mut expression = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("          ")) {
            expression.push_str(line.trim());
            expression.push('\n');
        }
        expressions.push(expression);
    }
    expressions
}

#[test]
fn each_severity_case_is_a_separate_alert() {
    let target = export::named("loki").unwrap();
    let rules = exported(target, &target.profiles()[0], &target.formats()[0]);
    for (id, severities) in [
        ("kasten-restorepoints-manually-deleted", vec!["low"]),
        ("kasten-restorepoints-excessive-deletion", vec!["high", "medium"]),
        ("kasten-passkey-read-restore-delete", vec!["critical"]),
        ("keepwatch-heartbeat-silent", vec!["high"]),
    ] {
        let rule = rules.iter().find(|rule| rule.rule == id).unwrap();
        let text = &rule.files[0].text;
        let actual: Vec<&str> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("severity: \"")?.strip_suffix('"'))
            .collect();
        assert_eq!(actual, severities, "{id}");
        assert_eq!(expressions(text).len(), severities.len(), "{id}");
    }
}
