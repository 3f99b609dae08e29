//! Checks a rule file against its events file, for `keepwatch rules test`.

use std::sync::Arc;

use super::{ExampleError, read, run};
use crate::error::RuleError;
use crate::rule::{Body, Rule};
use crate::ruleset::{Document, LoadOptions, RuleSet};

/// The result of checking one rule file.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Number of examples run.
    pub examples: usize,
    /// Number of signals that they raised.
    pub signals: usize,
    /// The failures, for display; empty if the check passes.
    pub failures: Vec<String>,
}

impl Report {
    fn unreadable(failures: Vec<String>) -> Self {
        Self { failures, ..Self::default() }
    }
}

/// Runs the examples of a rule file. Each rule that raises signals must raise one in an example,
/// and each detection must match an event. At least one example must expect no signal: without a
/// negative case, a rule that matches everything passes.
pub fn check(document: &Document, events: &str, options: &LoadOptions) -> Report {
    // The rules of the file may supersede rules of other files.
    let (rules, errors) = RuleSet::load_lenient(std::slice::from_ref(document), options);
    if !errors.is_empty() {
        return Report::unreadable(errors.iter().map(RuleError::to_string).collect());
    }
    let rules = Arc::new(rules);
    let examples = match read(events) {
        Ok(examples) => examples,
        Err(errors) => {
            return Report::unreadable(errors.iter().map(ExampleError::to_string).collect());
        }
    };
    let mut report = Report { examples: examples.len(), ..Report::default() };
    let (mut raised, mut matched) = (Vec::new(), Vec::new());
    for example in &examples {
        let outcome = run(&rules, example);
        report.signals += outcome.signals.len();
        for difference in outcome.differences {
            let (line, name) = (example.line, &example.name);
            report.failures.push(format!("line {line}: {name}: {difference}"));
        }
        raised.extend(outcome.signals.iter().map(|signal| signal.spec.rule.id.clone()));
        matched.extend(outcome.matched);
    }
    for (index, rule) in rules.rules().iter().enumerate() {
        report.failures.extend(coverage_failure(
            rule,
            raised.contains(&rule.id),
            matched.contains(&index),
        ));
    }
    if !examples.iter().any(|example| example.expected.is_empty()) {
        report.failures.push(
            "no example expects no signal: add an example of similar events that must raise none"
                .to_owned(),
        );
    }
    report
}

/// The failure for a rule that no example covers.
fn coverage_failure(rule: &Rule, is_raised: bool, is_matched: bool) -> Option<String> {
    let id = &rule.id;
    if rule.raises && !is_raised {
        return Some(format!("no example raises a signal of {id}"));
    }
    let is_detection = matches!(rule.body, Body::Detection(_));
    (is_detection && !is_matched).then(|| format!("no event of the examples matches {id}"))
}
