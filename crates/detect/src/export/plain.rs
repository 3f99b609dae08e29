//! Texts for targets without variables in rules: field names replace the variables.
//!
//! Deliberately absent: the message of a signal, which is useless without its variables.

use super::model::RuleModel;
use crate::template::{Part, Template};

/// Formats a variable for a target.
pub(super) type FormatVariable<'s> = &'s dyn Fn(&str) -> String;

/// A placeholder for a variable: `<actor.username>`.
pub(super) fn placeholder(variable: &str) -> String {
    format!("<{}>", variable.strip_prefix('@').unwrap_or(variable))
}

/// Renders a text, replacing its variables.
pub(super) fn text(text: &str, format_variable: FormatVariable<'_>) -> String {
    let mut plain = String::with_capacity(text.len());
    match Template::parse(text) {
        Ok(template) => parts(template.parts(), format_variable, &mut plain),
        Err(_) => plain.push_str(text),
    }
    plain.trim().to_owned()
}

fn parts(parts: &[Part], format_variable: FormatVariable<'_>, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Variable(name) => text.push_str(&format_variable(name)),
            Part::If(condition, inner) => {
                if condition.expected {
                    self::parts(inner, format_variable, text);
                }
            }
        }
    }
}

/// The rule's guide, in Markdown.
pub(super) fn guide(model: &RuleModel<'_>, format_variable: FormatVariable<'_>) -> String {
    let (signal, mut markdown) = (&model.rule.signal, String::new());
    let guide = &signal.guide;
    for (heading, part) in [
        ("Goal", &guide.goal),
        ("Strategy", &guide.strategy),
        ("Triage and response", &guide.response),
    ] {
        if !part.is_empty() {
            markdown.extend(["## ", heading, "\n\n", &text(part.trim(), format_variable), "\n\n"]);
        }
    }
    if !signal.blind_spots.is_empty() {
        markdown.push_str("## Blind spots\n\n");
        for spot in &signal.blind_spots {
            markdown.extend(["- ", &text(spot.trim(), format_variable), "\n"]);
        }
    }
    markdown.trim_end().to_owned()
}
