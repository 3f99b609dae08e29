//! Correlations, filters, and references between rules.

use detect::rule::{Body, Correlation, CorrelationKind, Threshold};
use detect::{Document, Field, LoadOptions, RuleSet};
use event::Severity;
use serde_json::json;

use super::support::{errors, event, load, matches};

const BASES: &str = "title: A\nid: id-a\nname: a\ndetection:\n  s: {verb: get}\n  condition: s\n---\n\
    title: B\nname: b\ndetection:\n  s: {verb: delete}\n  condition: s\n---\n";

fn correlation(rules: &RuleSet, id: &str) -> Correlation {
    match &rules.rules()[rules.find(id).unwrap()].body {
        Body::Correlation(correlation) => correlation.clone(),
        Body::Detection(_) => panic!("{id} is no correlation"),
    }
}

#[test]
fn a_correlation_refers_to_rules_by_id_and_by_name() {
    let text = format!(
        "{BASES}title: C\nid: c\nlevel: high\ncorrelation:\n  type: temporal_ordered\n  \
         rules: [id-a, b]\n  group-by: [who, sourceIPs]\n  timespan: 10m\n  aliases:\n    who:\n      \
         a: user.username\n      b: effectiveUser.username\n"
    );
    let rules = load(&text);
    let correlation_rule = correlation(&rules, "c");
    assert!(matches!(correlation_rule.kind, CorrelationKind::TemporalOrdered));
    assert_eq!(correlation_rule.rules, [0, 1]);
    assert_eq!(correlation_rule.timespan, 600_000_000);
    assert_eq!(correlation_rule.condition, Threshold { at_least: 2, at_most: u64::MAX });
    let fields: Vec<Vec<String>> = correlation_rule
        .group_by
        .iter()
        .map(|group| group.fields.iter().map(ToString::to_string).collect())
        .collect();
    assert_eq!(fields, [["user.username", "effectiveUser.username"], ["sourceIPs", "sourceIPs"]]);
    let raises: Vec<bool> = rules.rules().iter().map(|rule| rule.raises).collect();
    assert_eq!(raises, [false, false, true]);
    assert_eq!((rules.find("a"), rules.find("id-a"), rules.find("b")), (Some(0), Some(0), Some(1)));
    assert_eq!(rules.rules()[2].severity, Severity::High);
    assert_eq!(rules.rules()[0].severity, Severity::Medium);
}

#[test]
fn rules_in_other_files_can_be_referenced_in_any_order() {
    let counting = "title: C\nid: c\ncorrelation:\n  type: value_count\n  rules: a\n  \
        timespan: 1h\n  generate: true\n  condition: {field: objectRef.name, gte: 5}\n";
    let files = [Document::new("c.yaml", counting), Document::new("a.yaml", BASES)];
    let rules = RuleSet::load(&files, &LoadOptions::default()).unwrap();
    let correlation_rule = correlation(&rules, "c");
    assert_eq!(correlation_rule.rules, [1]);
    let name = Field::parse("objectRef.name").unwrap();
    assert!(
        matches!(correlation_rule.kind, CorrelationKind::ValueCount(fields) if fields == [name])
    );
    assert!(rules.rules()[1].raises, "generate: true");
}

#[test]
fn conditions_of_correlations_are_ranges() {
    for (condition, expected) in [
        ("{gte: 5}", (5, u64::MAX)),
        ("{gt: 5}", (6, u64::MAX)),
        ("{gte: 2, lt: 10}", (2, 9)),
        ("{gt: 2, lte: 10}", (3, 10)),
        ("{eq: 7}", (7, 7)),
        ("{lt: 1}", (0, 0)),
    ] {
        let text = format!(
            "{BASES}title: C\nid: c\ncorrelation:\n  type: event_count\n  rules: [a]\n  \
             timespan: 1d\n  condition: {condition}\n"
        );
        let correlation_rule = correlation(&load(&text), "c");
        let (at_least, at_most) = expected;
        assert_eq!(correlation_rule.condition, Threshold { at_least, at_most }, "{condition}");
        assert_eq!(
            matches!(correlation_rule.kind, CorrelationKind::Absence),
            condition == "{lt: 1}"
        );
    }
}

