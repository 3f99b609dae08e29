//! The work of loading a rule file is bounded, whatever is in it.

use super::support::errors;

/// Expects that a file is refused because its examination takes too much work.
fn check(what: &str, text: &str) {
    assert!(text.len() <= detect::sigma::TEXT_LEN_MAX, "{what}: {} bytes", text.len());
    let found = errors(text);
    assert_eq!(found.len(), 1, "{what}: {found:#?}");
    let expected = format!("takes more than {} steps", detect::EXAMINATION_STEPS_MAX);
    assert!(found[0].contains(&expected), "{what}: {}", found[0]);
    assert!(found[0].contains("help: use fewer fields, values or regular expressions"), "{what}");
}

fn rule(selections: &str, condition: &str) -> String {
    format!("title: t\ndetection:\n{selections}  condition: {condition}\n")
}

fn lines(count: usize, line: &dyn Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().concat()
}

/// Regression: each field was examined for itself, without a bound of the sum, and so was each
/// document of a file.
#[test]
fn the_work_for_a_hostile_rule_file_is_bounded() {
    let fields = lines(19_000, &|at| format!("    requestObject.a{at}: v\n"));
    check("as many fields as are allowed", &rule(&format!("  s:\n{fields}"), "s"));
    let names = |from: usize| lines(9_000, &|at| format!("'u{:05}', ", from + at));
    let (one, two) = (names(0), names(20_000));
    let selections =
        format!("  s: {{user.username: [{one}'x']}}\n  t: {{user.username: [{two}'y']}}\n");
    check("values that exclude each other", &rule(&selections, "s and t"));
    let rules = lines(20, &|at| {
        let regexes = lines(40, &|it| format!("'/(get|list){{0,250}}{at}-{it}', "));
        let selection = format!("  s: {{requestURI|re: [{regexes}'/x']}}\n");
        format!("id: t{at}\n{}---\n", rule(&selection, "s"))
    });
    check("many large regular expressions", &rules);
    let literals = lines(900, &|at| format!("'{}{at}', ", "a".repeat(900)));
    let regexes = lines(40, &|at| format!("'(a|aa|b{at})+{{1,9}}c', "));
    let both = format!(
        "  s: {{user.username: [{literals}'x']}}\n  t: {{user.username|re: [{regexes}'d']}}\n"
    );
    check("regular expressions and long values", &rule(&both, "s and t"));
}

/// A long list of values in one field is common, and cheap.
#[test]
fn a_long_list_of_values_is_within_the_budget() {
    let values = lines(9_999, &|at| format!("'agent-{at}/1.0 (linux)', "));
    let users = lines(5_000, &|at| format!("'user-{at}', "));
    let selections = format!(
        "  s:\n    userAgent: [{values}'x']\n    verb: [get, list]\n    succeeded: true\n  \
         known: {{user.username: [{users}'y']}}\n"
    );
    assert_eq!(errors(&rule(&selections, "s and not known")), [""; 0]);
}

/// A file of a megabyte could once expand to gigabytes: only the number of values was bounded.
#[test]
fn aliases_of_a_long_text_do_not_multiply_it() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a,".repeat(90_000));
    let found = errors(&text);
    assert!(found[0].contains("aliases make the file too large"), "{found:?}");
}
