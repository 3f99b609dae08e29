//! Parses the metadata of a document.

use event::Severity;

use super::ast::{Header, Logsource};
use super::members::{Members, text};
use crate::error::{Errors, Position};
use crate::nearest;
use crate::rule::SignalOptions;

/// Sigma's values of `status`.
const STATUSES: [&str; 5] = ["stable", "test", "experimental", "deprecated", "unsupported"];
/// Sigma's keys that the engine ignores.
const IGNORED_KEYS: [&str; 9] = [
    "related",
    "license",
    "fields",
    "scope",
    "taxonomy",
    "regression_tests_path",
    "simulation",
    "sigma-version",
    "schema",
];
/// Maximum length of an id, in bytes.
const ID_LEN_MAX: usize = 253;

/// Parses the metadata without the extension.
pub(super) fn read(members: &mut Members<'_>, errors: &mut Errors) -> Header {
    let at = members.at;
    let title = members.text("title", errors).unwrap_or_default();
    if title.is_empty() {
        errors.hint(at, "the rule has no title", "add `title: …`");
    }
    for key in IGNORED_KEYS {
        members.take(key);
    }
    let author = members.texts("author", errors).join(", ");
    Header {
        id: word(members, "id", errors),
        name: word(members, "name", errors),
        title,
        description: members.text("description", errors).unwrap_or_default(),
        status: choice(members, "status", &STATUSES, errors),
        level: level(members, errors),
        tags: members.texts("tags", errors),
        references: members.texts("references", errors),
        false_positives: members.texts("falsepositives", errors),
        author,
        date: members.text("date", errors),
        modified: members.text("modified", errors),
        logsource: logsource(members, errors),
        signal: SignalOptions::default(),
        supersedes: Vec::new(),
        cases_at: None,
    }
}

/// Parses an id or name.
fn word(members: &mut Members<'_>, key: &'static str, errors: &mut Errors) -> Option<String> {
    let node = members.take(key)?;
    let word = text(node, key, errors)?;
    let is_valid =
        !word.is_empty() && word.len() <= ID_LEN_MAX && word.chars().all(|c| c.is_ascii_graphic());
    if !is_valid {
        errors.hint(
            node.at,
            format!("`{key}` is not a name"),
            format!("use at most {ID_LEN_MAX} letters, digits and signs, without blanks"),
        );
        return None;
    }
    Some(word)
}

fn choice(
    members: &mut Members<'_>,
    key: &'static str,
    choices: &[&'static str],
    errors: &mut Errors,
) -> Option<String> {
    let node = members.take(key)?;
    let word = text(node, key, errors)?;
    if !choices.contains(&word.as_str()) {
        unknown(node.at, key, &word, choices, errors);
        return None;
    }
    Some(word)
}

pub(super) fn unknown(
    at: Position,
    what: &str,
    word: &str,
    choices: &[&'static str],
    errors: &mut Errors,
) {
    let hint = nearest::of(word, choices.iter().copied()).map_or_else(
        || format!("one of {}", choices.join(", ")),
        |known| format!("did you mean `{known}`?"),
    );
    errors.hint(at, format!("`{}` is not a {what}", super::yaml::printable(word)), hint);
}

fn level(members: &mut Members<'_>, errors: &mut Errors) -> Option<Severity> {
    let node = members.take("level")?;
    severity(&text(node, "level", errors)?, node.at, errors)
}

pub(super) fn severity(word: &str, at: Position, errors: &mut Errors) -> Option<Severity> {
    let severity = word.parse().ok();
    if severity.is_none() {
        unknown(at, "severity", word, &Severity::ALL.map(Severity::as_str), errors);
    }
    severity
}

/// Parses the log source and rejects sources other than audit events.
fn logsource(members: &mut Members<'_>, errors: &mut Errors) -> Logsource {
    let Some(node) = members.take("logsource") else {
        return Logsource::default();
    };
    let Some(mut inner) = Members::of(node, "logsource", errors) else {
        return Logsource::default();
    };
    let product = inner.text("product", errors);
    let service = inner.text("service", errors);
    let category = inner.text("category", errors);
    inner.take("definition");
    inner.finish("logsource", errors);
    let is_served = matches!(
        (product.as_deref(), service.as_deref()),
        (Some("kubernetes" | "kasten" | "keepwatch"), None | Some("audit"))
    );
    if !is_served {
        let named: Vec<&str> =
            [&product, &service, &category].into_iter().flatten().map(String::as_str).collect();
        errors.hint(
            node.at,
            format!("no audit event comes from the logsource `{}`", named.join(" ")),
            "product kubernetes with service audit, or product kasten or keepwatch",
        );
    }
    Logsource { product, service, category }
}
