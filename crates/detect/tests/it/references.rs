//! Names in a rule that refer to other rules or to nothing, and counts that cannot be reached:
//! these rules were once accepted, and did not do what they say.

use detect::{Document, LoadOptions, RuleSet};

use super::support::errors;

/// Two rules on single events, on lines 1 to 13.
const BASES: &str = "title: A\nid: id-a\nname: a\ndetection:\n  s: {verb: get}\n  condition: s\n---\n\
    title: B\nname: b\ndetection:\n  s: {verb: delete, impersonatedUser.username: null}\n  \
    condition: s\n---\n";

/// Expects one error in a correlation of the two rules, whose members begin at line 17. An empty
/// message expects none.
fn check(members: &str, extension: &str, at: &str, message: &str, hint: &str) {
    let text = format!("{BASES}title: C\nid: c\ncorrelation:\n{members}{extension}");
    let messages = errors(&text);
    if message.is_empty() {
        assert_eq!(messages, [""; 0], "{text}");
        return;
    }
    assert_eq!(messages.len(), 1, "{messages:#?}\n{text}");
    let (first, help) = messages[0].split_once("\n  help: ").unwrap_or((&messages[0], ""));
    assert!(first.starts_with(&format!("t.yaml:{at}: ")), "{first} at {at}\n{text}");
    assert!(first.contains(message), "{first} has {message}");
    assert!(help.contains(hint), "{help} has {hint}");
}

#[test]
fn an_alias_that_names_nothing_is_an_error() {
    let with = |group_by: &str, aliases: &str| {
        format!(
            "  type: temporal\n  rules: [a, b]\n  timespan: 1h\n  group-by: [{group_by}]\n  \
             aliases: {{{aliases}}}\n"
        )
    };
    let who = "who: {a: user.username, b: actor.username}";
    for (group_by, aliases, at, message, hint) in [
        ("who", who, "", "", ""),
        ("who", "who: {id-a: user.username, b: actor.username}", "", "", ""),
        ("verb", who, "21:13", "does not use the alias `who`", "remove it"),
        ("whoo", who, "21:13", "does not use the alias `who`", "`group-by` has `whoo`"),
        (
            "who",
            "who: {a: user.username, b: actor.username, c: verb}",
            "21:56",
            "the correlation has no rule `c`",
            "did you mean",
        ),
        (
            "who",
            "who: {a: user.username, b: actor.username, id-a: verb}",
            "21:56",
            "has the rule `id-a` twice",
            "one field",
        ),
    ] {
        check(&with(group_by, aliases), "", at, message, hint);
    }
}

#[test]
fn a_rule_that_is_counted_twice_is_an_error() {
    let with =
        |kind: &str, rules: &str| format!("  type: {kind}\n  rules: [{rules}]\n  timespan: 1h\n");
    check(&with("temporal", "a, b, id-a"), "", "18:17", "`id-a` is in the list twice", "once");
    check(&with("temporal_ordered", "a, b, a"), "", "", "", "");
    check(&with("temporal", "a, b, "), "", "", "", "");
    check(&with("temporal", "a, b, ~"), "", "18:17", "an entry of `rules` is empty", "remove");
}

#[test]
fn a_threshold_of_a_temporal_correlation_beyond_its_rules_is_an_error() {
    let with = |kind: &str, condition: &str| {
        format!("  type: {kind}\n  rules: [a, b]\n  timespan: 1h\n  condition: {{{condition}}}\n")
    };
    check(&with("temporal", "gte: 2"), "", "", "", "");
    check(&with("temporal", "gte: 1"), "", "", "", "");
    check(&with("temporal", "gte: 3"), "", "20:14", "only 2 rules", "omit the condition");
    check(&with("temporal_ordered", "gte: 2"), "", "", "", "");
    check(&with("temporal_ordered", "gte: 1"), "", "20:14", "all its rules only", "omit");
}

#[test]
fn a_threshold_beyond_the_values_of_a_field_is_an_error() {
    let with = |group_by: &str, condition: &str| {
        format!(
            "  type: value_count\n  rules: [a, b]\n  timespan: 1h\n  group-by: [{group_by}]\n  \
             condition: {{{condition}}}\n"
        )
    };
    let user = "user.username";
    for (group_by, condition, message, hint) in [
        (user, "field: verb, gte: 2", "", ""),
        (user, "field: verb, gte: 3", "`verb` has at most 2 values", "up to 2"),
        (user, "field: objectRef.name, gte: 3", "", ""),
        (user, "field: responseStatus.code, gte: 500", "", ""),
        (user, "field: responseStatus.code, gte: 1000", "at most 900 values", ""),
        (user, "field: level, gte: 4", "`level` has at most 3 values", ""),
        // Only the two stages that end a request are evaluated, and no dry runs.
        (user, "field: stage, gte: 3", "`stage` has at most 2 values", ""),
        (user, "field: dryRun, gte: 2", "`dryRun` has at most 1 values", ""),
        (user, "field: [verb, objectRef.name], gte: 50", "", ""),
        (user, "field: [verb, succeeded], gte: 10", "at most 9 values", ""),
        ("verb", "field: [verb, succeeded], gte: 7", "at most 6 values", ""),
    ] {
        check(&with(group_by, condition), "", "21:14", message, hint);
    }
}

