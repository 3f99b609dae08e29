//! Builds rules from documents: resolves references, applies filters, checks for duplicate ids.
//!
//! A document with a missing reference is an error and is skipped, and so are the documents that
//! refer to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{FILTERS_MAX, RULES_MAX};
use crate::error::{ERRORS_MAX, Position, RuleError};
use crate::field::Field;
use crate::matcher::Node;
use crate::nearest;
use crate::rule::{self, Correlation, GroupField, Origin, Rule, Threshold};
use crate::sigma::{self, Body, CorrelationKind, Document, FilterRules};
use crate::template::Template;

/// The rules of the valid documents.
#[derive(Default)]
pub(super) struct Resolved {
    pub(super) rules: Vec<Rule>,
    pub(super) by_name: BTreeMap<String, usize>,
}

struct Resolver<'e> {
    errors: &'e mut Vec<RuleError>,
    /// Whether each document is skipped.
    is_out: Vec<bool>,
    by_name: BTreeMap<String, usize>,
}

pub(super) fn resolve(documents: Vec<Document>, errors: &mut Vec<RuleError>) -> Resolved {
    let mut documents = documents;
    // A stable sort keeps the order of the rules.
    documents.sort_by_key(|document| matches!(document.body, Body::Filter(_)));
    let is_out = vec![false; documents.len()];
    let mut resolver = Resolver { errors, is_out, by_name: BTreeMap::new() };
    resolver.name(&documents);
    resolver.check_references(&documents);
    resolver.make(&documents)
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
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        let Position { line, column } = at;
        self.errors.push(RuleError { file: document.file.clone(), line, column, message, hint });
    }

    fn leave_out(&mut self, place: usize) {
        if let Some(is_out) = self.is_out.get_mut(place) {
            *is_out = true;
        }
    }

    fn is_in(&self, place: usize) -> bool {
        self.is_out.get(place) == Some(&false)
    }

    /// Registers the id and name of every rule.
    fn name(&mut self, documents: &[Document]) {
        let mut filters = 0;
        for (place, document) in documents.iter().enumerate() {
            if matches!(document.body, Body::Filter(_)) {
                filters += 1;
                if filters > FILTERS_MAX {
                    let message = format!("more than {FILTERS_MAX} filters");
                    self.error(document, document.at, message, None);
                    self.leave_out(place);
                }
                continue;
            }
            if place >= RULES_MAX {
                let message = format!("more than {RULES_MAX} rules");
                self.error(document, document.at, message, None);
                self.leave_out(place);
                continue;
            }
            let id = identity(document);
            let names = [Some(&id), document.header.name.as_ref().filter(|name| **name != id)];
            for name in names.into_iter().flatten() {
                if let Some(first) = self.by_name.get(name).and_then(|first| documents.get(*first))
                {
                    let message = format!("a second rule is called `{name}`");
                    let hint = format!(
                        "the first is in {}:{}; give each rule an `id` of its own",
                        first.file, first.at.line
                    );
                    self.error(document, document.at, message, Some(hint));
                    self.leave_out(place);
                } else {
                    self.by_name.insert(name.clone(), place);
                }
            }
        }
    }

    /// Skips documents with missing references.
    fn check_references(&mut self, documents: &[Document]) {
        for (place, document) in documents.iter().enumerate() {
            let references = match &document.body {
                Body::Correlation(correlation) => &correlation.rules,
                Body::Filter(sigma::Filter { rules: FilterRules::Named(rules), .. }) => rules,
                Body::Rule(_) | Body::Filter(_) => continue,
            };
            for (name, at) in references {
                match self.by_name.get(name).copied() {
                    Some(target) if self.is_in(target) => {
                        let body = documents.get(target).map(|document| &document.body);
                        if !matches!(body, Some(Body::Rule(_))) {
                            let message = format!("`{name}` is a correlation");
                            let hint = "name rules on single events".to_owned();
                            self.error(document, *at, message, Some(hint));
                            self.leave_out(place);
                        }
                    }
                    _ => {
                        let message = format!("there is no rule `{}`", sigma::yaml::shown(name));
                        let is_full = self.errors.len() >= ERRORS_MAX;
                        let known = self.by_name.keys().map(String::as_str);
                        let known = known.filter(|_| !is_full);
                        let hint = nearest::of(name, known)
                            .map(|found| format!("did you mean `{found}`?"))
                            .or_else(|| Some("a rule is named by its `id` or `name`".to_owned()));
                        self.error(document, *at, message, hint);
                        self.leave_out(place);
                    }
                }
            }
        }
        for (place, document) in documents.iter().enumerate() {
            if self.is_in(place) && !self.check_queries(document, documents) {
                self.leave_out(place);
            }
            if let Body::Correlation(correlation) = &document.body
                && self.is_in(place)
                && !self.check_groups(document, correlation, documents)
            {
                self.leave_out(place);
            }
        }
    }

    /// Whether every query label in a template is one of the rule's.
    fn check_queries(&mut self, document: &Document, documents: &[Document]) -> bool {
        let signal = &document.header.signal;
        let mut labels = vec![signal.query.as_str()];
        if let Body::Correlation(correlation) = &document.body {
            let places = correlation.rules.iter().filter_map(|(rule, _)| self.by_name.get(rule));
            let counted = places.filter_map(|place| documents.get(*place));
            labels.extend(counted.map(|document| document.header.signal.query.as_str()));
        }
        let templates = [&signal.title, &signal.message].into_iter().flatten();
        let wrong = templates.flat_map(Template::queries).find(|query| !labels.contains(query));
        let Some(wrong) = wrong else {
            return true;
        };
        let message = format!("a text counts the query `{}`", sigma::yaml::shown(wrong));
        let hint = format!("the rule has {}", labels.join(", "));
        let at = position_of(document, &format!("events_matched_per_query.{wrong}"));
        self.error(document, at, message, Some(hint));
        false
    }

    /// Whether every group-by key is a field, or an alias with a field for each rule.
    fn check_groups(
        &mut self,
        document: &Document,
        correlation: &sigma::Correlation,
        documents: &[Document],
    ) -> bool {
        let mut is_right = true;
        for (name, at) in &correlation.group_by {
            for (rule, _) in &correlation.rules {
                if let Err((message, hint)) = self.group_field(name, rule, correlation, documents) {
                    self.error(document, *at, message, hint);
                    is_right = false;
                    break;
                }
            }
        }
        is_right
    }

    fn group_field(
        &self,
        name: &str,
        rule: &str,
        correlation: &sigma::Correlation,
        documents: &[Document],
    ) -> Result<Field, (String, Option<String>)> {
        let Some(alias) = correlation.aliases.iter().find(|alias| alias.name == name) else {
            return Field::parse(name).map_err(|error| (error.message, error.hint));
        };
        let target = self.by_name.get(rule).copied();
        let field = alias.fields.iter().find(|(other, _)| {
            other == rule || (target.is_some() && self.by_name.get(other).copied() == target)
        });
        field.map(|(_, field)| field.clone()).ok_or_else(|| {
            let title = target.and_then(|it| documents.get(it)).map(|it| it.header.title.as_str());
            let message = format!("the alias `{name}` says nothing of the rule `{rule}`");
            (message, title.map(|title| format!("name the field of “{title}”")))
        })
    }

    /// Builds the rules of the valid documents.
    fn make(mut self, documents: &[Document]) -> Resolved {
        let mut places = vec![None; documents.len()];
        let mut count = 0;
        for (place, document) in documents.iter().enumerate() {
            if self.is_in(place) && !matches!(document.body, Body::Filter(_)) {
                if let Some(index) = places.get_mut(place) {
                    *index = Some(count);
                }
                count += 1;
            }
        }
        let index_of = |name: &str| {
            let place = self.by_name.get(name).copied()?;
            places.get(place).copied().flatten()
        };
        let mut rules: Vec<Rule> = Vec::with_capacity(count);
        for (place, document) in documents.iter().enumerate() {
            if !self.is_in(place) {
                continue;
            }
            let body = match &document.body {
                Body::Rule(detection) => rule::Body::Detection(sigma::expression(detection)),
                Body::Correlation(correlation) => {
                    rule::Body::Correlation(self.correlation(correlation, &index_of, documents))
                }
                Body::Filter(_) => continue,
            };
            rules.push(rule(document, body));
        }
        let empty = self.apply_filters(documents, &index_of, &mut rules);
        silence(documents, &index_of, |place| self.is_in(place), &mut rules);
        let by_name = self
            .by_name
            .iter()
            .filter_map(|(name, place)| Some((name.clone(), places.get(*place).copied()??)))
            .collect();
        for (filter, rule) in empty {
            let Some(document) = documents.get(filter) else { continue };
            let message = format!("no event is left for `{}`", sigma::yaml::shown(&rule));
            let hint = "the filter excludes all that the rule looks for".to_owned();
            self.error(document, document.at, message, Some(hint));
        }
        Resolved { rules, by_name }
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

    /// Adds the conditions of filters to rules. Returns the filters, by index, that exclude every
    /// event of a rule, with the rule's id.
    fn apply_filters(
        &self,
        documents: &[Document],
        index_of: &dyn Fn(&str) -> Option<usize>,
        rules: &mut [Rule],
    ) -> Vec<(usize, String)> {
        let mut empty = Vec::new();
        let mut of_all = Vec::new();
        let mut of_rule: Vec<Vec<Arc<Node>>> = vec![Vec::new(); rules.len()];
        for (place, document) in documents.iter().enumerate() {
            let Body::Filter(filter) = &document.body else {
                continue;
            };
            if !self.is_in(place) {
                continue;
            }
            let condition = sigma::expression(&filter.detection).into_shared();
            match &filter.rules {
                FilterRules::Any => of_all.push(condition),
                FilterRules::Named(names) => {
                    let indices: BTreeSet<usize> =
                        names.iter().filter_map(|(name, _)| index_of(name)).collect();
                    for index in indices {
                        let rule = rules.get(index).filter(|rule| is_emptied(rule, &condition));
                        empty.extend(rule.map(|rule| (place, rule.id.clone())));
                        if let Some(filters) = of_rule.get_mut(index) {
                            filters.push(Arc::clone(&condition));
                        }
                    }
                }
            }
        }
        // One shared node for all rules.
        let is_any = !of_all.is_empty();
        let of_all = Node::All(of_all.into_iter().map(Node::Shared).collect());
        let of_all = is_any.then(|| Arc::new(of_all));
        for (rule, mut filters) in rules.iter_mut().zip(of_rule) {
            filters.extend(of_all.clone());
            if let rule::Body::Detection(expression) = &mut rule.body
                && !filters.is_empty()
            {
                *expression = expression.clone().and(&filters);
            }
        }
        empty
    }
}

