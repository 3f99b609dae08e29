//! A rule as a resource of Datadog's Terraform provider.

use super::rule::{Aggregation, Options, Query, Rule};
use crate::export::hcl::{Block, list, text};

/// `datadog_security_monitoring_rule`, named by the rule's id.
pub(super) fn resource(id: &str, rule: &Rule) -> String {
    let name = id.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let mut block = Block::resource("datadog_security_monitoring_rule", &name);
    block.set("name", text(&rule.name));
    block.set("type", text(word(&rule.r#type)));
    block.set("enabled", rule.is_enabled.to_string());
    block.set("has_extended_title", rule.has_extended_title.to_string());
    block.long_text("message", &rule.message);
    block.set("tags", list(&rule.tags));
    rule.queries.iter().for_each(|item| query(item, &mut block));
    for case in &rule.cases {
        let block = block.inner("case");
        block.set("name", text(&case.name));
        block.set("status", text(word(&case.status)));
        if let Some(condition) = &case.condition {
            block.set("condition", text(condition));
        }
        block.set("notifications", list(&case.notifications));
    }
    options(&rule.options, block.inner("options"));
    block.finish()
}

fn query(query: &Query, block: &mut Block) {
    let block = block.inner("query");
    if let Some(name) = &query.name {
        block.set("name", text(name));
    }
    block.set("query", text(&query.query));
    block.set("aggregation", text(word(&query.aggregation)));
    block.set("group_by_fields", list(&query.group_by_fields));
    if query.aggregation == Aggregation::NewValue {
        block.set("metrics", list(&query.metrics));
    } else {
        block.set("distinct_fields", list(&query.distinct_fields));
    }
    block.set("has_optional_group_by_fields", query.has_optional_group_by_fields.to_string());
    block.set("data_source", text(word(&query.data_source)));
}

fn options(options: &Options, block: &mut Block) {
    block.set("detection_method", text(word(&options.detection_method)));
    if let Some(window) = options.evaluation_window {
        block.set("evaluation_window", window.to_string());
    }
    block.set("keep_alive", options.keep_alive.to_string());
    block.set("max_signal_duration", options.max_signal_duration.to_string());
    if let Some(new_value) = &options.new_value_options {
        let block = block.inner("new_value_options");
        block.set("forget_after", new_value.forget_after.to_string());
        block.set("learning_duration", new_value.learning_duration.to_string());
        block.set("learning_method", text(word(&new_value.learning_method)));
        block.set("learning_threshold", new_value.learning_threshold.to_string());
    }
    if let Some(sequence) = &options.sequence_detection_options {
        let block = block.inner("sequence_detection_options");
        for step in &sequence.steps {
            let block = block.inner("steps");
            block.set("name", text(&step.name));
            block.set("condition", text(&step.condition));
            block.set("evaluation_window", step.evaluation_window.to_string());
        }
        for transition in &sequence.step_transitions {
            let block = block.inner("step_transitions");
            block.set("parent", text(&transition.parent));
            block.set("child", text(&transition.child));
            block.set("evaluation_window", transition.evaluation_window.to_string());
        }
    }
}

/// The API's name of an enumeration value.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