#[test]
fn times_have_units() {
    for (written, seconds) in [
        ("1s", 1),
        ("90m", 5400),
        ("2h", 7200),
        ("3d", 259_200),
        ("1w", 604_800),
        ("1M", 2_592_000),
        ("1y", 31_536_000),
    ] {
        let text = format!(
            "{BASES}title: C\nid: c\ncorrelation:\n  type: temporal\n  rules: [a, b]\n  \
             timespan: {written}\n"
        );
        assert_eq!(correlation(&load(&text), "c").timespan, seconds * 1_000_000, "{written}");
    }
}

#[test]
fn an_invalid_correlation_is_rejected() {
    for (members, message) in [
        ("type: event_count, rules: [x], timespan: 1h, condition: {gte: 1}", "no rule `x`"),
        ("type: event_count, rules: [a], timespan: 1h", "no condition"),
        ("type: event_count, rules: [a], condition: {gte: 1}", "no timespan"),
        ("type: event_count, timespan: 1h, condition: {gte: 1}", "needs 1 to"),
        ("type: event_cnt, rules: [a], timespan: 1h", "help: did you mean `event_count`?"),
        ("type: value_avg, rules: [a], timespan: 1h, condition: {gte: 1}", "is a quantity"),
        ("type: value_count, rules: [a], timespan: 1h, condition: {gte: 1}", "needs the field"),
        (
            "type: value_count, rules: [a], timespan: 1h, field: [verb, verb, verb, verb, verb], \
             condition: {gte: 1}",
            "1 to 4 fields",
        ),
        ("type: event_count, rules: [a], timespan: 1x, condition: {gte: 1}", "not a time"),
        ("type: event_count, rules: [a], timespan: 2y, condition: {gte: 1}", "not a time"),
        ("type: event_count, rules: [a], timespan: 1h, condition: {neq: 1}", "`neq`"),
        ("type: event_count, rules: [a], timespan: 1h, condition: {lt: 3}", "silence"),
        ("type: event_count, rules: [a], timespan: 1h, condition: {gte: 5, lt: 3}", "no number"),
        ("type: event_count, rules: [a], timespan: 1h, condition: {gte: -1}", "must be a number"),
        ("type: event_count, rules: [a], timespan: 1h, condition: {}", "no number"),
        ("type: temporal, rules: [a], timespan: 1h, condition: a and b", "combine rules"),
        ("type: temporal, rules: [a], timespan: 1h, group-by: [usr]", "no audit event"),
        (
            "type: temporal, rules: [a, b], timespan: 1h, group-by: [u], aliases: {u: {a: verb}}",
            "alias `u`",
        ),
        ("type: temporal, rules: [c], timespan: 1h", "is a correlation"),
        ("type: temporal, rules: [a], timespan: 1h, grop-by: verb", "unknown key"),
    ] {
        let text = format!("{BASES}title: C\nid: c\ncorrelation: {{{members}}}\n");
        let messages = errors(&text);
        assert_eq!(messages.len(), 1, "{members}: {messages:#?}");
        assert!(messages[0].contains(message), "{members}: {}", messages[0]);
    }
}

#[test]
fn a_filter_excludes_events_from_its_rules() {
    let with = |rules: &str| {
        format!(
            "{BASES}title: F\nlogsource: {{product: kubernetes, service: audit}}\nfilter:\n  \
             rules: {rules}\n  known: {{user.username: alice}}\n  condition: not known\n"
        )
    };
    let by_alice = event(&json!({}));
    let by_bob = event(&json!({"user.username": "bob"}));
    for (rules, for_alice) in [("[b]", 0), ("any", 0), ("[id-a]", 1), ("[a]", 1)] {
        let rules = load(&with(rules));
        assert_eq!(matches(&rules, &by_alice).len(), for_alice);
        assert_eq!(matches(&rules, &by_bob), ["b"]);
    }
    let messages = errors(&with("[nobody]"));
    assert!(messages.len() == 1 && messages[0].contains("no rule `nobody`"), "{messages:?}");
}

/// Regression: the filter of one new object silenced the rules of all others.
#[test]
fn a_filter_of_a_confined_document_reaches_only_its_own_rules() {
    let filter = "title: F\nfilter:\n  rules: any\n  known: {user.username: alice}\n  \
                  condition: not known\n";
    let own = "title: Own\nid: own\ndetection:\n  s: {verb: delete}\n  condition: s\n---\n";
    let documents =
        [Document::new("others", BASES), Document::confined("own", format!("{own}{filter}"))];
    let rules = RuleSet::load(&documents, &LoadOptions::default()).unwrap();
    assert_eq!(matches(&rules, &event(&json!({}))), ["b"]);
    assert_eq!(matches(&rules, &event(&json!({"user.username": "bob"}))), ["b", "own"]);
}

