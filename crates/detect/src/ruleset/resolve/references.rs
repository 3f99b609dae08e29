//! References between documents: rules of correlations and filters, aliases, query labels,
//! superseded rules. An undefined name is an error.

use std::collections::BTreeSet;

use super::{Resolver, error, identity};
use crate::error::{ERRORS_MAX, Position};
use crate::field::Field;
use crate::nearest;
use crate::sigma::{self, Body, CorrelationKind, Document, FilterRules};
use crate::template::Template;

impl Resolver<'_> {
    /// Skips documents with missing references.
    pub(super) fn check_references(&mut self, documents: &[Document]) {
        for (index, document) in documents.iter().enumerate() {
            let references = match &document.body {
                Body::Correlation(correlation) => &correlation.rules,
                Body::Filter(sigma::Filter { rules: FilterRules::Named(rules), .. }) => rules,
                Body::Rule(_) | Body::Filter(_) => continue,
            };
            for (name, at) in references {
                match self.by_name.get(name).copied() {
                    Some(target) if self.is_included(target) => {
                        let body = documents.get(target).map(|document| &document.body);
                        if !matches!(body, Some(Body::Rule(_))) {
                            let message = format!("`{name}` is a correlation");
                            let hint = "name rules on single events".to_owned();
                            self.error(document, *at, message, Some(hint));
                            self.skip(index);
                        }
                    }
                    _ => {
                        let message =
                            format!("there is no rule `{}`", sigma::yaml::printable(name));
                        let hint = self.nearest_rule(name);
                        self.error(document, *at, message, Some(hint));
                        self.skip(index);
                    }
                }
            }
        }
        for (index, document) in documents.iter().enumerate() {
            if self.is_included(index) && !self.check_queries(document, documents) {
                self.skip(index);
            }
            if let Body::Correlation(correlation) = &document.body
                && self.is_included(index)
                && !(self.check_rules(document, correlation)
                    && self.check_aliases(document, correlation)
                    && self.check_groups(document, correlation, documents)
                    && self.check_counts(document, correlation, documents))
            {
                self.skip(index);
            }
        }
        for (index, document) in documents.iter().enumerate() {
            if !self.check_superseded(index, documents) {
                self.error(
                    document,
                    document.header.supersedes.first().map_or(document.at, |(_, at)| *at),
                    "the rule supersedes itself".to_owned(),
                    Some("of two rules, only one can supersede the other".to_owned()),
                );
                self.skip(index);
            }
        }
    }

    /// A hint for a name that no rule has.
    fn nearest_rule(&self, name: &str) -> String {
        let is_full = self.errors.len() >= ERRORS_MAX;
        let known = self.by_name.keys().map(String::as_str).filter(|_| !is_full);
        nearest::of(name, known).map_or_else(
            || "a rule is named by its `id` or `name`".to_owned(),
            |known| format!("did you mean `{known}`?"),
        )
    }

    /// Whether every query label in a template is one of the rule's.
    fn check_queries(&mut self, document: &Document, documents: &[Document]) -> bool {
        let signal = &document.header.signal;
        let mut labels = vec![signal.query.as_str()];
        if let Body::Correlation(correlation) = &document.body {
            let indexes = correlation.rules.iter().filter_map(|(rule, _)| self.by_name.get(rule));
            let counted = indexes.filter_map(|index| documents.get(*index));
            labels.extend(counted.map(|document| document.header.signal.query.as_str()));
        }
        let templates = [&signal.title, &signal.message].into_iter().flatten();
        let unknown = templates.flat_map(Template::queries).find(|query| !labels.contains(query));
        let Some(unknown) = unknown else {
            return true;
        };
        let message = format!("a text counts the query `{}`", sigma::yaml::printable(unknown));
        let hint = format!("the rule has {}", labels.join(", "));
        let at = position_of(document, &format!("events_matched_per_query.{unknown}"));
        self.error(document, at, message, Some(hint));
        false
    }

    /// Whether the correlation names each rule once. Only an ordered one may repeat a rule.
    fn check_rules(&mut self, document: &Document, correlation: &sigma::Correlation) -> bool {
        let mut known = BTreeSet::new();
        let is_ordered = correlation.kind == CorrelationKind::TemporalOrdered;
        let mut rules = correlation.rules.iter().filter(|_| !is_ordered);
        let repeated = rules.find(|(name, _)| !known.insert(self.by_name.get(name).copied()));
        let Some((name, at)) = repeated else { return true };
        let message = format!("the rule `{}` is in the list twice", sigma::yaml::printable(name));
        self.error(document, *at, message, Some("name each rule once".to_owned()));
        false
    }

    /// Whether `group-by` uses each alias, and each alias names each rule once.
    fn check_aliases(&mut self, document: &Document, correlation: &sigma::Correlation) -> bool {
        let mut is_right = true;
        let used = |name: &str| correlation.group_by.iter().any(|(group, _)| group == name);
        for alias in &correlation.aliases {
            if !used(&alias.name) {
                let names = correlation.group_by.iter().map(|(name, _)| name.as_str());
                let hint = nearest::of(&alias.name, names).map_or_else(
                    || "name it in `group-by`, or remove it".to_owned(),
                    |known| format!("`group-by` has `{known}`"),
                );
                let message = format!(
                    "`group-by` does not use the alias `{}`",
                    sigma::yaml::printable(&alias.name)
                );
                self.error(document, alias.at, message, Some(hint));
                is_right = false;
            }
            let mut known = BTreeSet::new();
            for (rule, at, _) in &alias.fields {
                let target = self.by_name.get(rule).copied();
                let is_target = |name: &str| self.by_name.get(name).copied() == target;
                let is_counted =
                    target.is_some() && correlation.rules.iter().any(|(name, _)| is_target(name));
                let printable = sigma::yaml::printable(rule);
                let (message, hint) = if !is_counted {
                    let names = correlation.rules.iter().map(|(name, _)| name.as_str());
                    let hint = nearest::of(rule, names).map_or_else(
                        || "name rules of the correlation's `rules`".to_owned(),
                        |known| format!("did you mean `{known}`?"),
                    );
                    (format!("the correlation has no rule `{printable}`"), hint)
                } else if !known.insert(target) {
                    let message = format!("the alias has the rule `{printable}` twice");
                    (message, "name one field for each rule".to_owned())
                } else {
                    continue;
                };
                self.error(document, *at, message, Some(hint));
                is_right = false;
            }
        }
        is_right
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

    pub(super) fn group_field(
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
        let field = alias.fields.iter().find(|(other, ..)| {
            other == rule || (target.is_some() && self.by_name.get(other).copied() == target)
        });
        field.map(|(.., field)| field.clone()).ok_or_else(|| {
            let title = target
                .and_then(|other| documents.get(other))
                .map(|other| other.header.title.as_str());
            let message = format!("the alias `{name}` has no field for the rule `{rule}`");
            (message, title.map(|title| format!("add the field of “{title}”")))
        })
    }

    /// Reports names of superseded rules that no document has. Returns false if the rule supersedes
    /// itself, directly or indirectly.
    fn check_superseded(&mut self, index: usize, documents: &[Document]) -> bool {
        let Some(document) = documents.get(index).filter(|_| self.is_included(index)) else {
            return true;
        };
        for (name, at) in &document.header.supersedes {
            let target = self.by_name.get(name).and_then(|target| documents.get(*target));
            if document.is_confined && target.is_none_or(|other| other.file != document.file) {
                let name = sigma::yaml::printable(name);
                let message = format!("there is no rule `{name}` in {}", document.file);
                let hint = "a rule supersedes only rules of the same object; to hide signals of \
                            another rule, create a suppression";
                self.error(document, *at, message, Some(hint.to_owned()));
                self.skip(index);
                return true;
            }
            if !self.by_name.contains_key(name) && self.unknown_superseded.len() < ERRORS_MAX {
                let message = format!("there is no rule `{}`", sigma::yaml::printable(name));
                let hint = self.nearest_rule(name);
                self.unknown_superseded.push(error(document, *at, message, Some(hint)));
            }
        }
        let mut open = vec![index];
        let mut visited = BTreeSet::new();
        while let Some(superseding) = open.pop() {
            let names = documents.get(superseding).map(|other| other.header.supersedes.as_slice());
            for (name, _) in names.unwrap_or_default() {
                match self.by_name.get(name) {
                    Some(target) if *target == index => return false,
                    Some(target) if visited.insert(*target) => open.push(*target),
                    _ => {}
                }
            }
        }
        true
    }

    /// The ids of the rules that a rule supersedes.
    pub(super) fn superseded(&self, document: &Document, documents: &[Document]) -> Vec<String> {
        let names = document.header.supersedes.iter();
        let id = |(name, _): &(String, Position)| {
            let target = self.by_name.get(name).and_then(|index| documents.get(*index));
            target.map_or_else(|| name.clone(), identity)
        };
        names.map(id).collect()
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
