//! Parses filters: conditions that are added to rules.

use super::Context;
use super::ast::{Filter, FilterRules};
use super::detection;
use super::members::{Members, texts_with_positions};
use super::yaml::{Node, Value};
use crate::error::Errors;

pub(super) fn read(node: &Node, context: &Context<'_>, errors: &mut Errors) -> Option<Filter> {
    let mut members = Members::of(node, "filter", errors)?;
    let at = members.at;
    let rules = match members.take("rules") {
        Some(Node { value: Value::Text(word), .. }) if word == "any" => FilterRules::Any,
        Some(node) => FilterRules::Named(texts_with_positions(node, "rules", errors)),
        None => FilterRules::Named(Vec::new()),
    };
    if matches!(&rules, FilterRules::Named(names) if names.is_empty()) {
        errors.hint(at, "the filter names no rules", "add `rules:` with ids or names, or `any`");
    }
    let condition = members.take("condition");
    let detection = detection::of_members(members, condition, at, context, errors)?;
    Some(Filter { rules, detection })
}