#[test]
fn a_case_that_no_count_reaches_is_an_error() {
    let case = |at_least: u64| {
        format!(
            "keepwatch:\n  cases:\n    - {{name: many, severity: high, at-least: {at_least}}}\n"
        )
    };
    let value_count = "  type: value_count\n  rules: [a, b]\n  timespan: 1h\n  \
        condition: {field: verb, gte: 2}\n";
    check(value_count, &case(2), "", "", "");
    check(value_count, &case(3), "23:5", "`many` could never apply", "up to 2");
    let temporal = "  type: temporal\n  rules: [a, b]\n  timespan: 1h\n";
    check(temporal, &case(2), "", "", "");
    check(temporal, &case(3), "22:5", "`many` could never apply", "at most 2");
    let silence = "  type: event_count\n  rules: [a]\n  timespan: 1h\n  condition: {lt: 1}\n";
    check(silence, &case(1), "23:5", "an absence has no count", "`level`");
    let count = "  type: event_count\n  rules: [a]\n  timespan: 1h\n  condition: {gte: 1}\n";
    check(count, &case(65_536), "", "", "");
    check(count, &case(65_537), "23:5", "`many` could never apply", "65536");
}

#[test]
fn grouping_by_a_field_that_no_event_has_is_an_error() {
    let with = |rules: &str, group_by: &str| {
        format!("  type: temporal\n  rules: [{rules}]\n  timespan: 1h\n  group-by: [{group_by}]\n")
    };
    check(&with("a", "impersonatedUser.username"), "", "", "", "");
    let (message, hint) = ("no event of the rule `b` has the field", "group by another field");
    check(&with("a, b", "impersonatedUser.username"), "", "20:14", message, hint);
}

#[test]
fn a_superseded_rule_that_does_not_exist_is_an_error() {
    let rule = |id: &str, supersedes: &str| {
        format!(
            "title: t\nid: {id}\nkeepwatch:\n  supersedes: {supersedes}\ndetection:\n  \
             s: {{verb: get}}\n  condition: s\n---\n"
        )
    };
    let other = "title: o\nid: other\ndetection:\n  s: {verb: get}\n  condition: s\n";
    assert_eq!(errors(&(rule("t", "[other]") + other)), [""; 0]);
    for (supersedes, at, message, hint) in [
        ("[othre]", "4:16", "there is no rule `othre`", "did you mean `other`?"),
        ("nothing", "4:15", "there is no rule `nothing`", "by its `id` or `name`"),
        ("[other, ~]", "4:23", "an entry of `supersedes` is empty", "remove"),
        ("[t]", "4:16", "supersedes itself", "only one"),
    ] {
        let messages = errors(&(rule("t", supersedes) + other));
        assert_eq!(messages.len(), 1, "{messages:#?}");
        assert!(
            messages[0].starts_with(&format!("t.yaml:{at}: ")),
            "{supersedes}: {}",
            messages[0]
        );
        assert!(messages[0].contains(message) && messages[0].contains(hint), "{}", messages[0]);
    }
    let circle = errors(&(rule("a", "[b]") + &rule("b", "[c]") + &rule("c", "[a]")));
    assert_eq!(circle.len(), 3, "{circle:#?}");
}

/// In a server, the superseded rule may be another object that is disabled.
#[test]
fn a_part_of_the_rules_may_supersede_rules_elsewhere() {
    let text = "title: t\nid: t\nkeepwatch: {supersedes: [elsewhere]}\ndetection:\n  \
        s: {verb: get}\n  condition: s\n";
    let documents = [Document::new("t.yaml", text)];
    let (rules, errors) = RuleSet::load_lenient(&documents, &LoadOptions::default());
    assert_eq!((rules.rules().len(), errors), (1, Vec::new()));
    assert_eq!(rules.rules()[0].signal.supersedes, ["elsewhere"]);
}

/// Each of these filters leaves events to the rule, but not both together.
#[test]
fn filters_that_together_exclude_a_whole_rule_are_an_error() {
    let rule = "title: t\nname: t\ndetection:\n  s: {verb: [get, list]}\n  condition: s\n---\n";
    let filter = |rules: &str, verb: &str| {
        format!(
            "title: f\nfilter:\n  rules: {rules}\n  s: {{verb: {verb}}}\n  condition: not s\n---\n"
        )
    };
    assert_eq!(errors(&format!("{rule}{}", filter("[t]", "get"))), [""; 0]);
    for rules in ["[t]", "any"] {
        let messages = errors(&format!("{rule}{}{}", filter(rules, "get"), filter(rules, "list")));
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(
            messages[0].starts_with("t.yaml:13:1: the filter leaves no event for `t`"),
            "{messages:?}"
        );
    }
}
