//! Hostile and unusual streams, whole and in parts.

use proptest::prelude::{any, proptest};
use source::limits::EVENT_BYTES_MAX;
use source::splitter::{Fault, Item, Splitter};

/// The items of a stream that arrives in parts of this length.
fn split(stream: &[u8], part: usize) -> Vec<Item> {
    let mut splitter = Splitter::new(b"prod\0");
    let mut items = Vec::new();
    for mut part in stream.chunks(part.max(1)) {
        while let Some(item) = splitter.next(&mut part) {
            items.push(item);
        }
        assert_eq!(part, b"", "bytes are left");
    }
    items.extend(splitter.finish());
    items
}

fn outline(items: &[Item]) -> Vec<String> {
    let outline = |item: &Item| {
        let text = String::from_utf8_lossy(&item.text);
        match item.fault {
            None => text.into_owned(),
            Some(fault) => format!("{fault:?} {text}"),
        }
    };
    items.iter().map(outline).collect()
}

/// Checks the items of a stream, whole and split at each byte.
#[track_caller]
fn check(stream: &str, expected: &[&str]) {
    let complete = split(stream.as_bytes(), usize::MAX);
    assert_eq!(outline(&complete), expected, "{stream}");
    for part in 1..stream.len().min(64) {
        assert_eq!(split(stream.as_bytes(), part), complete, "{stream} in parts of {part}");
    }
    for at in 0..stream.len().min(512) {
        let (mut before, mut after) = stream.as_bytes().split_at(at);
        let mut splitter = Splitter::new(b"prod\0");
        let mut items = Vec::new();
        for part in [&mut before, &mut after] {
            items.extend(std::iter::from_fn(|| splitter.next(part)));
        }
        items.extend(splitter.finish());
        assert_eq!(items, complete, "{stream} at {at}");
    }
}

const HEAD: &str = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;

/// A list with this text between its brackets.
fn list(items: &str) -> String {
    format!("{HEAD}{items}]}}")
}

