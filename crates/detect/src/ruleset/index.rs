//! An index of rules by the words that a match requires.
//!
//! For each indexed field, a word maps to the set of rules that can match with it. The sets are
//! bitmaps, so that a few instructions exclude 64 rules at a time. An event costs one look-up per
//! field, independent of the number of rules, and no allocation.

use std::collections::HashMap;

use event::term::RecordFields;

use crate::fields::Fields;
use crate::matcher::{Dimension, Expression, WORD_LEN_MAX};
use crate::rule::{Body, Rule};

const DIMENSIONS: usize = Dimension::ALL.len();

/// The index of a rule set.
#[derive(Debug, Default)]
pub(super) struct Index {
    dimensions: [Words; DIMENSIONS],
    wants_dry_runs: Vec<bool>,
    selects_stages: Vec<bool>,
}

/// For one field, the rules that can match with each word.
#[derive(Debug, Default)]
struct Words {
    by_word: HashMap<Box<[u8]>, Box<[u64]>>,
    /// Rules that can match with any word, used for words without an entry.
    any: Box<[u64]>,
}

impl Index {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let requirements: Vec<_> = rules
            .iter()
            .map(|rule| match &rule.body {
                // A request matches once, unless the rule has the field `stage`.
                Body::Detection(expression) if expression.names_stage() => {
                    Some(expression.requirements())
                }
                Body::Detection(expression) => Some(expression.requirements().once_a_request()),
                Body::Correlation(_) => None,
            })
            .collect();
        let dimensions = Dimension::ALL.map(|dimension| {
            let mut any = vec![0; rules.len().div_ceil(64)];
            for (rule, requirements) in requirements.iter().enumerate() {
                if requirements.as_ref().is_some_and(|requirements_of_rule| {
                    requirements_of_rule.of_dimension(dimension).is_none()
                }) {
                    set(&mut any, rule);
                }
            }
            let mut by_word: HashMap<Box<[u8]>, Box<[u64]>> = HashMap::new();
            for (rule, requirements) in requirements.iter().enumerate() {
                let words = requirements
                    .as_ref()
                    .and_then(|requirements_of_rule| requirements_of_rule.of_dimension(dimension));
                for word in words.into_iter().flatten() {
                    let bits = by_word
                        .entry(word.as_bytes().into())
                        .or_insert_with(|| any.clone().into_boxed_slice());
                    set(bits, rule);
                }
            }
            Words { by_word, any: any.into_boxed_slice() }
        });
        let each = |names: fn(&Expression) -> bool| {
            let names = |rule: &Rule| matches!(&rule.body, Body::Detection(rule) if names(rule));
            rules.iter().map(names).collect()
        };
        let wants_dry_runs = each(Expression::names_dry_run);
        Self { dimensions, wants_dry_runs, selects_stages: each(Expression::names_stage) }
    }

    /// Whether the rule tests the field `stage`.
    pub(super) fn selects_stages(&self, rule: usize) -> bool {
        self.selects_stages.get(rule).copied().unwrap_or_default()
    }

    pub(super) fn wants_dry_runs(&self, rule: usize) -> bool {
        self.wants_dry_runs.get(rule).copied().unwrap_or_default()
    }

    /// Calls `try_rule` with each rule that the event could match, in order.
    pub(super) fn for_each_candidate(&self, fields: &Fields<'_>, mut try_rule: impl FnMut(usize)) {
        let event = fields.event();
        let (resource, group, subresource) =
            fields.object_ref().map_or(("", "", ""), |reference| {
                (reference.resource, reference.api_group, reference.subresource)
            });
        let words = [event.verb(), resource, group, subresource, event.stage().as_str()];
        for (word_index, mut bits) in self.candidates(words.map(str::as_bytes)).enumerate() {
            while bits != 0 {
                try_rule(word_index * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }

    /// Whether the event in a record could match any rule.
    pub(super) fn has_candidate(&self, fields: &RecordFields<'_>) -> bool {
        let RecordFields { verb, resource, group, subresource, stage, .. } = *fields;
        let words = [verb, resource, group, subresource, stage.as_str().as_bytes()];
        self.candidates(words).any(|bits| bits != 0)
    }

    /// The bitmap of the rules that an event with these words could match, 64 rules per item.
    fn candidates(&self, words: [&[u8]; DIMENSIONS]) -> impl Iterator<Item = u64> + use<'_> {
        let mut sets: [&[u64]; DIMENSIONS] = [&[]; DIMENSIONS];
        for ((set, words), word) in sets.iter_mut().zip(&self.dimensions).zip(words) {
            *set = words.of(word);
        }
        let [first, rest @ ..] = sets;
        first.iter().enumerate().map(move |(word_index, bits)| {
            let both =
                |bits: u64, set: &&[u64]| bits & set.get(word_index).copied().unwrap_or_default();
            rest.iter().fold(*bits, both)
        })
    }
}

impl Words {
    fn of(&self, word: &[u8]) -> &[u64] {
        if self.by_word.is_empty() || word.len() > WORD_LEN_MAX {
            return &self.any;
        }
        let mut lower = [0; WORD_LEN_MAX];
        for (to, from) in lower.iter_mut().zip(word) {
            *to = from.to_ascii_lowercase();
        }
        let lower = lower.get(..word.len()).unwrap_or_default();
        self.by_word.get(lower).unwrap_or(&self.any)
    }
}

fn set(bits: &mut [u64], index: usize) {
    if let Some(word) = bits.get_mut(index / 64) {
        *word |= 1 << (index % 64);
    }
}
