//! The work of loading a rule file is bounded, whatever is in it, and no valid rule is refused.

use super::support::errors;

/// Expects that a file is refused because compiling it takes too much work.
fn refused(what: &str, text: &str) {
    assert!(text.len() <= detect::sigma::TEXT_LEN_MAX, "{what}: {} bytes", text.len());
    let messages = errors(text);
    assert_eq!(messages.len(), 1, "{what}: {messages:#?}");
    let expected = format!("takes more than {} steps", detect::COMPILATION_STEPS_MAX);
    assert!(messages[0].contains(&expected), "{what}: {}", messages[0]);
    assert!(messages[0].contains("help: use fewer or shorter regular expressions"), "{what}");
}

/// Expects that a file has no error, or one with this message.
fn check(what: &str, text: &str, message: Option<&str>) {
    assert!(text.len() <= detect::sigma::TEXT_LEN_MAX, "{what}: {} bytes", text.len());
    let messages = errors(text);
    match message {
        None => assert_eq!(messages, [""; 0], "{what}"),
        Some(message) => {
            assert_eq!(messages.len(), 1, "{what}: {messages:#?}");
            assert!(messages[0].contains(message), "{what}: {}", messages[0]);
        }
    }
}

fn rule(selections: &str, condition: &str) -> String {
    format!("title: t\ndetection:\n{selections}  condition: {condition}\n")
}

/// A rule with a selection of these lines.
fn selection(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("    {line}\n")).collect();
    rule(&format!("  s:\n{}", lines.concat()), "s")
}

fn lines(count: usize, line: &dyn Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().concat()
}

/// A field with `count` regular expressions.
fn regexes(field: &str, count: usize) -> String {
    format!("{field}|re: [{}]", lines(count, &|at| format!("'^team-{at}-[a-z]+.*$', ")))
}

/// Regression: the results of all tests were charged for each of 900 codes and four stages, though
/// they do not depend on them. Three regular expressions were too many.
#[test]
fn a_valid_rule_with_many_regular_expressions_is_accepted() {
    let user = || regexes("user.username", 50);
    let code = |count| format!("responseStatus.code|re: [{}]", "'^[45]0.$', ".repeat(count));
    for (what, items) in [
        ("a stage without a response", vec!["stage: RequestReceived".to_owned(), user()]),
        ("the start of a response", vec!["stage: ResponseStarted".to_owned(), user()]),
        ("the end of a response", vec!["stage: ResponseComplete".to_owned(), user()]),
        (
            "all stages",
            vec!["stage|re: '^(Request|Response|Panic)'".to_owned(), regexes("user.username", 49)],
        ),
        ("rare codes", vec!["responseStatus.code: [404, 500, 599]".to_owned(), user()]),
        ("expressions for a code", vec!["responseStatus.code|gt: 500".to_owned(), code(50)]),
        (
            "the last of many codes",
            vec![
                "responseStatus.code|re: '^4.9$'".to_owned(),
                "responseStatus.code|neq: [409, 419, 429, 439, 449, 459, 469, 479, 489]".to_owned(),
                regexes("userAgent", 49),
            ],
        ),
    ] {
        check(what, &selection(&items), None);
    }
    let large = lines(50, &|at| format!("'/(get|list){{0,250}}{at}', "));
    check("large expressions", &selection(&[format!("requestURI|re: [{large}]")]), None);
}

/// Regression: the third rule of such a file was refused, because all rules share a budget.
#[test]
fn a_file_with_hundreds_of_rules_is_accepted() {
    let file = |count: usize, items: &dyn Fn(usize) -> Vec<String>| {
        lines(count, &|at| format!("id: r{at}\n{}---\n", selection(&items(at))))
    };
    let large = file(1000, &|at| {
        vec!["stage: RequestReceived".to_owned(), format!("user.username|re: '^team-{at}-'")]
    });
    check("a regular expression in each rule", &large, None);
    let many = file(150, &|at| {
        let regexes = lines(50, &|index| format!("'^t{at}-{index}.$', "));
        vec!["responseStatus.code: 599".to_owned(), format!("user.username|re: [{regexes}]")]
    });
    check("fifty in each rule", &many, None);
}

