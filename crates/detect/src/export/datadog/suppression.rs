//! A suppression in Datadog's API and Terraform provider.
//!
//! It refers to rules by a tag, because the API assigns other ids to them.

use serde_json::json;

use super::query::Writer;
use crate::export::condition::Condition;
use crate::export::fidelity::Reason;
use crate::export::hcl::{Block, text};
use crate::export::suppression::Suppression;
use crate::export::target::{Choice, Draft, File};

/// The tag of exported rules that suppressions refer to.
pub(super) const TAG: &str = "keepwatch_rule";

/// Writes a suppression.
pub(super) fn draft(
    suppression: &Suppression,
    choice: &Choice<'_>,
    differences: &[Reason],
) -> Result<Draft, Vec<Reason>> {
    let refused = |reason| vec![reason];
    let events = suppression.condition(choice.options, choice.profile).map_err(refused)?;
    let mut writer = Writer { profile: choice.profile, reasons: Vec::new() };
    let events = match &events {
        Condition::All(parts) if parts.is_empty() => "*".to_owned(),
        events => writer.query(events).map_err(refused)?,
    };
    let rules = match suppression.rules.as_slice() {
        [] => "*".to_owned(),
        [rule] => rule.clone(),
        rules => format!("({})", rules.join(" OR ")),
    };
    let rules = format!("type:log_detection {TAG}:{rules}");
    let description = suppression.description(differences);
    let file = if choice.format.name == "terraform" {
        terraform(suppression, &description, &rules, &events)
    } else {
        let attributes = json!({
            "name": suppression.name,
            "enabled": true,
            "description": description,
            "rule_query": rules,
            "data_exclusion_query": events,
            // Milliseconds.
            "expiration_date": suppression.expires_at.as_micros() / 1000,
        });
        let request = json!({"data": {"type": "suppressions", "attributes": attributes}});
        // Serialization cannot fail: the value contains only texts and numbers.
        let text = serde_json::to_string_pretty(&request).unwrap_or_default() + "\n";
        File { name: format!("suppressions/{}.json", suppression.name), text }
    };
    Ok(Draft { files: vec![file], reasons: writer.reasons })
}

fn terraform(suppression: &Suppression, description: &str, rules: &str, events: &str) -> File {
    let name = suppression.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let mut block = Block::resource("datadog_security_monitoring_suppression", &name);
    block.set("name", text(&suppression.name));
    block.set("enabled", "true".to_owned());
    block.long_text("description", description);
    block.set("rule_query", text(rules));
    block.set("data_exclusion_query", text(events));
    // The provider accepts whole seconds only.
    let time = suppression.expires_at.to_string();
    let seconds = time.split_once('.').map_or(time.as_str(), |(seconds, _)| seconds);
    block.set("expiration_date", text(format!("{}Z", seconds.trim_end_matches('Z'))));
    File { name: format!("suppression-{}.tf", suppression.name), text: block.finish() }
}
