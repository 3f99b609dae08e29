//! Parses Sigma documents with the extension under the key `keepwatch`.
//!
//! Parsing is strict: a key, modifier, field or value that cannot have its intended effect is an
//! error with its position and, if possible, a hint. The result is a tree with the whole document
//! ([`Document`]); the module `ruleset` resolves references between rules.

mod ast;
mod compile;
mod condition;
mod correlation;
mod detection;
mod extension;
mod filter;
mod header;
mod members;
mod modifier;
mod plurals;
mod possible;
mod suppression;
pub(crate) mod yaml;

use std::sync::Arc;

pub use ast::{
    Alias, Block, Body, Condition, Correlation, CorrelationKind, Detection, Document, Filter,
    FilterRules, Header, Item, Logsource, Modifier, Names, Quantifier, Scalar, Selection, Value,
};
pub(crate) use compile::{expression, expression_within};
pub use extension::{FORGET_AFTER, KEEP_ALIVE, LEARNING, MAX_DURATION};
pub(crate) use possible::words as possible_values;
pub(crate) use suppression::suppressions;
pub use yaml::{DEPTH_MAX, EXPANDED_LEN_MAX, NODES_MAX, TEXT_LEN_MAX};

use crate::budget::{Budget, COMPILATION_STEPS_MAX};
use crate::error::{Errors, Position};
use crate::ruleset::LoadOptions;
use members::Members;

/// The common context of all documents of a file.
struct Context<'c> {
    /// The values of placeholders.
    options: &'c LoadOptions,
    /// Budget for compiling rules. When it is spent, the file is rejected.
    compilation: Budget,
    /// Budget for the search for rules that cannot match. When it is spent, the search ends.
    examination: Budget,
}

impl<'c> Context<'c> {
    const fn new(options: &'c LoadOptions) -> Self {
        let (compilation, examination) = (Budget::of_compilation(), Budget::of_examination());
        Self { options, compilation, examination }
    }
}

/// Parses the documents of a file. Skips documents with errors and adds the errors to `errors`.
pub(crate) fn read(
    file: &str,
    text: &str,
    options: &LoadOptions,
    errors: &mut Errors,
) -> Vec<Document> {
    let context = &Context::new(options);
    let roots = yaml::parse(text, errors);
    let starts: Vec<usize> = roots.iter().map(|root| root.at.line).collect();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut documents = Vec::new();
    let is_nothing = |root: &yaml::Node| matches!(root.value, yaml::Value::Null);
    if errors.is_empty() && roots.iter().all(is_nothing) {
        let hint = "a rule has a `title` and a `detection`; `keepwatch rules new` begins one";
        errors.hint(Position { line: 1, column: 1 }, "there is no rule in it", hint);
    }
    for (index, root) in roots.iter().enumerate() {
        if is_nothing(root) {
            continue;
        }
        if errors.is_full() || context.compilation.is_spent() {
            break;
        }
        let from = if index == 0 { 0 } else { root.at.line.saturating_sub(1) };
        let to = starts.get(index + 1).map_or(lines.len(), |line| line.saturating_sub(1));
        let document_text: String = lines.get(from..to).unwrap_or_default().concat();
        let document_text = document_text.trim_end().trim_end_matches("---").trim_end();
        let mut document_errors = Errors::of(file);
        let document =
            document(file, root, (document_text.into(), from + 1), context, &mut document_errors);
        if document_errors.is_empty() {
            documents.extend(document);
        } else {
            errors.append(document_errors);
        }
    }
    documents
}

fn document(
    file: &str,
    root: &yaml::Node,
    (text, first_line): (Arc<str>, usize),
    context: &Context<'_>,
    errors: &mut Errors,
) -> Option<Document> {
    let mut members = Members::of(root, "a rule", errors)?;
    if let Some((at, _)) = members.take_with_key("action") {
        errors.hint(
            at,
            "`action` documents are not supported: they were removed from Sigma",
            "write each rule out, or use a `filter` for what they have in common",
        );
        return None;
    }
    let header = header::read(&mut members, errors);
    let extension = members.take_with_key("keepwatch");
    let body = body(&mut members, context, errors);
    members.finish("a rule", errors);
    let extension =
        extension.and_then(|(at, node)| extension::read(at, node, body.as_ref(), errors));
    let extension::Extension { signal, supersedes, cases_at } = extension.unwrap_or_default();
    let header = Header { signal, supersedes, cases_at, ..header };
    let (file, at, body) = (file.to_owned(), root.at, body?);
    Some(Document { file, is_confined: false, at, text, first_line, header, body })
}

fn body(members: &mut Members<'_>, context: &Context<'_>, errors: &mut Errors) -> Option<Body> {
    let rule = members.take_with_key("detection");
    let correlation = members.take_with_key("correlation");
    let filter = members.take_with_key("filter");
    let second = match (rule, correlation, filter) {
        (Some(_), Some((at, _)), _) | (_, Some(_), Some((at, _))) | (Some(_), _, Some((at, _))) => {
            Some(at)
        }
        _ => None,
    };
    if let Some(at) = second {
        errors.hint(
            at,
            "a document is one of detection, correlation and filter",
            "put each into a document of its own, with `---` between them",
        );
        return None;
    }
    if let Some((_, node)) = rule {
        detection::read(node, "detection", context, errors).map(Body::Rule)
    } else if let Some((_, node)) = correlation {
        correlation::read(node, errors).map(Body::Correlation)
    } else if let Some((_, node)) = filter {
        filter::read(node, context, errors).map(Body::Filter)
    } else {
        errors.hint(
            members.at,
            "the rule has no detection",
            "add one of `detection`, `correlation` and `filter`",
        );
        None
    }
}

/// Parses selections and a condition outside a rule; without a condition, all selections must
/// match.
pub(crate) fn event_matcher(
    text: &str,
    options: &LoadOptions,
    errors: &mut Errors,
) -> Option<Detection> {
    let context = &Context::new(options);
    let roots = yaml::parse(text, errors);
    let [root] = roots.as_slice() else {
        if errors.is_empty() {
            let message = "one mapping of selections is expected";
            errors.hint(Position { line: 1, column: 1 }, message, "write `selection: {…}`");
        }
        return None;
    };
    let all = yaml::Node::leaf(root.at, yaml::Value::Text("all of them".to_owned()));
    let mut members = Members::of(root, "the selections", errors)?;
    let condition = members.take("condition").unwrap_or(&all);
    detection::of_members(members, Some(condition), root.at, context, errors)
}

/// Reports that compiling the rules takes more than the budget.
fn too_much_work(at: Position, errors: &mut Errors) {
    let message = format!("compiling the rules takes more than {COMPILATION_STEPS_MAX} steps");
    let hint = "use fewer or shorter regular expressions, or fewer selections, or split the file";
    errors.hint(at, message, hint);
}
