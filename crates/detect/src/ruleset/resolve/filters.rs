//! Adds filters to rules, and finds the filters that exclude all events of a rule.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Resolver;
use crate::matcher::{Expression, Node};
use crate::rule::{self, Rule};
use crate::sigma::{self, Body, Document, FilterRules};

/// A filter, by the index of its document.
type Filter = (usize, Arc<Node>);

/// A filter after which a rule cannot match: the index of its document, and the id of the rule.
pub(super) type Emptied = (usize, String);

impl Resolver<'_> {
    /// Adds the conditions of filters to rules. Returns the filters that exclude all events of a
    /// rule.
    pub(super) fn apply_filters(
        &self,
        documents: &[Document],
        index_of: &dyn Fn(&str) -> Option<usize>,
        rules: &mut [Rule],
    ) -> Vec<Emptied> {
        let mut emptied = Vec::new();
        let mut of_all: Vec<Filter> = Vec::new();
        let mut of_rule: Vec<Vec<Filter>> = vec![Vec::new(); rules.len()];
        for (index, document) in documents.iter().enumerate() {
            let Body::Filter(filter) = &document.body else {
                continue;
            };
            if !self.is_included(index) {
                continue;
            }
            let condition = sigma::expression(&filter.detection).into_shared();
            let is_reached = |rule_index: &usize| {
                let rule = rules.get(*rule_index);
                !document.is_confined || rule.is_some_and(|rule| rule.origin.file == document.file)
            };
            let indices: BTreeSet<usize> = match &filter.rules {
                FilterRules::Any if !document.is_confined => {
                    of_all.push((index, condition));
                    continue;
                }
                FilterRules::Any => (0..rules.len()).filter(is_reached).collect(),
                FilterRules::Named(names) => {
                    let indices = names.iter().filter_map(|(name, _)| index_of(name));
                    indices.filter(is_reached).collect()
                }
            };
            for rule_index in indices {
                if let Some(filters) = of_rule.get_mut(rule_index) {
                    filters.push((index, Arc::clone(&condition)));
                }
            }
        }
        // One shared node for all rules.
        let shared = of_all.iter().map(|(_, node)| Node::Shared(Arc::clone(node))).collect();
        let shared = Arc::new(Node::All(shared));
        for (rule, named) in rules.iter_mut().zip(of_rule) {
            let rule::Body::Detection(expression) = &mut rule.body else { continue };
            let mut conditions: Vec<_> = named.iter().map(|(_, node)| Arc::clone(node)).collect();
            conditions.extend((!of_all.is_empty()).then(|| Arc::clone(&shared)));
            if conditions.is_empty() {
                continue;
            }
            let filters = named.iter().chain(&of_all);
            emptied.extend(self.emptied(expression, &rule.id, filters, documents));
            *expression = expression.clone().and(&conditions);
        }
        emptied
    }

    /// The first filter that excludes the last events of a rule.
    fn emptied<'f>(
        &self,
        expression: &Expression,
        id: &str,
        filters: impl Iterator<Item = &'f Filter> + Clone,
        documents: &[Document],
    ) -> Option<Emptied> {
        let is_emptied = |filters: &[Filter]| {
            let document = filters.last().and_then(|(index, _)| documents.get(*index));
            document.is_some_and(|document| {
                let nodes: Vec<_> = filters.iter().map(|(_, node)| Arc::clone(node)).collect();
                expression.clone().and(&nodes).impossible(&self.budget(document)).is_some()
            })
        };
        let filters: Vec<Filter> = filters.cloned().collect();
        if !is_emptied(&filters) {
            return None;
        }
        let mut prefixes = (1..=filters.len()).filter_map(|len| filters.get(..len));
        let first = prefixes.find(|prefix| is_emptied(prefix)).unwrap_or(&filters);
        first.last().map(|(index, _)| (*index, id.to_owned()))
    }

    pub(super) fn report_emptied(&mut self, documents: &[Document], emptied: &[Emptied]) {
        for (index, rule) in emptied {
            let Some(document) = documents.get(*index) else { continue };
            let message =
                format!("the filter leaves no event for `{}`", sigma::yaml::printable(rule));
            let hint = "the filter excludes all events of the rule";
            self.error(document, document.at, message, Some(hint.to_owned()));
        }
    }
}