#[test]
fn the_extension_of_correlations_and_filters_has_only_supported_keys() {
    let correlation = "correlation: {type: temporal, rules: [a, b], timespan: 1h}";
    let filter = "filter: {rules: any, s: {verb: get}, condition: not s}";
    for (body, extension, message) in [
        (correlation, "{group-by: [verb]}", "`group-by` is for rules on single events"),
        (correlation, "{first-seen: {fields: [verb]}}", "`first-seen` is for"),
        (filter, "{query: q}", "a filter raises no signals"),
    ] {
        let messages = errors(&format!("{BASES}title: C\nid: c\nkeepwatch: {extension}\n{body}\n"));
        assert!(messages.len() == 1 && messages[0].contains(message), "{messages:?}");
    }
}

#[test]
fn a_duplicate_rule_name_is_an_error() {
    let messages = errors(&format!("{BASES}{BASES}"));
    assert_eq!(messages.len(), 3, "{messages:#?}");
    assert!(
        messages.iter().all(|error| error.contains("there are two rules with the name")),
        "{messages:#?}"
    );
}

#[test]
fn the_extension_has_documented_defaults() {
    let rules = load(BASES);
    let signal = &rules.rules()[0].signal;
    assert_eq!(signal.keep_alive, detect::sigma::KEEP_ALIVE);
    assert_eq!(signal.max_duration, detect::sigma::MAX_DURATION);
    assert_eq!(signal.group_by, [Field::username()]);
    assert!(signal.first_seen.is_none() && signal.cases.is_empty() && signal.message.is_none());
}

#[test]
fn the_extension_is_parsed() {
    let text = "title: t\nid: t\nkeepwatch:\n  query: deleted_k10_rps\n  group-by: [user.username, cluster]\n  \
        keep-alive: 30m\n  max-duration: 2h\n  title: '{{@User.username}} deleted {{events_matched}}'\n  \
        message: |\n    {{#is_match \"severity\" \"3\" \"4\"}}**now**{{/is_match}} {{events_matched_per_query.deleted_k10_rps}}\n  \
        cases:\n    - {name: many, severity: high, at-least: 5}\n    - {name: one, severity: low}\n  \
        first-seen: {fields: [sourceIPs], learning: 0, forget-after: 14d}\n  blind-spots: [a, b]\n  \
        goal: g\n  strategy: s\n  response: r\n  supersedes: [other]\n\
        detection:\n  s: {verb: delete}\n  condition: s\n---\n\
        title: o\nid: id-o\nname: other\ndetection:\n  s: {verb: get}\n  condition: s\n";
    let rules = load(text);
    let signal = &rules.rules()[0].signal;
    assert_eq!(signal.query, "deleted_k10_rps");
    assert_eq!(signal.group_by.len(), 2);
    assert_eq!((signal.keep_alive.as_secs(), signal.max_duration.as_secs()), (1800, 7200));
    let cases: Vec<(&str, Severity, u64)> = signal
        .cases
        .iter()
        .map(|case| (case.name.as_str(), case.severity, case.at_least))
        .collect();
    assert_eq!(cases, [("many", Severity::High, 5), ("one", Severity::Low, 1)]);
    let first_seen = signal.first_seen.as_ref().unwrap();
    assert_eq!((first_seen.learning, first_seen.forget_after), (0, 14 * 86_400_000_000));
    assert_eq!(signal.blind_spots, ["a", "b"]);
    assert_eq!((signal.guide.goal.as_str(), signal.guide.response.as_str()), ("g", "r"));
    assert_eq!(signal.supersedes, ["id-o"], "a rule is superseded by its id or name");
    let render = |severity: &'static str| {
        signal.message.as_ref().unwrap().render(&|name| match name {
            "severity" => Some(severity.to_owned()),
            "events_matched_per_query.deleted_k10_rps" => Some("6".to_owned()),
            other => panic!("{other}"),
        })
    };
    assert_eq!(render("3"), "**now** 6\n");
    assert_eq!(render("1"), " 6\n");
    let title = signal.title.as_ref().unwrap();
    assert_eq!(title.variables(), ["@User.username", "events_matched"]);
}
