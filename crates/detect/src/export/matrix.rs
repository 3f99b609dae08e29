//! The compatibility matrix: the fidelity of each rule for each target.

use super::{Choice, Effect, Exported, Profile, Reason, Target, all, export, raising};
use crate::ruleset::RuleSet;

/// One target with one profile.
struct Column {
    target: &'static dyn Target,
    profile: &'static Profile,
    rules: Vec<Exported>,
}

/// The matrix of every rule for every target and profile, in Markdown.
pub fn markdown(rules: &RuleSet) -> String {
    let mut columns = Vec::new();
    for target in all() {
        let Some(format) = target.formats().first() else { continue };
        for profile in target.profiles() {
            let choice =
                Choice { profile, format, options: rules.options(), has_suppressions: false };
            let exported =
                raising(rules).map(|rule| export(rules, rule, *target, &choice, true)).collect();
            columns.push(Column { target: *target, profile, rules: exported });
        }
    }
    let mut page = String::new();
    overview(&columns, &mut page);
    for column in &columns {
        section(column, &mut page);
    }
    page
}

/// Writes the table: a row per rule, a column per target.
fn overview(columns: &[Column], page: &mut String) {
    page.push_str("\n| Rule |");
    for Column { target, profile, .. } in columns {
        page.extend([" ", target.name(), " `", profile.name, "` |"]);
    }
    page.push_str("\n|---|");
    page.push_str(&"---|".repeat(columns.len()));
    page.push('\n');
    let ids = columns.first().map(|column| column.rules.iter().map(|rule| &rule.rule));
    for (index, id) in ids.into_iter().flatten().enumerate() {
        page.extend(["| `", id, "` |"]);
        for column in columns {
            let word = column.rules.get(index).map_or("", |exported| exported.fidelity.as_str());
            page.extend([" ", word, " |"]);
        }
        page.push('\n');
    }
}

/// Writes the differences of one target.
fn section(column: &Column, page: &mut String) {
    let Column { target, profile, rules } = column;
    let (title, name) = (target.title(), profile.name);
    page.extend(["\n## ", title, ", profile `", name, "`\n\n", profile.title, ".\n"]);
    if rules.iter().any(|item| !item.fidelity.is_same()) {
        page.push_str("\n| Rule | Result | Reason |\n|---|---|---|\n");
    }
    for exported in rules.iter().filter(|exported| !exported.fidelity.is_same()) {
        let reasons = exported.fidelity.reasons().iter().filter(|reason| !is_aside(reason));
        let reasons: Vec<String> = reasons.map(in_words).collect();
        let why = reasons.join("; ").replace('|', "\\|");
        let result = exported.fidelity.as_str();
        page.extend(["| `", &exported.rule, "` | ", result, " | ", &why, " |\n"]);
    }
    let mut asides: Vec<(&Reason, usize)> = Vec::new();
    for reason in rules
        .iter()
        .flat_map(|exported| exported.fidelity.reasons())
        .filter(|reason| is_aside(reason))
    {
        match asides.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => asides.push((reason, 1)),
        }
    }
    if !asides.is_empty() {
        page.push_str("\nNotes without an effect on the result, with the number of rules:\n\n");
    }
    for (reason, count) in asides {
        page.extend(["- ", &reason.to_string(), " (", &count.to_string(), ")\n"]);
    }
}

/// Whether a difference concerns only texts and groups, or requests that change nothing.
const fn is_aside(reason: &Reason) -> bool {
    matches!(reason.effect, Effect::None | Effect::Rare)
}

fn in_words(reason: &Reason) -> String {
    match reason.effect {
        Effect::Fewer => format!("misses events, because {reason}"),
        Effect::More => format!("matches more, because {reason}"),
        Effect::Either => format!("misses events and matches more, because {reason}"),
        Effect::None | Effect::Rare | Effect::Refusal => reason.to_string(),
    }
}
