//! Rules that belong together: references between documents are resolved, and an event is tried only
//! against rules that it could match.
//!
//! Immutable once loaded. Deliberately absent: files and folders (the caller reads them), and what
//! happens when a rule matches (the engine).

mod index;
mod options;
mod resolve;

pub use options::{K10_DOMAIN, K10_NAMESPACE, LoadOptions};

use std::collections::BTreeMap;
use std::sync::Arc;

use event::View;
use event::term::RecordFields;

use crate::error::{ERRORS_MAX, Errors, RuleError};
use crate::fields::Fields;
use crate::rule::{Body, Rule};
use crate::sigma;
use index::Index;

/// Most rules of a set.
pub const RULES_MAX: usize = 10_000;
/// Most filters of a set.
pub const FILTERS_MAX: usize = 1000;

/// A text with rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// File, or name of an API object: errors name it.
    pub file: String,
    /// YAML, one or several documents.
    pub text: String,
}

impl Document {
    /// A text with its name.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into() }
    }
}

/// Rules, ready to be evaluated.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    by_name: BTreeMap<String, usize>,
    index: Index,
    options: LoadOptions,
    /// Unless it is the usual one.
    k10_namespace: Option<Arc<str>>,
}

impl RuleSet {
    /// Reads documents and resolves what they refer to. All mistakes are reported, up to a bound.
    pub fn load(documents: &[Document], options: &LoadOptions) -> Result<Self, Vec<RuleError>> {
        let (rules, errors) = Self::load_lenient(documents, options);
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// Reads documents; those with mistakes, and those that refer to them, are left out.
    pub fn load_lenient(documents: &[Document], options: &LoadOptions) -> (Self, Vec<RuleError>) {
        let mut errors = Vec::new();
        let mut parsed = Vec::new();
        for document in documents {
            let mut found = Errors::of(&document.file);
            parsed.append(&mut sigma::read(&document.file, &document.text, options, &mut found));
            errors.append(&mut found.into_vec());
        }
        let resolved = resolve::resolve(parsed, &mut errors);
        errors.truncate(ERRORS_MAX);
        let index = Index::of(&resolved.rules);
        let resolve::Resolved { rules, by_name } = resolved;
        let is_usual = options.k10_namespace == K10_NAMESPACE;
        let k10_namespace = (!is_usual).then(|| Arc::from(options.k10_namespace.as_str()));
        let options = options.clone();
        (Self { rules, by_name, index, options, k10_namespace }, errors)
    }

    /// The documents of a text as they are read, for those who want to see what a rule consists of.
    /// A set does not keep them: a server has no use for them, and they are larger than the rules.
    pub fn read(
        document: &Document,
        options: &LoadOptions,
    ) -> Result<Vec<sigma::Document>, Vec<RuleError>> {
        let mut errors = Errors::of(&document.file);
        let documents = sigma::read(&document.file, &document.text, options, &mut errors);
        let errors = errors.into_vec();
        if errors.is_empty() { Ok(documents) } else { Err(errors) }
    }

    /// An event of a cluster, as these rules look at it.
    pub fn fields<'a>(&self, event: &'a View<'a>, cluster: &'a str) -> Fields<'a> {
        let fields = Fields::new(event).with_cluster(cluster);
        match &self.k10_namespace {
            Some(namespace) => fields.with_k10_namespace(Arc::clone(namespace)),
            None => fields,
        }
    }

    /// What placeholders stand for.
    pub const fn options(&self) -> &LoadOptions {
        &self.options
    }

    /// All rules; the index in the slice is what a rule is called elsewhere.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The index of the rule with that id or name.
    pub fn find(&self, id_or_name: &str) -> Option<usize> {
        self.by_name.get(id_or_name).copied()
    }

    /// Calls `found` with the index of each rule on single events that the event meets. A dry run
    /// meets only rules that ask for the field `dryRun`; an event of a request that is not over meets
    /// only rules that ask for the field `stage`.
    pub fn for_each_match(&self, fields: &Fields<'_>, mut found: impl FnMut(usize)) {
        self.index.for_each_candidate(fields, |candidate| {
            if self.is_met(candidate, fields) {
                found(candidate);
            }
        });
    }

    /// Whether the event in a record could match any rule, as far as its verb, object and stage tell.
    /// Far cheaper than to try the rules on it.
    pub fn may_match(&self, fields: &RecordFields<'_>) -> bool {
        self.index.has_candidate(fields)
    }

    /// Tries the rules on an event as [`Self::for_each_match`] does, and calls `took` with the index
    /// of each rule that the event could match and the nanoseconds that it took. `nanoseconds` is a
    /// stopwatch of the caller's.
    pub fn measure(
        &self,
        fields: &Fields<'_>,
        nanoseconds: impl Fn() -> u64,
        mut took: impl FnMut(usize, u64),
    ) {
        self.index.for_each_candidate(fields, |candidate| {
            let before = nanoseconds();
            std::hint::black_box(self.is_met(candidate, fields));
            took(candidate, nanoseconds().saturating_sub(before));
        });
    }

    fn is_met(&self, candidate: usize, fields: &Fields<'_>) -> bool {
        let Some(Rule { body: Body::Detection(expression), .. }) = self.rules.get(candidate) else {
            return false;
        };
        // The dry run last, because the answer may be in a body.
        expression.matches(fields) && (self.index.wants_dry_runs(candidate) || !fields.is_dry_run())
    }
}