/// Regression: these were refused because of the work, and not because they cannot match.
#[test]
fn a_contradiction_is_found_among_many_values() {
    let none = "no event meets the condition";
    let user = regexes("user.username", 45);
    let both = format!("  s: {{succeeded: false}}\n  r: {{{user}}}\n  t: {{succeeded: true}}\n");
    check("a response", &rule(&both, "s and r and t"), Some(none));
    let names = |from: usize| lines(9_000, &|at| format!("'u{:05}', ", from + at));
    let (low, high) = (names(0), names(20_000));
    let lists =
        format!("  s: {{user.username: [{low}'x']}}\n  t: {{user.username: [{high}'y']}}\n");
    check("lists without a common value", &rule(&lists, "s and t"), Some(none));
    check("alternatives", &rule(&lists, "s or t"), None);
    check("an exclusion of other values", &rule(&lists, "s and not t"), None);
    let same = format!("  s: {{user.username: [{low}'x']}}\n  t: {{user.username: [{low}'x']}}\n");
    check("an exclusion of all values", &rule(&same, "s and not t"), Some(none));
    check("the same values", &rule(&same, "s and t"), None);
    let codes = lines(500, &|at| format!("{}, ", 100 + at));
    let items = |code_max: &str| {
        let excluded = format!("    responseStatus.code|neq: [{codes}]\n");
        rule(&format!("  s:\n    responseStatus.code|lte: {code_max}\n{excluded}"), "s")
    };
    check("an exclusion of all codes", &items("599"), Some(none));
    check("a code that is left", &items("600"), None);
}

/// Regression: each field and each document of a file was examined separately, without a bound on
/// the total.
#[test]
fn the_work_to_compile_a_hostile_rule_file_is_bounded() {
    let rules = lines(20, &|at| {
        let regexes = lines(40, &|index| format!("'/(get|list){{0,250}}{at}-{index}', "));
        let selection = format!("  s: {{requestURI|re: [{regexes}'/x']}}\n");
        format!("id: t{at}\n{}---\n", rule(&selection, "s"))
    });
    refused("many large regular expressions", &rules);
    let selections = lines(1000, &|at| format!("  s{at}: {{verb: get}}\n"));
    let names = format!("1 of them{}", " or 1 of s999*".repeat(570));
    let rules = lines(6, &|at| format!("id: t{at}\n{}---\n", rule(&selections, &names)));
    refused("many look-ups of selections", &rules);
}

/// The search for contradictions ends at its budget. What it has not examined is accepted.
#[test]
fn a_rule_that_takes_too_long_to_examine_is_accepted() {
    let fields = lines(19_000, &|at| format!("    requestObject.a{at}: v\n"));
    check("as many fields as are allowed", &rule(&format!("  s:\n{fields}"), "s"), None);
    let fields = |value: &str| lines(9_000, &|at| format!("    requestObject.a{at}: {value}\n"));
    let both = format!("  s:\n{}  t:\n{}", fields("v"), fields("w"));
    check("as many fields twice", &rule(&both, "s and t"), None);
    let literals = lines(900, &|at| format!("'{}{at}', ", "a".repeat(900)));
    let regexes = lines(40, &|at| format!("'(a|aa|b{at})+{{1,9}}c', "));
    let both = format!(
        "  s: {{user.username: [{literals}'x']}}\n  t: {{user.username|re: [{regexes}'d']}}\n"
    );
    check("regular expressions and long values", &rule(&both, "s and t"), None);
}

/// A long list of values in one field is common, and cheap.
#[test]
fn a_long_list_of_values_is_accepted() {
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
    let messages = errors(&text);
    assert!(messages[0].contains("aliases make the file too large"), "{messages:?}");
}
