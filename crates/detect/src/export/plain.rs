//! Texts for targets whose rules have no variables: in their place are the names of fields.
//!
//! Deliberately absent: the message of a signal, which says nothing without its variables.

use super::model::RuleModel;
use crate::template::{Part, Template};

/// How a target shows a variable.
pub(super) type Shown<'s> = &'s dyn Fn(&str) -> String;

/// A variable as the name of what stands there: `<actor.username>`.
pub(super) fn placeholder(variable: &str) -> String {
    format!("<{}>", variable.strip_prefix('@').unwrap_or(variable))
}

/// A text with variables.
pub(super) fn text(text: &str, shown: Shown<'_>) -> String {
    let mut plain = String::with_capacity(text.len());
    match Template::parse(text) {
        Ok(template) => parts(template.parts(), shown, &mut plain),
        Err(_) => plain.push_str(text),
    }
    plain.trim().to_owned()
}

fn parts(parts: &[Part], shown: Shown<'_>, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Variable(name) => text.push_str(&shown(name)),
            Part::If(condition, inner) => {
                if condition.wanted {
                    self::parts(inner, shown, text);
                }
            }
        }
    }
}

/// How to look into it, in Markdown.
pub(super) fn guide(model: &RuleModel<'_>, shown: Shown<'_>) -> String {
    let (signal, mut whole) = (&model.rule.signal, String::new());
    let guide = &signal.guide;
    for (heading, part) in [
        ("Goal", &guide.goal),
        ("Strategy", &guide.strategy),
        ("Triage and response", &guide.response),
    ] {
        if !part.is_empty() {
            whole.extend(["## ", heading, "\n\n", &text(part.trim(), shown), "\n\n"]);
        }
    }
    if !signal.blind_spots.is_empty() {
        whole.push_str("## Blind spots\n\n");
        for spot in &signal.blind_spots {
            whole.extend(["- ", &text(spot.trim(), shown), "\n"]);
        }
    }
    whole.trim_end().to_owned()
}
