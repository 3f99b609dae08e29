//! Rules on updates in the admission webhook, which have the object before the change.

use serde_json::{Value, json};

use super::support::{event, load, matches, rule};

/// Checks whether a rule with this selection matches the default event with these changes.
fn check(selection: &Value, changes: &Value, expected: bool) {
    let rules = load(&rule(&json!({"s": selection, "condition": "s"})));
    let actual = !matches(&rules, &event(changes)).is_empty();
    assert_eq!(actual, expected, "{selection} of {changes}");
}

/// Checks a selection of an update in the admission webhook, with these specs before and after.
fn change(selection: &Value, before: &Value, after: &Value, expected: bool) {
    let before = json!({"metadata": {"name": "a"}, "spec": before}).to_string();
    let changes = json!({
        "verb": "update", "stage": "RequestReceived", "responseStatus": null,
        "requestObject": {"metadata": {"name": "a"}, "spec": after},
        "annotations": {"keepwatch.io/admission": "", "keepwatch.io/old-object": before},
    });
    check(selection, &changes, expected);
}

#[test]
fn a_field_is_compared_with_the_object_before_a_change() {
    let compared = |modifier: &str| {
        let key = format!("requestObject.spec.a|{modifier}|fieldref");
        json!({key: "oldObject.spec.a"})
    };
    for (modifier, before, after, expected) in [
        ("lt", json!(7), json!(3), true),
        ("lt", json!(7), json!(7), false),
        ("lte", json!(7), json!(7), true),
        ("gt", json!("7"), json!("10"), true),
        // Of two different values, one that is not understood counts.
        ("lt", json!("many"), json!(3), true),
        ("lt", json!(3), json!("many"), true),
        ("lt", json!("many"), json!("many"), false),
        ("gt", json!("many"), json!(3), false),
        ("lt", json!(null), json!(3), false),
        ("lt", json!(""), json!(3), false),
        // A number that is removed from an object that stays.
        ("lt", json!(3), json!(null), true),
        ("lt", json!(0), json!(null), false),
        ("gt", json!(3), json!(null), false),
        ("lt", json!([5, 7]), json!([5, 3]), true),
        ("lt", json!([3, 7]), json!([7, 3]), false),
        ("lt", json!([7]), json!([7, 3]), false),
        ("lt", json!([{}, 7]), json!([{}, 3]), true),
        ("shorter", json!("720h0m0s"), json!("24h0m0s"), true),
        ("shorter", json!("30d"), json!("720h"), false),
        ("shorter", json!("24h"), json!(null), false),
        ("shorter", json!("soon"), json!("24h"), true),
        ("shorter|months", json!("3m"), json!("20h"), true),
        ("shorter", json!("3m"), json!("20h"), false),
        ("rarer", json!("0 2 * * *"), json!("0 2 * * 0"), true),
        ("rarer", json!("0 2 * * *"), json!(null), true),
        ("rarer", json!(""), json!("0 2 * * *"), false),
        ("rarer", json!(["0 2 * * 0", "0 2 * * *"]), json!(["0 2 * * *", "0 2 * * 0"]), false),
        ("rarer", json!(["0 2 * * 0", "0 2 * * *"]), json!(["0 2 * * 0"]), true),
        ("narrower", json!(["*"]), json!(["shop"]), true),
        ("narrower", json!(null), json!({"matchLabels": {"a": "b"}}), true),
        ("narrower", json!({"matchLabels": {"a": "b"}}), json!({}), false),
        ("loses", json!(["a", "b"]), json!(["b"]), true),
        ("loses", json!(["a"]), json!(null), true),
        ("loses", json!(["a"]), json!(["b", "a"]), false),
    ] {
        change(&compared(modifier), &json!({"a": before}), &json!({"a": after}), expected);
    }
    // Events of other sources have no object before.
    let changes = json!({"requestObject": {"spec": {"a": 3}}});
    check(&compared("lt"), &changes, false);
}

/// A client can make an object so long that it is cut, and must not hide a change by that.
#[test]
fn an_object_that_was_cut_counts_as_changed() {
    let cut = event::limit::cut_body(b"{}");
    let changes = json!({
        "verb": "update", "stage": "RequestReceived", "responseStatus": null,
        "requestObject": {"spec": {"a": "1h"}},
        "annotations": {"keepwatch.io/admission": "",
            "keepwatch.io/old-object": String::from_utf8_lossy(cut.as_bytes())},
    });
    for selection in [
        json!({"requestObject.spec.a|shorter|fieldref": "oldObject.spec.a"}),
        json!({"writes.spec.a": true}),
    ] {
        check(&selection, &changes, true);
    }
}

