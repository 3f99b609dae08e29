//! Our own parser and evaluator of the template that we write:
//! `{{ if CONDITION }}{{ .a }}{{ else }}{{ .b }}{{ end }}`.

use super::logql::Labels;

pub(super) struct Template {
    condition: Vec<String>,
    then: String,
    otherwise: String,
}

impl Template {
    pub(super) fn read(text: &str) -> Self {
        let text = text.strip_prefix("{{ if ").unwrap().strip_suffix("{{ end }}").unwrap();
        let (condition, rest) = text.split_once(" }}").unwrap();
        let (then, otherwise) = rest.split_once("{{ else }}").unwrap();
        let label =
            |text: &str| text.strip_prefix("{{ .").unwrap().strip_suffix(" }}").unwrap().to_owned();
        let spaced = condition.replace('(', "( ").replace(')', " )");
        let condition = spaced.split_whitespace().map(str::to_owned).collect();
        Self { condition, then: label(then), otherwise: label(otherwise) }
    }

    pub(super) fn text(&self, labels: &Labels) -> String {
        let mut at = 0;
        let holds = value(&self.condition, &mut at, labels) == "true";
        assert_eq!(at, self.condition.len());
        labels[if holds { &self.then } else { &self.otherwise }].clone()
    }
}

/// The value of `(function argument…)`, `.label` or `"text"`. Booleans are texts too.
fn value(words: &[String], at: &mut usize, labels: &Labels) -> String {
    let word = words[*at].as_str();
    *at += 1;
    if let Some(label) = word.strip_prefix('.') {
        return labels[label].clone();
    }
    if let Some(text) = word.strip_prefix('"') {
        return text.strip_suffix('"').unwrap().to_owned();
    }
    assert_eq!(word, "(");
    let function = words[*at].as_str();
    *at += 1;
    let mut arguments = Vec::new();
    while words[*at] != ")" {
        arguments.push(value(words, at, labels));
    }
    *at += 1;
    let truth = match (function, arguments.as_slice()) {
        ("not", [inner]) => inner != "true",
        ("ne", [left, right]) => left != right,
        ("hasPrefix", [start, text]) => text.starts_with(start.as_str()),
        ("and", parts) => parts.iter().all(|part| part == "true"),
        ("or", parts) => parts.iter().any(|part| part == "true"),
        other => panic!("{other:?}"),
    };
    truth.to_string()
}
