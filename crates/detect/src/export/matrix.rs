//! The table of rules and targets: which means the same where, and why not.

use super::{Choice, Effect, Exported, Profile, Target, all, export, raising};
use crate::ruleset::RuleSet;

/// One target by one way.
struct Row {
    target: &'static dyn Target,
    profile: &'static Profile,
    rules: Vec<Exported>,
}

/// Every rule for every target and profile, as Markdown.
pub fn markdown(rules: &RuleSet) -> String {
    let mut page = String::new();
    for target in all() {
        for profile in target.profiles() {
            if let Some(format) = target.formats().first() {
                let choice = Choice { profile, format, options: rules.options() };
                let rules = raising(rules)
                    .map(|rule| export(rules, rule, *target, &choice, true))
                    .collect();
                section(&Row { target: *target, profile, rules }, &mut page);
            }
        }
    }
    page
}

fn section(row: &Row, page: &mut String) {
    let Row { target, profile, rules } = row;
    let (title, name) = (target.title(), profile.name);
    page.extend(["\n## ", title, ", profile `", name, "`\n\n", profile.title, ".\n\n"]);
    page.push_str("| rule | result | why |\n|---|---|---|\n");
    for exported in rules {
        let reasons: Vec<String> = exported
            .fidelity
            .reasons()
            .iter()
            .map(|reason| match reason.effect {
                Effect::Fewer => format!("misses, {reason}"),
                Effect::More => format!("finds more, {reason}"),
                Effect::Either => format!("misses and finds more, {reason}"),
                Effect::None | Effect::Rare | Effect::Refusal => reason.to_string(),
            })
            .collect();
        let why = reasons.join("; ").replace('|', "\\|");
        let result = exported.fidelity.as_str();
        page.extend(["| `", &exported.rule, "` | ", result, " | ", &why, " |\n"]);
    }
}
