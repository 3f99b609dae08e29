//! Properties that hold for any text and any event.

use detect::{Document, Field, LoadOptions, RuleSet, Template};
use event::EventRef;
use proptest::prelude::*;
use serde_json::json;

use super::support::{event, load, matches, rule};

/// Pieces of rule files, valid and invalid.
const PIECES: [&str; 44] = [
    "title: t\n",
    "id: t\n",
    "name: n\n",
    "level: high\n",
    "detection:\n",
    "correlation:\n",
    "filter:\n",
    "keepwatch:\n",
    "logsource: {product: kubernetes}\n",
    "---\n",
    "  s:\n",
    "  s: {verb: get}\n",
    "    verb: delete\n",
    "    verb|re|i: ^d\n",
    "    - verb: get\n",
    "    user.username|contains|all: [a, b]\n",
    "    annotations[\"a.b/c\"]: x\n",
    "    requestObject.a|base64offset: y\n",
    "    sourceIPs|cidr: 10.0.0.0/8\n",
    "    objectRef.name|expand: '%k10_domain%'\n",
    "  condition: s\n",
    "  condition: all of them\n",
    "  condition: not (s or 1 of x*)\n",
    "  condition: {gte: 5}\n",
    "  type: event_count\n",
    "  type: temporal_ordered\n",
    "  rules: [t, n]\n",
    "  rules: any\n",
    "  timespan: 5m\n",
    "  group-by: [user.username]\n",
    "  cases: [{severity: low}]\n",
    "  message: '{{severity}}{{#@verb}}x{{/@verb}}'\n",
    "  first-seen: {fields: [verb]}\n",
    "&a ",
    "*a ",
    "[",
    "]",
    "{",
    "}",
    "|",
    ">\n",
    "\"",
    "\\",
    "\u{fffd}\u{0}",
];

/// Matches with unlimited backtracking, as the definition.
fn matches_by_definition(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => {
            (0..=text.len()).any(|from| matches_by_definition(rest, &text[from..]))
        }
        Some((token, rest)) => text.split_first().is_some_and(|(char, text)| {
            (*token == '?' || token == char) && matches_by_definition(rest, text)
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_accepted_or_rejected_with_positions(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40)
    ) {
        let files = [Document::new("f.yaml", pieces.concat())];
        let (rules, errors) = RuleSet::load_lenient(&files, &LoadOptions::default());
        prop_assert!(errors.len() <= detect::error::ERRORS_MAX);
        for error in &errors {
            prop_assert!(error.line >= 1 && error.column >= 1, "{error}");
            prop_assert!(error.line <= files[0].text.lines().count() + 1, "{error}");
        }
        let event = event(&json!({}));
        for id in matches(&rules, &event) {
            prop_assert!(rules.find(&id).is_some());
        }
    }

    #[test]
    fn any_path_survives_a_round_trip_or_is_rejected_with_a_hint(
        path in "(user|User|objectRef|requestObject|annotations|verb|[a-z/]{0,4})([.\\[][\"']?[a-zA-Z./]{0,8}[\"']?\\]?){0,4}"
    ) {
        let event = event(&json!({"requestObject": {"a": {"b": [1]}}}));
        let view = EventRef::from(&event);
        match Field::parse(&path) {
            Ok(field) => {
                prop_assert_eq!(field.to_string(), path);
                let fields = detect::Fields::new(&view);
                let mut first = None;
                fields.for_each_value(&field, |value| {
                    first.get_or_insert_with(|| value.to_owned());
                });
                prop_assert_eq!(fields.text(&field).map(String::from), first);
            }
            Err(error) => prop_assert!(error.hint.is_some()),
        }
    }

    #[test]
    fn wildcards_match_by_their_definition(pattern in "[ab*?]{0,8}", text in "[ab]{1,10}") {
        let rules = load(&rule(&json!({"s": {"objectRef.name|cased": pattern}, "condition": "s"})));
        let event = event(&json!({"objectRef.name": text}));
        let of = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = matches_by_definition(&of(&pattern), &of(&text));
        prop_assert_eq!(!matches(&rules, &event).is_empty(), expected);
    }

    #[test]
    fn any_text_is_a_valid_template_or_rejected(text in "([a-z ]|\\{\\{|\\}\\}|#is_match \"severity\" \"a\"|/is_match|severity|@verb|#|/|\\^){0,20}") {
        if let Ok(template) = Template::parse(&text) {
            let rendered = template.render(&|name| Some(name.to_owned()));
            prop_assert!(!rendered.contains("{{") || text.contains("{{{") || !text.contains("}}"), "{}", rendered);
        }
    }
}
