//! The audit event of a request at each stage.

use audit::{Decision, EventBuilder, Layer, RequestMetadata, Response, Stages};
use bytes::Bytes;
use event::{Event, Json, Level, ObjectReference, Stage, Status, Timestamp};

const NOW: Timestamp = Timestamp::from_micros(2_000_000);

fn decision(level: Level, omitted: &[Stage]) -> Decision {
    let omit_stages: Stages = omitted.iter().copied().collect();
    Decision { level, rule: Some(0), omit_stages, omit_managed_fields: false }
}

fn metadata() -> RequestMetadata {
    RequestMetadata {
        audit_id: "id".to_owned(),
        received: Timestamp::from_micros(1_000_000),
        object_ref: Some(ObjectReference {
            resource: "restorepoints".to_owned(),
            ..ObjectReference::default()
        }),
        ..RequestMetadata::default()
    }
}

fn json(text: &str) -> Json {
    Json::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn text(body: Option<&Json>) -> &str {
    body.map_or("", |body| std::str::from_utf8(body.as_bytes()).unwrap())
}

fn response(code: u16, object: &str) -> Response {
    Response { code, status: None, object: Some(json(object)) }
}

/// Status code, stage and timestamp (in microseconds) of each event.
fn outline(events: impl IntoIterator<Item = Event>) -> Vec<(u16, Stage, i64)> {
    let code = |event: &Event| event.response_status.as_ref().map_or(0, |status| status.code);
    events
        .into_iter()
        .map(|event| (code(&event), event.stage, event.stage_timestamp.as_micros()))
        .collect()
}

#[test]
fn level_none_does_not_collect_metadata() {
    let event_builder =
        EventBuilder::begin(&decision(Level::None, &[]), || panic!("the metadata is collected"));
    assert!(event_builder.is_none());
}

#[test]
fn each_level_records_its_bodies() {
    for (level, request, responded) in [
        (Level::Metadata, "", ""),
        (Level::Request, "{\"a\":1}", ""),
        (Level::RequestResponse, "{\"a\":1}", "{\"b\":2}"),
    ] {
        let mut event_builder = EventBuilder::begin(&decision(level, &[]), metadata).unwrap();
        event_builder.request_object(json("{\"a\":1}"));
        let event = event_builder.complete(response(201, "{\"b\":2}"), NOW).cloned().unwrap();
        assert_eq!(text(event.request_object.as_ref()), request);
        assert_eq!(text(event.response_object.as_ref()), responded);
        assert_eq!(event.level, level);
        assert_eq!(event.response_status.unwrap().code, 201);
    }
}

#[test]
fn a_plain_request_has_two_stages_and_each_can_be_omitted() {
    let build = |omitted: &[Stage]| {
        let mut event_builder =
            EventBuilder::begin(&decision(Level::Metadata, omitted), metadata).unwrap();
        let received = event_builder.received();
        let response_started = event_builder.response_started(200, NOW);
        outline(
            [received, response_started, event_builder.complete(response(200, "{}"), NOW).cloned()]
                .into_iter()
                .flatten(),
        )
    };
    let (received, complete) =
        ((0, Stage::RequestReceived, 1_000_000), (200, Stage::ResponseComplete, 2_000_000));
    assert_eq!(build(&[]), [received, complete]);
    assert_eq!(build(&[Stage::RequestReceived]), [complete]);
    assert_eq!(build(&[Stage::ResponseComplete]), [received]);
}

#[test]
fn a_watch_has_an_event_at_its_start_and_at_its_end() {
    let watch = || RequestMetadata { long_running: true, ..metadata() };
    let mut event_builder = EventBuilder::begin(&decision(Level::Metadata, &[]), watch).unwrap();
    let response_started = event_builder.response_started(200, NOW);
    let complete =
        event_builder.complete(Response { code: 200, ..Response::default() }, NOW).cloned();
    assert_eq!(
        outline(response_started.into_iter().chain(complete)),
        [(200, Stage::ResponseStarted, 2_000_000), (200, Stage::ResponseComplete, 2_000_000)]
    );
}

#[test]
fn failures_have_their_stages() {
    let begin = || EventBuilder::begin(&decision(Level::RequestResponse, &[]), metadata).unwrap();
    let panicked = begin().panicked("boom", NOW).cloned().unwrap();
    assert_eq!(panicked.stage, Stage::Panic);
    let status = panicked.response_status.unwrap();
    assert_eq!((status.code, status.reason.as_str()), (500, "InternalError"));
    assert_eq!(status.message, "APIServer panic'd: boom");

    let status = Status { reason: "Unauthorized".to_owned(), ..Status::default() };
    let response = Response { code: 401, status: Some(status), object: Some(json("{}")) };
    let unauthorized = begin().unauthorized(response.clone(), NOW).cloned().unwrap();
    assert_eq!(
        (unauthorized.stage, unauthorized.user.username.as_str()),
        (Stage::ResponseStarted, "")
    );
    assert_eq!(unauthorized.response_status.unwrap().reason, "Unauthorized");
    let omitted = decision(Level::Metadata, &[Stage::ResponseStarted]);
    assert!(EventBuilder::begin(&omitted, metadata).unwrap().unauthorized(response, NOW).is_none());
}

#[test]
fn the_body_fills_fields_that_the_url_lacks() {
    let object = r#"{"metadata":{"name":"rp","namespace":"shop","uid":"u","resourceVersion":"7"}}"#;
    let metadata = || RequestMetadata {
        object_ref: Some(ObjectReference { namespace: "url".to_owned(), ..Default::default() }),
        ..metadata()
    };
    let mut event_builder = EventBuilder::begin(&decision(Level::Metadata, &[]), metadata).unwrap();
    event_builder.request_object(json(object));
    let object_ref = event_builder.received().unwrap().object_ref.unwrap();
    assert_eq!(
        [object_ref.namespace, object_ref.name, object_ref.uid, object_ref.resource_version],
        ["url", "rp", "u", "7"]
    );
}

#[test]
fn the_first_value_of_an_annotation_is_kept() {
    let mut event_builder = EventBuilder::begin(&decision(Level::Metadata, &[]), metadata).unwrap();
    assert!(event_builder.annotate("a", "1"));
    assert!(event_builder.annotate("a", "1"));
    assert!(!event_builder.annotate("a", "2"));
    assert_eq!(event_builder.received().unwrap().annotations["a"], "1");
}

fn recorded(decision: Decision, is_redacted: bool, body: &str) -> String {
    let recorded_fields = is_redacted.then_some(&[][..]);
    let metadata = || RequestMetadata { recorded_fields, ..metadata() };
    let mut event_builder = EventBuilder::begin(&decision, metadata).unwrap();
    event_builder.request_object(json(body));
    let event = event_builder.complete(response(200, body), NOW).cloned().unwrap();
    assert_eq!(event.request_object, event.response_object);
    text(event.request_object.as_ref()).to_owned()
}

#[test]
fn managed_fields_are_removed_and_nothing_else_changes() {
    let decision = Decision { omit_managed_fields: true, ..decision(Level::RequestResponse, &[]) };
    for (body, expected) in [
        (
            r#"{"z":1.50,"metadata":{"b":"\u003c","managedFields":[{}],"a":1}}"#,
            r#"{"z":1.50,"metadata":{"b":"\u003c","a":1}}"#,
        ),
        (
            r#"{"metadata":{},"items":[{"metadata":{"managedFields":[]}},1,{"spec":{"managedFields":2}}]}"#,
            r#"{"metadata":{},"items":[{"metadata":{}},1,{"spec":{"managedFields":2}}]}"#,
        ),
        (r#"["managedFields"]"#, r#"["managedFields"]"#),
        (
            r#"{"kind":"Table","rows":[{"cells":[1.50],"object":{"metadata":{"name":"a","managedFields":[{}]}}},{"cells":[],"object":null},3]}"#,
            r#"{"kind":"Table","rows":[{"cells":[1.50],"object":{"metadata":{"name":"a"}}},{"cells":[],"object":null},3]}"#,
        ),
        (r#"{"metadata":"managedFields"}"#, r#"{"metadata":"managedFields"}"#),
    ] {
        assert_eq!(recorded(decision, false, body), expected);
    }
}

#[test]
fn redacted_bodies_contain_only_references() {
    for (body, expected) in [
        (
            r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"n","uid":"u","annotations":{"last":"HUSH"}},"data":{"k":"HUSH"}}"#,
            r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"n","uid":"u"}}"#,
        ),
        (
            r#"{"kind":"SecretList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"s"},"data":"HUSH","items":"HUSH"}]}"#,
            r#"{"kind":"SecretList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"s"}}]}"#,
        ),
        (
            r#"{"kind":["HUSH"],"metadata":{"name":{"x":"HUSH"}},"items":"HUSH"}"#,
            r#"{"metadata":{}}"#,
        ),
        (r#"{"metadata":"HUSH"}"#, "{}"),
        (r#"[{"op":"add","value":"HUSH"}]"#, r#"[{"op":"add"}]"#),
        (r#""HUSH""#, ""),
    ] {
        assert_eq!(recorded(decision(Level::RequestResponse, &[]), true, body), expected);
    }
}

#[test]
fn a_slow_request_has_latency_annotations() {
    let received = metadata().received.as_micros();
    for (micros, expected) in
        [(500_000, None), (500_001, Some("500.001ms")), (61_500_000, Some("1m1.5s"))]
    {
        let mut event_builder =
            EventBuilder::begin(&decision(Level::Metadata, &[]), metadata).unwrap();
        event_builder.track_latency(Layer::Authorization, 400_000);
        event_builder.track_latency(Layer::Authorization, 1_500);
        let event = event_builder
            .complete(Response::default(), Timestamp::from_micros(received + micros))
            .cloned();
        let annotations = event.unwrap().annotations;
        let total = annotations.get("apiserver.latency.k8s.io/total").map(String::as_str);
        assert_eq!(total, expected);
        let part = annotations.get("apiserver.latency.k8s.io/authorization").map(String::as_str);
        assert_eq!(part, expected.and(Some("401.5ms")));
        assert_eq!(annotations.len(), if expected.is_some() { 2 } else { 0 });
    }
}

#[test]
fn a_rejected_watch_has_both_stages() {
    let watch = || RequestMetadata { long_running: true, ..metadata() };
    let mut event_builder =
        EventBuilder::begin(&decision(Level::RequestResponse, &[]), watch).unwrap();
    let response_started =
        event_builder.response_started_with(response(403, "{\"b\":2}"), NOW).unwrap();
    assert_eq!(text(response_started.response_object.as_ref()), "{\"b\":2}");
    let complete = event_builder.complete(response(403, "{\"b\":2}"), NOW).cloned().unwrap();
    assert_eq!(
        outline([response_started, complete]),
        [(403, Stage::ResponseStarted, 2_000_000), (403, Stage::ResponseComplete, 2_000_000)]
    );
    let mut event_builder =
        EventBuilder::begin(&decision(Level::RequestResponse, &[]), metadata).unwrap();
    assert!(event_builder.response_started_with(response(403, "{}"), NOW).is_none());
}
