//! Checks of a single file: lengths, header, name, and forbidden text.

use std::path::Path;

/// Maximum number of lines of a Rust file.
const FILE_LINES_MAX: usize = 500;
/// Maximum number of lines of a function, including signature and braces.
const FUNCTION_LINES_MAX: usize = 70;
/// File names that do not describe the content.
const VAGUE_NAMES: [&str; 8] =
    ["util", "utils", "common", "helper", "helpers", "misc", "manager", "mod"];

/// The violations in a file.
pub(super) fn violations(path: &Path, text: &str) -> Vec<String> {
    let name = path.display();
    let mut violations = Vec::new();
    if path.extension().is_none_or(|extension| extension != "rs") {
        return violations;
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if VAGUE_NAMES.contains(&stem.as_ref()) {
        violations.push(format!("{name}: the name says nothing; name the file by its subject"));
    }
    if !text.starts_with("//! ") {
        violations.push(format!("{name}: does not open with `//! ` and what it is for"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        violations.push(format!("{name}: {lines} lines, the budget is {FILE_LINES_MAX}"));
    }
    if is_second_test_binary(path) {
        violations
            .push(format!("{name}: a second test binary; make it a module of tests/it/main.rs"));
    }
    for (line, length) in functions(text).filter(|(_, length)| *length > FUNCTION_LINES_MAX) {
        let budget = FUNCTION_LINES_MAX;
        violations
            .push(format!("{name}:{line}: a function of {length} lines, the budget is {budget}"));
    }
    for (line, text) in text.lines().enumerate() {
        for word in [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("#[ign", "ore"),
            concat!("#[pa", "th ="),
        ] {
            if text.contains(word) {
                violations.push(format!("{name}:{}: {word}", line + 1));
            }
        }
    }
    violations
}

/// Whether cargo would build another test binary than `tests/it/main.rs` from this file. Each test
/// binary costs a link with all dependencies of the crate. Unit tests in folders `tests` in `src`
/// are modules.
fn is_second_test_binary(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match parts.as_slice() {
        [.., "tests", folder, "main.rs"] => *folder != "it",
        [before @ .., "tests", _] => !before.contains(&"src") && !before.contains(&"tests"),
        _ => false,
    }
}

/// First line and length of each function. Relies on rustfmt: a function ends at the first line
/// that consists of its indentation and a closing brace.
fn functions(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let starts: Vec<(usize, usize)> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| is_function(line))
        .map(|(index, line)| (index, line.len() - line.trim_start().len()))
        .collect();
    starts.into_iter().filter_map(move |(start, indent)| {
        let rest = lines.get(start..)?;
        let opened = rest.iter().position(|line| line.ends_with('{') || line.ends_with(';'))?;
        if !rest.get(opened)?.ends_with('{') {
            return None;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = rest.iter().position(|line| *line == close)? + 1;
        Some((start + 1, length))
    })
}

fn is_function(line: &str) -> bool {
    let line = line.trim_start();
    let words = line.split_whitespace().take_while(|word| !word.starts_with("fn"));
    let modifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "extern"];
    let prefix: Vec<&str> = words.collect();
    prefix.len() < line.split_whitespace().count()
        && prefix.iter().all(|word| modifiers.contains(word))
        && line.contains("fn ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(violations(Path::new(path), text), expected);
    }

    #[test]
    fn a_file_without_a_header_is_a_violation() {
        check(
            "a/src/b.rs",
            "fn x() {}\n",
            &["a/src/b.rs: does not open with `//! ` and what it is for"],
        );
        check("a/src/b.rs", "//! Something.\n", &[]);
    }

    #[test]
    fn a_vague_file_name_is_a_violation() {
        check(
            "a/src/util.rs",
            "//! X.\n",
            &["a/src/util.rs: the name says nothing; name the file by its subject"],
        );
    }

    #[test]
    fn a_crate_has_one_test_binary() {
        for path in ["a/tests/b.rs", "a/tests/it.rs", "a/tests/b/main.rs"] {
            let violation =
                format!("{path}: a second test binary; make it a module of tests/it/main.rs");
            check(path, "//! X.\n", &[&violation]);
        }
        for path in
            ["a/tests/it/main.rs", "a/tests/it/b.rs", "a/src/b/tests/c.rs", "a/src/tests/c.rs"]
        {
            check(path, "//! X.\n", &[]);
        }
    }

    #[test]
    fn a_long_function_is_found_and_a_short_one_is_not() {
        let long = format!("//! X.\npub(crate) async fn f() {{\n{}}}\n", "    x();\n".repeat(69));
        check("b.rs", &long, &["b.rs:2: a function of 71 lines, the budget is 70"]);
        let short = format!("//! X.\nfn f() {{\n{}}}\n", "    x();\n".repeat(68));
        check("b.rs", &short, &[]);
    }

    #[test]
    fn a_long_file_is_found() {
        let long = format!("//! X.\n{}", "\n".repeat(500));
        check("b.rs", &long, &["b.rs: 501 lines, the budget is 500"]);
    }
}
