//! Parses objects of the kind `Suppression` in a file, for exports: one, several, or a list.
//!
//! Deliberately absent: whether the named rules exist, and the fields that the server adds.

use event::Timestamp;

use super::members::{Members, text, texts};
use super::yaml::{self, Node, Value};
use super::{Context, detection, expression};
use crate::error::{Errors, Position, RuleError};
use crate::export::Suppression;
use crate::ruleset::{Document, LoadOptions};

/// The value of `spec.rules` that means every rule.
const EVERY_RULE: &str = "*";

/// Parses the suppressions of a file.
pub(crate) fn suppressions(
    document: &Document,
    options: &LoadOptions,
) -> Result<Vec<Suppression>, Vec<RuleError>> {
    let context = &Context::new(options);
    let mut errors = Errors::of(&document.file);
    let mut suppressions = Vec::new();
    for root in yaml::parse(&document.text, &mut errors) {
        read(&root, context, &mut errors, &mut suppressions);
    }
    if suppressions.is_empty() && errors.is_empty() {
        let hint = "`kubectl get suppressions -o yaml` writes the existing ones";
        errors.hint(Position { line: 1, column: 1 }, "the file contains no Suppression", hint);
    }
    if errors.is_empty() { Ok(suppressions) } else { Err(errors.into_vec()) }
}

/// Parses one object, or each object of a list.
fn read(
    root: &Node,
    context: &Context<'_>,
    errors: &mut Errors,
    suppressions: &mut Vec<Suppression>,
) {
    let Some(mut members) = Members::of(root, "a Suppression", errors) else { return };
    if let Some(Node { value: Value::List(items), .. }) = members.take("items") {
        for item in items {
            suppressions.extend(object(item, context, errors));
        }
        return;
    }
    suppressions.extend(object(root, context, errors));
}

fn object(node: &Node, context: &Context<'_>, errors: &mut Errors) -> Option<Suppression> {
    let mut members = Members::of(node, "a Suppression", errors)?;
    let kind = members.text("kind", errors).unwrap_or_default();
    if kind != "Suppression" {
        errors.add(node.at, format!("the kind is {kind:?}, not Suppression"));
        return None;
    }
    let mut missing = |what: &str| {
        errors.add(node.at, format!("`{what}` is missing"));
        None
    };
    let Some(metadata) = members.take("metadata") else { return missing("metadata") };
    let Some(spec) = members.take("spec") else { return missing("spec") };
    let name = Members::of(metadata, "metadata", errors)?.text("name", errors)?;
    let mut spec = Members::of(spec, "spec", errors)?;
    let rules = spec.take("rules").map(|node| texts(node, "rules", errors)).unwrap_or_default();
    let expires = spec.take("expiresAt")?;
    let expires_at = text(expires, "expiresAt", errors)?;
    let Ok(expires_at) = Timestamp::parse(&expires_at) else {
        errors.add(expires.at, "`expiresAt` must be a time, as RFC 3339");
        return None;
    };
    let Some(events) = spec.take("match") else {
        errors.add(spec.at, "`match` is missing");
        return None;
    };
    let all = Node::leaf(events.at, Value::Text("all of them".to_owned()));
    let mut selections = Members::of(events, "the selections", errors)?;
    let condition = selections.take("condition").unwrap_or(&all);
    let detection = detection::of_members(selections, Some(condition), events.at, context, errors)?;
    let is_every = rules.iter().any(|rule| rule == EVERY_RULE);
    Some(Suppression {
        name,
        rules: if is_every { Vec::new() } else { rules },
        events: expression(&detection),
        expires_at,
        reason: spec.text("reason", errors).unwrap_or_default(),
        ticket: spec.text("ticket", errors).unwrap_or_default(),
    })
}