/// A client can make a selector so long that it is not parsed, or send what is no selector.
#[test]
fn a_selector_that_cannot_be_read_counts_as_narrower() {
    let selection = json!({"requestObject.spec.a|narrower|fieldref": "oldObject.spec.a"});
    let long = json!(["x".repeat(100_000)]);
    for (before, after, expected) in [
        (json!(["*"]), long.clone(), true),
        (long.clone(), long, false),
        (json!(["*"]), json!("shop"), true),
        (json!("shop"), json!("shop"), false),
    ] {
        change(&selection, &json!({"a": before}), &json!({"a": after}), expected);
    }
}

/// Regression: a list of a thousand schedules took a quarter of a second for each rule.
#[test]
fn a_long_list_of_changed_schedules_counts_as_rarer() {
    let selection = json!({"requestObject.spec.a.cron|rarer|fieldref": "oldObject.spec.a.cron"});
    let schedules = |len: usize, minute: usize| -> Value {
        let schedule = |at: usize| json!({"cron": format!("{} {} * * *", minute, at % 24)});
        (0..len).map(schedule).collect()
    };
    for (before, after, expected) in [
        (schedules(24, 0), schedules(24, 1), false),
        (schedules(1000, 0), schedules(1000, 0), false),
        // The pairs are few.
        (schedules(1000, 0), schedules(1000, 1), false),
    ] {
        change(&selection, &json!({"a": before}), &json!({"a": after}), expected);
    }
    let various = |hour: usize| -> Value {
        (0..33).map(|minute| json!({"cron": format!("{minute} {hour} * * *")})).collect()
    };
    change(&selection, &json!({"a": various(0)}), &json!({"a": various(1)}), true);
}

/// An update in admission has the whole object: every change of a label once counted as a change of
/// every field.
#[test]
fn an_update_in_admission_writes_the_fields_that_differ() {
    let of = |path: &str, is: bool| json!({format!("writes.spec.{path}"): is});
    let long = json!("x".repeat(100_000));
    for (path, before, after, expected) in [
        ("a", json!({"a": 1}), json!({"a": 1, "b": 2}), false),
        ("b", json!({"a": 1}), json!({"a": 1, "b": 2}), true),
        ("a", json!({"a": 1}), json!({}), true),
        ("a", json!({"a": {"b": 1, "c": ""}}), json!({"a": {"b": 1}}), false),
        ("a", json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), true),
        ("a.c", json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), false),
        ("a.b", json!({"a": [{"b": 1}, {"b": 2}]}), json!({"a": [{"b": 1}, {"b": 3}]}), true),
        ("a.b", json!({"a": [{"b": 1, "c": 1}]}), json!({"a": [{"b": 1}]}), false),
        ("a", json!({"a": long}), json!({"a": long}), false),
        ("a", json!({"a": long}), json!({"a": ""}), true),
    ] {
        change(&of(path, true), &before, &after, expected);
        change(&of(path, false), &before, &after, !expected);
    }
}

/// Regression: the values of lists were compared by position, so that a new item in front hid a change
/// or made one up.
#[test]
fn items_of_a_list_are_compared_by_name() {
    let selection = json!({"requestObject.spec.a.keep|lt|fieldref": "oldObject.spec.a.keep"});
    let item = |name: &str, keep: i32| json!({"name": name, "keep": keep});
    for (before, after, expected) in [
        (json!([item("a", 7), item("b", 3)]), json!([item("b", 3), item("a", 7)]), false),
        (json!([item("a", 7), item("b", 3)]), json!([item("b", 7), item("a", 3)]), true),
        (json!([item("a", 7)]), json!([item("c", 1), item("a", 7)]), false),
        (json!([item("a", 7)]), json!([{"name": "a"}]), true),
        // A schedule that is removed counts by itself.
        (json!([item("a", 7)]), json!([]), false),
    ] {
        change(&selection, &json!({"a": before}), &json!({"a": after}), expected);
    }
}
