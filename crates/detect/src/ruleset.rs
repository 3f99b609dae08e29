//! A rule set: resolves references between documents and evaluates an event only against the rules
//! that it could match.
//!
//! A rule set is immutable. Deliberately absent: files and folders (the caller reads them), and the
//! handling of matches (the engine).

mod index;
mod options;
mod resolve;

pub use options::{K10_DOMAIN, K10_NAMESPACE, LoadOptions};

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use event::EventRef;
use event::term::RecordFields;

use crate::error::{ERRORS_MAX, Errors, RuleError};
use crate::fields::Fields;
use crate::rule::{Body, Guide, Rule};
use crate::sigma;
use index::Index;

/// Maximum number of rules in a set.
pub const RULES_MAX: usize = 10_000;
/// Maximum number of filters in a set.
pub const FILTERS_MAX: usize = 1000;

/// A named YAML text with rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// File name, or name of an API object, for error messages.
    pub file: String,
    /// One or several YAML documents.
    pub text: Cow<'static, str>,
    /// Whether its rules and filters affect only the rules in it.
    pub is_confined: bool,
}

impl Document {
    /// Creates a document from its name and text.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: Cow::Owned(text.into()), is_confined: false }
    }

    /// Creates a document from its name and a text that is a part of the program.
    pub(crate) fn builtin(file: &str, text: &'static str) -> Self {
        Self { file: file.to_owned(), text: Cow::Borrowed(text), is_confined: false }
    }

    /// Creates a document that can add signals, but cannot remove signals of the rules of other
    /// documents: `rules: any` of a filter means the rules of this document, and a rule supersedes
    /// only these.
    pub fn confined(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { is_confined: true, ..Self::new(name, text) }
    }
}

/// Validated rules with an index for evaluation.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    by_name: BTreeMap<String, usize>,
    index: Index,
    options: LoadOptions,
    /// `None` for the default namespace.
    k10_namespace: Option<Arc<str>>,
}

impl RuleSet {
    /// Reads documents and resolves their references. Reports all errors, up to a bound.
    pub fn load(documents: &[Document], options: &LoadOptions) -> Result<Self, Vec<RuleError>> {
        let (rules, mut errors, unknown_superseded) = Self::read_all(documents, options);
        errors.extend(unknown_superseded);
        errors.truncate(ERRORS_MAX);
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// Reads documents. Skips documents with errors, and documents that refer to these. The
    /// documents may be a part of all rules: a rule may supersede a rule elsewhere.
    pub fn load_lenient(documents: &[Document], options: &LoadOptions) -> (Self, Vec<RuleError>) {
        let (rules, errors, _) = Self::read_all(documents, options);
        (rules, errors)
    }

    /// Reads documents. Returns the rules of valid documents, the errors, and the names of
    /// superseded rules that no document defines.
    fn read_all(
        documents: &[Document],
        options: &LoadOptions,
    ) -> (Self, Vec<RuleError>, Vec<RuleError>) {
        let mut errors = Vec::new();
        let mut parsed = Vec::new();
        for document in documents {
            let mut document_errors = Errors::of(&document.file);
            let mut read =
                sigma::read(&document.file, &document.text, options, &mut document_errors);
            for part in &mut read {
                part.is_confined = document.is_confined;
            }
            parsed.append(&mut read);
            errors.append(&mut document_errors.into_vec());
        }
        let resolved = resolve::resolve(parsed, &mut errors);
        errors.truncate(ERRORS_MAX);
        let index = Index::of(&resolved.rules);
        let resolve::Resolved { rules, by_name, unknown_superseded } = resolved;
        let is_usual = options.k10_namespace == K10_NAMESPACE;
        let k10_namespace = (!is_usual).then(|| Arc::from(options.k10_namespace.as_str()));
        let options = options.clone();
        (Self { rules, by_name, index, options, k10_namespace }, errors, unknown_superseded)
    }

    /// Reads the documents of a text without resolving references, to inspect the source of rules.
    /// A rule set does not retain them, because a server does not need them and they are larger
    /// than the rules.
    pub fn read(
        document: &Document,
        options: &LoadOptions,
    ) -> Result<Vec<sigma::Document>, Vec<RuleError>> {
        let mut errors = Errors::of(&document.file);
        let documents = sigma::read(&document.file, &document.text, options, &mut errors);
        let errors = errors.into_vec();
        if errors.is_empty() { Ok(documents) } else { Err(errors) }
    }

    /// Discards the texts that only exports, documentation and commands need. The engine does not
    /// read them, and they are the largest part of most rules.
    #[must_use]
    pub fn without_documentation(mut self) -> Self {
        for rule in &mut self.rules {
            rule.text = Arc::default();
            rule.description = String::new();
            rule.author = String::new();
            rule.false_positives = Vec::new();
            rule.signal.guide = Guide::default();
        }
        self
    }

    /// The fields of an event of a cluster, as these rules read them.
    pub fn fields<'a>(&self, event: &'a EventRef<'a>, cluster: &'a str) -> Fields<'a> {
        let fields = Fields::new(event).with_cluster(cluster);
        match &self.k10_namespace {
            Some(namespace) => fields.with_k10_namespace(Arc::clone(namespace)),
            None => fields,
        }
    }

    /// The values of placeholders.
    pub const fn options(&self) -> &LoadOptions {
        &self.options
    }

    /// All rules. Other parts refer to a rule by its index in this slice.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The index of the rule with that id or name, if any.
    pub fn find(&self, id_or_name: &str) -> Option<usize> {
        self.by_name.get(id_or_name).copied()
    }

    /// Calls `on_match` with the index of each detection rule that matches the event. A dry run
    /// matches only rules with the field `dryRun`; an event before the last stage of a request
    /// matches only rules with the field `stage`.
    pub fn for_each_match(&self, fields: &Fields<'_>, mut on_match: impl FnMut(usize)) {
        self.index.for_each_candidate(fields, |candidate| {
            if self.is_met(candidate, fields) {
                on_match(candidate);
            }
        });
    }

    /// Whether the event in a record could match any rule, according to its verb, object and stage.
    /// Much cheaper than evaluating the rules.
    pub fn may_match(&self, fields: &RecordFields<'_>) -> bool {
        self.index.has_candidate(fields)
    }

    /// Evaluates the rules like [`Self::for_each_match`], and calls `on_evaluated` with the index
    /// of each rule that the event could match and the nanoseconds of its evaluation. `nanoseconds`
    /// is the caller's monotonic clock.
    pub fn measure(
        &self,
        fields: &Fields<'_>,
        nanoseconds: impl Fn() -> u64,
        mut on_evaluated: impl FnMut(usize, u64),
    ) {
        self.index.for_each_candidate(fields, |candidate| {
            let before = nanoseconds();
            std::hint::black_box(self.is_met(candidate, fields));
            on_evaluated(candidate, nanoseconds().saturating_sub(before));
        });
    }

    fn is_met(&self, candidate: usize, fields: &Fields<'_>) -> bool {
        let Some(Rule { body: Body::Detection(expression), .. }) = self.rules.get(candidate) else {
            return false;
        };
        if !fields.is_last() && !self.index.selects_stages(candidate) {
            return false;
        }
        // Check for a dry run last, because it may require reading a body.
        expression.matches(fields) && (self.index.wants_dry_runs(candidate) || !fields.is_dry_run())
    }
}
