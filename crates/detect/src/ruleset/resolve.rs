//! Builds rules from documents: resolves references, applies filters, checks for duplicate ids.
//!
//! A document with a missing reference is an error and is skipped, and so are the documents that
//! refer to it.

mod counts;
mod filters;
mod references;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{FILTERS_MAX, RULES_MAX};
use crate::budget::Budget;
use crate::engine::digest::Digest;
use crate::error::{ERRORS_MAX, Position, RuleError};
use crate::matcher::Expression;
use crate::rule::{self, Correlation, GroupField, Origin, Rule, Threshold};
use crate::sigma::{self, Body, CorrelationKind, Document};

/// The rules of the valid documents.
#[derive(Default)]
pub(super) struct Resolved {
    pub(super) rules: Vec<Rule>,
    pub(super) by_name: BTreeMap<String, usize>,
    /// Names of superseded rules that no document has. The documents are kept: in a server the
    /// named rule may be disabled.
    pub(super) unknown_superseded: Vec<RuleError>,
}

struct Resolver<'e> {
    errors: &'e mut Vec<RuleError>,
    unknown_superseded: Vec<RuleError>,
    /// Whether each document is skipped.
    is_skipped: Vec<bool>,
    by_name: BTreeMap<String, usize>,
    /// The condition of each document with a detection.
    expressions: Vec<Option<Expression>>,
    /// The remaining budget for the examination of each file, by name.
    budgets: RefCell<BTreeMap<String, Rc<Budget>>>,
}

pub(super) fn resolve(documents: Vec<Document>, errors: &mut Vec<RuleError>) -> Resolved {
    let mut documents = documents;
    // A stable sort keeps the order of the rules.
    documents.sort_by_key(|document| matches!(document.body, Body::Filter(_)));
    let of_rule = |document: &Document| match &document.body {
        Body::Rule(detection) => Some(sigma::expression(detection)),
        Body::Correlation(_) | Body::Filter(_) => None,
    };
    let mut resolver = Resolver {
        errors,
        unknown_superseded: Vec::new(),
        is_skipped: vec![false; documents.len()],
        by_name: BTreeMap::new(),
        expressions: documents.iter().map(of_rule).collect(),
        budgets: RefCell::default(),
    };
    resolver.register_names(&documents);
    resolver.check_references(&documents);
    resolver.build(&documents)
}

/// The rule id: Sigma's `id`, else its `name`, else the file's stem.
fn identity(document: &Document) -> String {
    let header = &document.header;
    header.id.as_ref().or(header.name.as_ref()).cloned().unwrap_or_else(|| {
        let file = document.file.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"));
        stem.unwrap_or(file).to_owned()
    })
}

