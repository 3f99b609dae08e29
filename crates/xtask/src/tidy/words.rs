//! Words that no identifier and no file name may contain, because the field has another term for
//! each.
//!
//! Only whole words match: `_` and upper-case letters separate the words of a name, and plurals
//! match too. Comments and strings are not checked, nor are crates that are not in [`CRATES`].
//!
//! A few words may be a part of a name but not all of it, because alone they do not say what a
//! value is ([`NAMES`]).

use std::path::Path;

/// Each word with the term to use instead.
const WORDS: [(&str, &str); 33] = [
    ("chore", "task"),
    ("copier", "checkpointer"),
    ("corridor", "sink task"),
    ("door", "object access"),
    ("episode", "open signal"),
    ("fare", "delivery health"),
    ("farewell", "closing"),
    ("growth", "event builder"),
    ("handover", "write claim"),
    ("haul", "upload"),
    ("hauler", "uploader"),
    ("house", "app or test server"),
    ("insist", "retry"),
    ("keeper", "reconciler or rotator"),
    ("ledger", "journal backend"),
    ("lent", "issued or temporary credentials"),
    ("misuse", "usage error"),
    ("mirror", "cache"),
    ("mood", "fault plan"),
    ("nobody", "anonymous, unauthenticated or none"),
    ("pen", "status writer"),
    ("pulse", "status or health"),
    ("resident", "background task or cached object"),
    ("room", "component or connection permit"),
    ("sight", "lookup"),
    ("somebody", "user"),
    ("sphere", "kind cache"),
    ("trail", "audit context"),
    ("visit", "request context"),
    ("welcome", "handshake"),
    ("whoever", "the caller, user or client"),
    ("wish", "target or parameters"),
    ("witness", "signal event"),
];

/// The crates that contain none of the words.
const CRATES: [&str; 20] = [
    "apimachinery",
    "apiserver",
    "assets",
    "audit",
    "controller",
    "delivery",
    "detect",
    "doctor",
    "e2e",
    "event",
    "kasten",
    "keepwatch",
    "objectstore",
    "proxy",
    "siem",
    "sink",
    "source",
    "store",
    "testkit",
    "xtask",
];

/// Words that may not be the whole name, each with examples of names.
const NAMES: [(&str, &str); 22] = [
    ("asked", "request"),
    ("bad", "invalid"),
    ("began", "start"),
    ("found", "entry, matches or actual"),
    ("given", "value or configured"),
    ("good", "valid"),
    ("held", "guard or responses"),
    ("it", "the noun"),
    ("kept", "retained or stored"),
    ("made", "created"),
    ("news", "changes"),
    ("one", "item or the noun"),
    ("place", "key, location or destination"),
    ("said", "output, response or message"),
    ("seen", "visited or received"),
    ("shown", "output"),
    ("taken", "accepted"),
    ("told", "message or expected"),
    ("took", "elapsed"),
    ("wanted", "expected or destination"),
    ("whole", "full or complete"),
    ("wrong", "invalid"),
];

/// The violations in the names of a file and in its file name.
pub(super) fn violations(path: &Path, text: &str) -> Vec<String> {
    let Ok(below) = path.strip_prefix("crates") else { return Vec::new() };
    let is_checked = CRATES.iter().any(|name| below.starts_with(name));
    if !is_checked || path.extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    let file = path.display();
    let mut violations = Vec::new();
    for part in below.iter().map(|part| part.to_string_lossy()) {
        if let Some((word, term)) = find(part.trim_end_matches(".rs")) {
            violations.push(format!("{file}: the word {word} in a file name; use {term}"));
        }
    }
    for (line, code) in code(text).lines().enumerate() {
        for name in code.split(|c: char| !c.is_alphanumeric() && c != '_') {
            if let Some((word, term)) = find(name) {
                let line = line + 1;
                violations.push(format!("{file}:{line}: the word {word} in {name}; use {term}"));
            }
            if let Some((_, examples)) = NAMES.iter().find(|(word, _)| *word == name) {
                let line = line + 1;
                violations
                    .push(format!("{file}:{line}: {name} does not say what it is; use {examples}"));
            }
        }
    }
    violations
}

