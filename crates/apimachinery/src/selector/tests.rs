//! Tests of selectors against Kubernetes' messages and against a naive model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::Selector;

#[track_caller]
fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    let parsed = Selector::parse(selector).unwrap();
    assert_eq!(parsed.matches(|key| labels.get(key).copied()), expected, "{selector}");
}

#[test]
fn selectors_match() {
    let labels = [("app", "shop"), ("tier", "web"), ("n", "7")];
    for (selector, expected) in [
        ("", true),
        ("app", true),
        ("!app", false),
        ("!gone", true),
        ("app=shop", true),
        ("app==shop, tier = web", true),
        ("app!=shop", false),
        ("gone!=shop", true),
        ("app in (shop,bank)", true),
        ("app notin (shop)", false),
        ("gone notin (shop)", true),
        ("app in (bank, )", false),
        ("app in ()", false),
        ("app notin ()", true),
        ("n>6", true),
        ("n<7", false),
        ("gone>1", false),
        ("app=", false),
        ("in in (in)", false),
        ("example.com/x=y", false),
    ] {
        check(selector, &labels, expected);
    }
}

#[test]
fn a_set_with_only_the_empty_value_survives_a_round_trip() {
    for text in ["x in (,)", "x in ()", "x notin (\t,)", "x in (,,a)"] {
        let selector = Selector::parse(text).unwrap();
        assert_eq!(Selector::parse(&selector.to_string()), Ok(selector), "{text}");
    }
}

#[test]
fn errors_are_those_of_kubernetes() {
    for (selector, expected) in [
        ("a in", "unable to parse requirement: found '' expected: '('"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a==(", "unable to parse requirement: found '(', expected: identifier"),
        (
            "a>b",
            "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ] {
        assert_eq!(Selector::parse(selector).unwrap_err(), expected, "{selector}");
    }
    assert!(Selector::parse("-a").unwrap_err().starts_with(
        "unable to parse requirement: key: Invalid value: \"-a\": name part must consist of"
    ));
    assert!(Selector::parse("a=-").unwrap_err().starts_with(
        "unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label must be"
    ));
}

/// A requirement in a form that needs no parser.
#[derive(Clone, Debug)]
struct Condition {
    key: String,
    operator: u8,
    values: Vec<String>,
}

impl Condition {
    fn text(&self) -> String {
        let Self { key, values, .. } = self;
        match self.operator {
            0 => key.clone(),
            1 => format!("!{key}"),
            2 => format!("{key}={}", values[0]),
            3 => format!("{key} != {}", values[0]),
            4 => format!("{key} in ({})", values.join(", ")),
            _ => format!("{key} notin ({})", values.join(",")),
        }
    }

    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            0 => value.is_some(),
            1 => value.is_none(),
            2 => value == Some(&self.values[0]),
            3 => value != Some(&self.values[0]),
            4 => value.is_some_and(|value| self.values.contains(value)),
            _ => !value.is_some_and(|value| self.values.contains(value)),
        }
    }
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    let values = prop::collection::vec("[ab]{1,2}", 1..4);
    let condition = ("[ab]", 0u8..6, values).prop_map(|(key, operator, values)| Condition {
        key,
        operator,
        values,
    });
    prop::collection::vec(condition, 0..4)
}

proptest! {
    #[test]
    fn a_selector_matches_as_the_model(
        conditions in conditions(),
        labels in prop::collection::btree_map("[ab]", "[ab]{1,2}", 0..3),
    ) {
        let text: Vec<String> = conditions.iter().map(Condition::text).collect();
        let selector = Selector::parse(&text.join(",")).unwrap();
        let expected = conditions.iter().all(|condition| condition.holds(&labels));
        prop_assert_eq!(selector.matches(|key| labels.get(key).map(String::as_str)), expected);
    }

    #[test]
    fn a_selector_survives_a_round_trip(conditions in conditions()) {
        let text: Vec<String> = conditions.iter().map(Condition::text).collect();
        let selector = Selector::parse(&text.join(",")).unwrap();
        prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
    }

    #[test]
    fn no_text_breaks_the_parser(text in "[a-c!=(),<> in./-]{0,20}") {
        if let Ok(selector) = Selector::parse(&text) {
            prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
        }
    }
}