impl Resolver<'_> {
    fn error(&mut self, document: &Document, at: Position, message: String, hint: Option<String>) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error(document, at, message, hint));
        }
    }

    /// The remaining budget for the examination of the file of a document.
    fn budget(&self, document: &Document) -> Rc<Budget> {
        let mut budgets = self.budgets.borrow_mut();
        let budget = budgets.entry(document.file.clone());
        Rc::clone(budget.or_insert_with(|| Rc::new(Budget::of_examination())))
    }

    /// The condition of a rule on single events, by its id or name.
    fn expression(&self, name: &str) -> Option<&Expression> {
        self.expressions.get(self.by_name.get(name).copied()?)?.as_ref()
    }

    fn skip(&mut self, index: usize) {
        if let Some(is_skipped) = self.is_skipped.get_mut(index) {
            *is_skipped = true;
        }
    }

    fn is_included(&self, index: usize) -> bool {
        self.is_skipped.get(index) == Some(&false)
    }

    /// Registers the id and name of every rule.
    fn register_names(&mut self, documents: &[Document]) {
        let mut filters = 0;
        for (index, document) in documents.iter().enumerate() {
            if matches!(document.body, Body::Filter(_)) {
                filters += 1;
                if filters > FILTERS_MAX {
                    let message = format!("more than {FILTERS_MAX} filters");
                    self.error(document, document.at, message, None);
                    self.skip(index);
                }
                continue;
            }
            if index >= RULES_MAX {
                let message = format!("more than {RULES_MAX} rules");
                self.error(document, document.at, message, None);
                self.skip(index);
                continue;
            }
            let id = identity(document);
            let names = [Some(&id), document.header.name.as_ref().filter(|name| **name != id)];
            for name in names.into_iter().flatten() {
                if let Some(first) = self.by_name.get(name).and_then(|first| documents.get(*first))
                {
                    let message = format!("there are two rules with the name `{name}`");
                    let hint = format!(
                        "the first is in {}:{}; give each rule an `id` of its own",
                        first.file, first.at.line
                    );
                    self.error(document, document.at, message, Some(hint));
                    self.skip(index);
                } else {
                    self.by_name.insert(name.clone(), index);
                }
            }
        }
    }

    /// Builds the rules of the valid documents.
    fn build(mut self, documents: &[Document]) -> Resolved {
        let mut rule_indexes = vec![None; documents.len()];
        let mut count = 0;
        for (index, document) in documents.iter().enumerate() {
            if self.is_included(index) && !matches!(document.body, Body::Filter(_)) {
                if let Some(rule_index) = rule_indexes.get_mut(index) {
                    *rule_index = Some(count);
                }
                count += 1;
            }
        }
        let index_of = |name: &str| {
            let index = self.by_name.get(name).copied()?;
            rule_indexes.get(index).copied().flatten()
        };
        let mut rules: Vec<Rule> = Vec::with_capacity(count);
        for (index, document) in documents.iter().enumerate() {
            if !self.is_included(index) {
                continue;
            }
            let body = match &document.body {
                Body::Rule(detection) => {
                    let compiled = self.expressions.get(index).cloned().flatten();
                    let expression = compiled.unwrap_or_else(|| sigma::expression(detection));
                    rule::Body::Detection(expression)
                }
                Body::Correlation(correlation) => {
                    rule::Body::Correlation(self.correlation(correlation, &index_of, documents))
                }
                Body::Filter(_) => continue,
            };
            let superseded = self.superseded(document, documents);
            rules.push(rule(document, body, superseded));
        }
        let emptied = self.apply_filters(documents, &index_of, &mut rules);
        disable_counted_rules(documents, &index_of, |index| self.is_included(index), &mut rules);
        let by_name = self
            .by_name
            .iter()
            .filter_map(|(name, index)| Some((name.clone(), rule_indexes.get(*index).copied()??)))
            .collect();
        self.report_emptied(documents, &emptied);
        Resolved { rules, by_name, unknown_superseded: self.unknown_superseded }
    }

    fn correlation(
        &self,
        correlation: &sigma::Correlation,
        index_of: &dyn Fn(&str) -> Option<usize>,
        documents: &[Document],
    ) -> Correlation {
        let group = |(name, _): &(String, Position)| GroupField {
            name: name.clone(),
            // Validated by `check_groups`.
            fields: correlation
                .rules
                .iter()
                .filter_map(|(rule, _)| self.group_field(name, rule, correlation, documents).ok())
                .collect(),
        };
        let all = u64::try_from(correlation.rules.len()).unwrap_or(u64::MAX);
        Correlation {
            kind: match &correlation.kind {
                CorrelationKind::EventCount => rule::CorrelationKind::EventCount,
                CorrelationKind::ValueCount(fields) => {
                    rule::CorrelationKind::ValueCount(fields.clone())
                }
                CorrelationKind::Temporal => rule::CorrelationKind::Temporal,
                CorrelationKind::TemporalOrdered => rule::CorrelationKind::TemporalOrdered,
                CorrelationKind::Absence => rule::CorrelationKind::Absence,
            },
            rules: correlation.rules.iter().filter_map(|(rule, _)| index_of(rule)).collect(),
            group_by: correlation.group_by.iter().map(group).collect(),
            timespan: correlation.timespan,
            condition: correlation
                .condition
                .unwrap_or(Threshold { at_least: all, at_most: u64::MAX }),
        }
    }
}

/// Disables signals of the rules that correlations count, unless one has `generate: true`.
fn disable_counted_rules(
    documents: &[Document],
    index_of: &dyn Fn(&str) -> Option<usize>,
    is_included: impl Fn(usize) -> bool,
    rules: &mut [Rule],
) {
    let correlations = documents.iter().enumerate().filter_map(|(index, document)| {
        if let Body::Correlation(correlation) = &document.body
            && is_included(index)
        {
            Some(correlation)
        } else {
            None
        }
    });
    let mut generated = vec![false; rules.len()];
    for correlation in correlations {
        for rule_index in correlation.rules.iter().filter_map(|(name, _)| index_of(name)) {
            if let Some(rule) = rules.get_mut(rule_index) {
                rule.raises = false;
            }
            if let Some(is_generated) = generated.get_mut(rule_index) {
                *is_generated |= correlation.generate;
            }
        }
    }
    for (rule, is_generated) in rules.iter_mut().zip(generated) {
        rule.raises |= is_generated;
    }
}

fn error(document: &Document, at: Position, message: String, hint: Option<String>) -> RuleError {
    let Position { line, column } = at;
    RuleError { file: document.file.clone(), line, column, message, hint }
}

fn rule(document: &Document, body: rule::Body, supersedes: Vec<String>) -> Rule {
    let header = document.header.clone();
    Rule {
        id: identity(document),
        name: header.name,
        title: header.title,
        description: header.description,
        severity: header.level.unwrap_or(event::Severity::Medium),
        tags: header.tags,
        references: header.references,
        false_positives: header.false_positives,
        author: header.author,
        body,
        raises: true,
        signal: rule::SignalOptions { supersedes, ..header.signal },
        origin: Origin { file: document.file.clone(), line: document.at.line },
        text: Arc::clone(&document.text),
        text_digest: Digest::of([document.text.as_bytes()]),
    }
}
