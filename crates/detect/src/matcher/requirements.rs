//! What every event that meets a condition has in common: the words by which rules are indexed.
//!
//! An event without one of these words need not be tried against the rule. The sets are only ever too
//! large: where nothing is known, all words are possible.

use std::collections::BTreeSet;

use event::Stage;

use super::{Case, Node, Test};
use crate::field::{Path, RefPath};

/// Fields that rules are indexed by.
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

    /// The field, as rules name it.
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

/// For each dimension the possible words in lower case; `None` for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirements {
    words: [Option<BTreeSet<String>>; 5],
}

/// Words longer than this are not indexed, in bytes.
pub(crate) const WORD_LEN_MAX: usize = 64;

impl Requirements {
    pub(crate) fn of(node: &Node) -> Self {
        Self { words: Dimension::ALL.map(|dimension| words(node, dimension)) }
    }

    /// The same with the stages at which a request is over: once in the life of each.
    pub(crate) fn once_a_request(mut self) -> Self {
        if let Some(words) = self.words.get_mut(Dimension::Stage as usize) {
            let stages = [Stage::ResponseComplete, Stage::Panic];
            *words = Some(stages.map(|stage| stage.as_str().to_ascii_lowercase()).into());
        }
        self
    }

    /// The field for which no word is left, if there is one: no event meets the condition.
    pub(crate) fn impossible(&self) -> Option<Dimension> {
        let is_empty =
            |dimension: &Dimension| self.of_dimension(*dimension).is_some_and(BTreeSet::is_empty);
        Dimension::ALL.into_iter().find(is_empty)
    }

    pub(crate) fn of_dimension(&self, dimension: Dimension) -> Option<&BTreeSet<String>> {
        self.words.get(dimension as usize).and_then(Option::as_ref)
    }
}

fn words(node: &Node, dimension: Dimension) -> Option<BTreeSet<String>> {
    match node {
        // These fields have one value: it must be in the set of each part.
        Node::All(nodes) => {
            let sets = nodes.iter().filter_map(|node| words(node, dimension));
            let mut left: BTreeSet<String> =
                sets.reduce(|all, other| all.intersection(&other).cloned().collect())?;
            for node in nodes {
                exclude(node, dimension, &mut left);
            }
            Some(left)
        }
        Node::Any(nodes) => {
            let mut all = BTreeSet::new();
            for node in nodes {
                all.append(&mut words(node, dimension)?);
            }
            Some(all)
        }
        Node::Test(field, Test::Matches(pattern)) if dimension.is_path(field.path()) => {
            let word = pattern.literal()?;
            let is_word = word.is_ascii() && !word.is_empty() && word.len() <= WORD_LEN_MAX;
            is_word.then(|| BTreeSet::from([word.to_ascii_lowercase()]))
        }
        Node::Shared(node) => words(node, dimension),
        Node::Test(..) | Node::Not(_) => None,
    }
}

/// Takes out the words that do not go together with a part that must hold.
fn exclude(node: &Node, dimension: Dimension, words: &mut BTreeSet<String>) {
    match node {
        Node::All(nodes) => {
            for node in nodes {
                exclude(node, dimension, words);
            }
        }
        Node::Shared(node) => exclude(node, dimension, words),
        Node::Not(node) => words.retain(|word| !is_met_by(node, dimension, word)),
        Node::Any(_) | Node::Test(..) => {}
    }
}

/// Whether every event with this word meets the condition, whatever else is in it.
fn is_met_by(node: &Node, dimension: Dimension, word: &str) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|node| is_met_by(node, dimension, word)),
        Node::Any(nodes) => nodes.iter().any(|node| is_met_by(node, dimension, word)),
        Node::Shared(node) => is_met_by(node, dimension, word),
        Node::Test(field, Test::Matches(pattern)) => {
            dimension.is_path(field.path())
                && pattern.case() == Case::Ignored
                && pattern.matches(word)
        }
        Node::Test(..) | Node::Not(_) => false,
    }
}