/// Position of the first occurrence of a text in a document.
fn position_of(document: &Document, text: &str) -> Position {
    let Some((before, _)) = document.text.split_once(text) else {
        return document.at;
    };
    let last = before.rsplit('\n').next().unwrap_or_default();
    let line = document.first_line + before.matches('\n').count();
    Position { line, column: last.chars().count() + 1 }
}

/// Whether no event can match both the rule and a filter.
fn is_emptied(rule: &Rule, filter: &Arc<Node>) -> bool {
    let rule::Body::Detection(expression) = &rule.body else { return false };
    let both = expression.clone().and(std::slice::from_ref(filter));
    both.impossible().is_some()
}

/// Disables signals of the rules that correlations count, unless one has `generate: true`.
fn silence(
    documents: &[Document],
    index_of: &dyn Fn(&str) -> Option<usize>,
    is_in: impl Fn(usize) -> bool,
    rules: &mut [Rule],
) {
    let correlations = documents.iter().enumerate().filter_map(|(place, document)| {
        if let Body::Correlation(correlation) = &document.body
            && is_in(place)
        {
            Some(correlation)
        } else {
            None
        }
    });
    let mut generated = vec![false; rules.len()];
    for correlation in correlations {
        for index in correlation.rules.iter().filter_map(|(name, _)| index_of(name)) {
            if let Some(rule) = rules.get_mut(index) {
                rule.raises = false;
            }
            if let Some(is_generated) = generated.get_mut(index) {
                *is_generated |= correlation.generate;
            }
        }
    }
    for (rule, is_generated) in rules.iter_mut().zip(generated) {
        rule.raises |= is_generated;
    }
}

fn rule(document: &Document, body: rule::Body) -> Rule {
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
        signal: header.signal,
        origin: Origin { file: document.file.clone(), line: document.at.line },
        text: Arc::clone(&document.text),
    }
}