#[test]
fn the_events_of_a_list_are_its_items() {
    check(&list(""), &[]);
    check(&list(r#"{"a":1}"#), &[r#"{"a":1}"#]);
    check(&list(r#" {"a":[{}]} , {"b":"]}"} "#), &[r#"{"a":[{}]}"#, r#"{"b":"]}"}"#]);
    check(&list(r#"{"a":"\"]},{"},{"b\\":"\\"}"#), &[r#"{"a":"\"]},{"}"#, r#"{"b\\":"\\"}"#]);
    check(r#"{ "items" : [ {} ] }"#, &["{}"]);
    check(r#"{"items":[{"items":[1]}],"kind":"EventList"}"#, &[r#"{"items":[1]}"#]);
}

#[test]
fn documents_may_follow_each_other_and_need_not_be_lists() {
    check(r#"{"kind":"Event","auditID":"a"}"#, &[r#"{"kind":"Event","auditID":"a"}"#]);
    check("{\"a\":1}\n{\"b\":2}\n", &[r#"{"a":1}"#, r#"{"b":2}"#]);
    check(&format!("\u{feff} {}{}", list("{}"), list(r#"{"a":1}"#)), &["{}", r#"{"a":1}"#]);
    check(r#"{"items":[{}],"items":[{"a":1}]}"#, &["{}", r#"{"a":1}"#]);
    check(r#"{"items":{"a":[1]}}"#, &[r#"{"items":{"a":[1]}}"#]);
    check(r#"{"a":{"items":[1]}}"#, &[r#"{"a":{"items":[1]}}"#]);
}

#[test]
fn what_is_no_object_is_an_item_with_a_fault() {
    check("", &["Empty "]);
    check(" \n", &["Empty "]);
    check("null", &["NotAnObject null"]);
    check("<html> </html>", &["NotAnObject <html>", "NotAnObject </html>"]);
    check("\u{feff}\u{feff}", &["NotAnObject \u{feff}"]);
    check(
        &list("null,1,\"a,]\",[[]],x"),
        &[
            "NotAnObject null",
            "NotAnObject 1",
            "NotAnObject \"a,]\"",
            "NotAnObject [[]]",
            "NotAnObject x",
        ],
    );
    check(&list("{}}"), &["{}", "NotAnObject }"]);
    check(&list("{} {}"), &["{}", "{}"]);
    check(&list(",,{},"), &["{}"]);
    check(&list(r#"{"a":1]"#), &[r#"{"a":1]"#]);
    check("]", &["NotAnObject ]"]);
}

#[test]
fn a_truncated_stream_is_an_item_with_a_fault() {
    check(HEAD, &["UnclosedList "]);
    check(&format!("{HEAD}{{}}"), &["{}", "UnclosedList "]);
    check(&format!("{HEAD}{{}}]"), &["{}", "UnclosedList "]);
    check(&format!("{HEAD}{{}},{{\"a"), &["{}", "Incomplete {\"a"]);
    check(r#"{"kind":"Ev"#, &[r#"Incomplete {"kind":"Ev"#]);
}

#[test]
fn a_list_of_another_kind_is_one_item() {
    for head in [
        r#"{"kind":"SecretList","items":["#,
        r#"{"kind":"EventList","apiVersion":"v1","items":["#,
        r#"{"kind":[1],"items":["#,
    ] {
        let complete = format!("OtherList {head}{{\"a\":1}},{{}}]}}");
        check(&format!("{head}{{\"a\":1}},{{}}]}}"), &[&complete]);
        let cut = format!("OtherList {head}{{\"a\"");
        check(&format!("{head}{{\"a\""), &[&cut]);
    }
}

/// Regression test of the rule that a copy has the identity of the first: it must not depend on how
/// the bytes arrived, nor on the other events.
#[test]
fn an_identity_depends_on_the_bytes_of_the_event_and_the_seed_only() {
    let item = |stream: &str| split(stream.as_bytes(), 7).remove(0).digest;
    let first = item(&list(r#"{"a":1},{"b":2}"#));
    assert_eq!(first, item(&list(r#"{"a":1}"#)));
    assert_eq!(first, item(r#"{"a":1}"#));
    assert_ne!(first, item(&list(r#"{"a":2}"#)));
    let mut other = Splitter::new(b"test\0");
    assert_ne!(first, other.next(&mut br#"{"a":1}"#.as_slice()).unwrap().digest);
    // Two streams that end after different events must not count as the same stream.
    let unclosed = |event: &str| split(format!("{HEAD}{event}").as_bytes(), 7).remove(1).digest;
    assert_ne!(unclosed(r#"{"a":1}"#), unclosed(r#"{"a":2}"#));
}

#[test]
fn deep_nesting_takes_no_stack() {
    let deep = "[".repeat(1_000_000);
    let items = split(list(&format!("{{\"a\":{deep}")).as_bytes(), 1 << 16);
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].fault, Some(Fault::Incomplete));
}

/// Checks which bodies of an event are replaced.
#[track_caller]
fn check_cut(event: &str, expected: &str, cut: &[(&'static str, u64)]) {
    for part in [99_991, usize::MAX] {
        let items = split(list(event).as_bytes(), part);
        assert_eq!(items.len(), 1);
        let item = &items[0];
        assert_eq!((item.fault, item.len), (None, event.len() as u64));
        assert_eq!(String::from_utf8_lossy(&item.text), expected, "in parts of {part}");
        assert_eq!(item.cut, cut);
    }
}

#[test]
fn bodies_that_make_an_event_too_long_are_replaced_in_order() {
    let body = |byte: &str, len: usize| format!("{{\"d\":\"{}\"}}", byte.repeat(len - 8));
    let mark = |body: &str| {
        let mark = event::limit::cut_body(body.as_bytes());
        String::from_utf8(mark.as_bytes().to_vec()).unwrap()
    };
    let event = |sent: &str, answered: &str| {
        format!(
            r#"{{"auditID":"a","requestObject":{sent},"responseObject":{answered},"stage":"s"}}"#
        )
    };
    let (half, more) = (EVENT_BYTES_MAX / 2 - 1000, EVENT_BYTES_MAX + 5);
    let (sent, answered) = (body("x", half), body("y", half));
    assert_eq!(split(list(&event(&sent, &answered)).as_bytes(), 1 << 16)[0].cut, []);
    let long = body("z", more);
    let len = long.len() as u64;
    check_cut(&event(&sent, &long), &event(&sent, &mark(&long)), &[("responseObject", len)]);
    check_cut(&event(&long, &sent), &event(&mark(&long), &sent), &[("requestObject", len)]);
    check_cut(
        &event(&long, &long),
        &event(&mark(&long), &mark(&long)),
        &[("requestObject", len), ("responseObject", len)],
    );
    // Only the body that is too long is replaced, also if it arrives at once with the one before it.
    let reversed = |answered: &str, sent: &str| {
        format!(r#"{{"responseObject":{answered},"requestObject":{sent},"stage":"s"}}"#)
    };
    check_cut(&reversed(&sent, &long), &reversed(&sent, &mark(&long)), &[("requestObject", len)]);
    // What is too long follows the bodies: the body of the response is replaced first.
    let tail = "t".repeat(2000);
    let with_tail = |event: &str| event.replace(r#""stage":"s""#, &format!(r#""stage":"{tail}""#));
    let half = half as u64;
    check_cut(
        &with_tail(&event(&sent, &answered)),
        &with_tail(&event(&sent, &mark(&answered))),
        &[("responseObject", half)],
    );
}

#[test]
fn an_event_that_is_too_long_without_bodies_is_an_item_with_a_fault() {
    let long = "x".repeat(EVENT_BYTES_MAX);
    let stream = list(&format!(r#"{{"a":"{long}","requestObject":{{}}}},{{"b":1}}"#));
    let items = split(stream.as_bytes(), 1 << 16);
    assert_eq!(items[0].fault, Some(Fault::TooLong));
    assert!(items[0].text.len() < 10_000 && items[0].len > EVENT_BYTES_MAX as u64);
    assert_eq!(outline(&items[1..]), [r#"{"b":1}"#]);
}

proptest! {
    /// Whatever the bytes, the parts in which they arrive make no difference, and nothing panics.
    #[test]
    fn parts_make_no_difference(
        bytes in r#"[\[\]{},:"\\ aitems1]{0,80}"#,
        part in 1_usize..20,
        is_item in any::<bool>(),
    ) {
        let stream = if is_item { format!("{HEAD}{bytes}") } else { bytes };
        assert_eq!(split(stream.as_bytes(), part), split(stream.as_bytes(), usize::MAX));
    }
}
