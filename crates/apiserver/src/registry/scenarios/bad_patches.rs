//! Patches that cannot be, in the words Kubernetes users know.

use super::bad_input::{MERGE, check};

#[tokio::test]
async fn patches() {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json-patch+json")];
    const APPLY: &[(&str, &str)] = &[("content-type", "application/apply-patch+yaml")];
    let undecodable = "error decoding patch: ";
    let rejected = "the server rejected our request due to an error in our request";
    let invalid = "Widget.test.example.com \"a\" is invalid: ";
    let (wrong_size, gone, range) = (
        format!("{invalid}spec.size: Invalid value: \"string\": spec.size in body must be of type"),
        format!("{invalid}spec.size: Required value"),
        format!("{invalid}spec.size: Invalid value: 0: spec.size in body should be greater than"),
    );
    let deep = format!(r#"{{"spec":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
    let many = vec![r#"{"op":"test","path":"/kind","value":"Widget"}"#; 10_001].join(",");
    let many = format!("[{many}]");
    check(&[
        ("PATCH WIDGETS/a", "", MERGE, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", "{", MERGE, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", "[]", MERGE, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", &deep, MERGE, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", "{}", JSON, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", r#"[{"op":"jump","path":"/a"}]"#, JSON, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", r#"[{"op":"remove"}]"#, JSON, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", r#"[{"op":"remove","path":"x"}]"#, JSON, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", r#"[{"op":"remove","path":"/none"}]"#, JSON, 422, "Invalid", rejected),
        ("PATCH WIDGETS/a", r#"[{"op":"test","path":"/spec/size","value":2}]"#, JSON, 422, "Invalid", rejected),
        ("PATCH WIDGETS/a", &many, JSON, 413, "RequestEntityTooLarge", "The allowed maximum operations in a JSON patch is 10000, got 10001"),
        ("PATCH WIDGETS/a", r#"[{"op":"remove","path":"/spec/size"}]"#, JSON, 422, "Invalid", &gone),
        ("PATCH WIDGETS/a", r#"{"spec":{"size":"2"}}"#, MERGE, 422, "Invalid", &wrong_size),
        ("PATCH WIDGETS/a", r#"{"spec":{"size":0}}"#, MERGE, 422, "Invalid", &range),
        ("PATCH WIDGETS/a", r#"{"kind":"Gadget"}"#, MERGE, 400, "BadRequest", "Gadget in version"),
        ("PATCH WIDGETS/a", r#"{"metadata":{"name":"b"}}"#, MERGE, 400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)"),
        ("PATCH WIDGETS/a", r#"{"metadata":{"resourceVersion":"1"}}"#, MERGE, 409, "Conflict", "Operation cannot be fulfilled on widgets.test.example.com \"a\": the object has been modified"),
        ("PATCH WIDGETS/a", r#"{"metadata":{"uid":"other"}}"#, MERGE, 409, "Conflict", "Operation cannot be fulfilled on widgets.test.example.com \"a\": Precondition failed: UID in precondition: other"),
        ("PATCH WIDGETS/a", r#"{"metadata":{"labels":{"a b":"c"}}}"#, MERGE, 422, "Invalid", "Widget.test.example.com \"a\" is invalid: metadata.labels: Invalid value: \"a b\""),
        ("PATCH WIDGETS/a", r#"{"metadata":[]}"#, MERGE, 400, "BadRequest", "Widget in version \"v1\" cannot be handled as a Widget: json: cannot unmarshal array"),
        ("PATCH WIDGETS/a", "{}", APPLY, 415, "UnsupportedMediaType", "the body of the request was in an unknown format"),
        ("PATCH WIDGETS/a", "{}", &[], 415, "UnsupportedMediaType", "the body of the request was in an unknown format"),
        ("PATCH WIDGETS", "{}", MERGE, 405, "MethodNotAllowed", "patch is not supported"),
    ])
    .await;
}