/// The first forbidden word in a name, with the term to use.
fn find(name: &str) -> Option<(&'static str, &'static str)> {
    // Names of other crates: the methods of serde's visitors, and an error code of SQLite.
    if name.starts_with("visit_") || name == "ApiMisuse" {
        return None;
    }
    let name_words = name.split('_').flat_map(words).collect::<Vec<_>>();
    WORDS.into_iter().find(|(word, _)| {
        name_words
            .iter()
            .any(|name_words| name_words == word || name_words.strip_suffix('s') == Some(word))
    })
}

/// The words of a part of a name without `_`, in lower case: `openDoor` has two, `DOOR` has one.
fn words(part: &str) -> Vec<String> {
    let is_camel_case = part.chars().any(char::is_lowercase);
    let mut words = vec![String::new()];
    for c in part.chars() {
        if is_camel_case && c.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}

/// The text with comments and strings replaced by spaces. Line numbers do not change.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (skipped, copied) = match end_of_text(rest) {
            Some(end) => (rest.get(..end).unwrap_or(rest), ""),
            None => ("", rest.get(..first.len_utf8()).unwrap_or(rest)),
        };
        code.extend(skipped.chars().map(|c| if c == '\n' { c } else { ' ' }));
        code.push_str(copied);
        rest = rest.get(skipped.len() + copied.len()..).unwrap_or_default();
    }
    code
}

/// The length of the comment, string or character literal at the start of the text, if there is
/// one.
fn end_of_text(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if let Some(hashes) = raw_string_hashes(text) {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = "r\"".len() + hashes;
        let length = text.get(start..)?.find(&end)?;
        return Some(start + length + end.len());
    }
    let quote = text.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let mut is_escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return Some(index + 1);
        }
        // A lifetime has no closing quote.
        if quote == '\'' && index > 1 && !text.starts_with("'\\") {
            return None;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    None
}

/// The number of hashes of the raw string at the start of the text, if there is one.
fn raw_string_hashes(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let quote = rest.trim_start_matches('#');
    quote.starts_with('"').then(|| rest.len() - quote.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(violations(Path::new(path), text), expected);
    }

    #[test]
    fn a_word_is_found_in_names_of_every_case_and_number() {
        check(
            "crates/kasten/src/a.rs",
            "struct House;\nfn open_doors() {}\nconst OLD_PENS: u8 = 1;\n",
            &[
                "crates/kasten/src/a.rs:1: the word house in House; use app or test server",
                "crates/kasten/src/a.rs:2: the word door in open_doors; use object access",
                "crates/kasten/src/a.rs:3: the word pen in OLD_PENS; use status writer",
            ],
        );
    }

    #[test]
    fn a_word_is_found_in_the_name_of_a_file_and_of_a_folder() {
        let expected = "crates/kasten/src/house/a.rs: the word house in a file name; use app or test \
                        server";
        check("crates/kasten/src/house/a.rs", "", &[expected]);
        let expected = "crates/kasten/src/b_pulse.rs: the word pulse in a file name; use status or \
                        health";
        check("crates/kasten/src/b_pulse.rs", "", &[expected]);
    }

    #[test]
    fn parts_of_words_comments_and_strings_do_not_count() {
        let text = "// a house\nfn open() -> &'static str { \"the \\\" door\"; r#\"a \"room\" b\"#; '\"' }\nstruct Warehouse<'a>(&'a u8);\n";
        check("crates/kasten/src/a.rs", text, &[]);
    }

    #[test]
    fn a_part_of_a_name_is_found_only_if_it_is_the_whole_name() {
        let expected =
            "crates/sink/src/a.rs:1: told does not say what it is; use message or expected";
        check("crates/sink/src/a.rs", "let told = 1;\nlet is_told = 2;\n// told\n", &[expected]);
    }

    #[test]
    fn only_crates_of_the_list_are_checked() {
        check("crates/other/src/a.rs", "struct House;\n", &[]);
        check("crates/kasten/src/a.md", "House\n", &[]);
    }
}
