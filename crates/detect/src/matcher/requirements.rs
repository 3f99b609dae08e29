//! Requirements: for some fields, the words that an event must have to match a condition.
//!
//! The index skips a rule for an event without one of these words. A set may be too large but never
//! too small: if nothing is known about a field, every word is possible.

use std::collections::BTreeSet;

use event::Stage;

use super::{Case, Node, Test};
use crate::budget::Budget;
use crate::field::{Path, RefPath};

/// A field by which rules are indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    Verb,
    Resource,
    ApiGroup,
    Subresource,
    Stage,
}

impl Dimension {
    pub(crate) const ALL: [Self; 5] =
        [Self::Verb, Self::Resource, Self::ApiGroup, Self::Subresource, Self::Stage];

    /// The path of the field.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Verb => "verb",
            Self::Resource => "objectRef.resource",
            Self::ApiGroup => "objectRef.apiGroup",
            Self::Subresource => "objectRef.subresource",
            Self::Stage => "stage",
        }
    }

    const fn is_path(self, path: &Path) -> bool {
        match self {
            Self::Verb => matches!(path, Path::Verb),
            Self::Resource => matches!(path, Path::ObjectRef(RefPath::Resource)),
            Self::ApiGroup => matches!(path, Path::ObjectRef(RefPath::ApiGroup)),
            Self::Subresource => matches!(path, Path::ObjectRef(RefPath::Subresource)),
            Self::Stage => matches!(path, Path::Stage),
        }
    }
}

/// For each dimension, the possible words in lower case; `None` for any word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirements {
    words: [Option<BTreeSet<String>>; 5],
}

/// Maximum length of an indexed word, in bytes.
pub(crate) const WORD_LEN_MAX: usize = 64;

impl Requirements {
    /// The requirements of a condition. When the budget is spent, exclusions are ignored.
    pub(crate) fn of(node: &Node, budget: &Budget) -> Self {
        Self { words: Dimension::ALL.map(|dimension| words(node, dimension, budget)) }
    }

    /// Restricts the stages of a condition that matches a request once: to the stages that complete
    /// the request, and the first stage, which events of the admission webhook have.
    pub(crate) fn once_a_request(mut self) -> Self {
        if let Some(words) = self.words.get_mut(Dimension::Stage as usize) {
            let stages = [Stage::RequestReceived, Stage::ResponseComplete, Stage::Panic];
            *words = Some(stages.map(|stage| stage.as_str().to_ascii_lowercase()).into());
        }
        self
    }

    /// A field without a possible word, if any: no event can match the condition.
    pub(crate) fn impossible(&self) -> Option<Dimension> {
        let is_empty =
            |dimension: &Dimension| self.of_dimension(*dimension).is_some_and(BTreeSet::is_empty);
        Dimension::ALL.into_iter().find(is_empty)
    }

    pub(crate) fn of_dimension(&self, dimension: Dimension) -> Option<&BTreeSet<String>> {
        self.words.get(dimension as usize).and_then(Option::as_ref)
    }
}

fn words(node: &Node, dimension: Dimension, budget: &Budget) -> Option<BTreeSet<String>> {
    match node {
        // These fields have one value, so intersect the sets of all parts.
        Node::All(nodes) => {
            let sets = nodes.iter().filter_map(|node| words(node, dimension, budget));
            let mut left: BTreeSet<String> =
                sets.reduce(|all, other| all.intersection(&other).cloned().collect())?;
            for node in nodes {
                exclude(node, dimension, budget, &mut left);
            }
            Some(left)
        }
        Node::Any(nodes) => {
            let mut all = BTreeSet::new();
            for node in nodes {
                // `append` would copy the larger set each time.
                all.extend(words(node, dimension, budget)?);
            }
            Some(all)
        }
        Node::Test(field, Test::Matches(pattern)) if dimension.is_path(field.path()) => {
            let word = pattern.literal()?;
            let is_word = word.is_ascii() && !word.is_empty() && word.len() <= WORD_LEN_MAX;
            is_word.then(|| BTreeSet::from([word.to_ascii_lowercase()]))
        }
        Node::Shared(node) => words(node, dimension, budget),
        Node::Test(..) | Node::Not(_) => None,
    }
}

/// Removes the words that a required part excludes.
fn exclude(node: &Node, dimension: Dimension, budget: &Budget, words: &mut BTreeSet<String>) {
    match node {
        Node::All(nodes) => {
            for node in nodes {
                exclude(node, dimension, budget, words);
            }
        }
        Node::Shared(node) => exclude(node, dimension, budget, words),
        Node::Not(node) => {
            words.retain(|word| budget.is_spent() || !is_met_by(node, dimension, budget, word));
        }
        Node::Any(_) | Node::Test(..) => {}
    }
}

/// Whether every event with this word matches the condition.
fn is_met_by(node: &Node, dimension: Dimension, budget: &Budget, word: &str) -> bool {
    if !budget.spend(1) {
        return false;
    }
    let is_met = |node: &Node| is_met_by(node, dimension, budget, word);
    match node {
        Node::All(nodes) => nodes.iter().all(is_met),
        Node::Any(nodes) => nodes.iter().any(is_met),
        Node::Shared(node) => is_met(node),
        Node::Test(field, Test::Matches(pattern)) => {
            dimension.is_path(field.path())
                && budget.spend(pattern.steps(word.len()))
                && pattern.case() == Case::Insensitive
                && pattern.matches(word)
        }
        Node::Test(..) | Node::Not(_) => false,
    }
}
