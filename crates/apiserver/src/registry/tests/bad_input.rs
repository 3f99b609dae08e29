//! Invalid requests, with upstream's error messages.

use super::test_registry::{TestRegistry, VAULTS, WIDGETS};

pub(super) const MERGE: &[(&str, &str)] = &[("content-type", "application/merge-patch+json")];

/// Method and path, body, headers, code, reason, beginning of the message.
pub(super) type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16, &'a str, &'a str);

pub(super) async fn check(cases: &[Case<'_>]) {
    let registry = TestRegistry::open().await;
    registry.ok(&format!("POST {WIDGETS}"), r#"{"metadata":{"name":"a"},"spec":{"size":1}}"#).await;
    let before = registry.ok(&format!("GET {WIDGETS}/a"), "").await;
    for (line, body, headers, code, reason, message) in cases {
        let line = line.replace("WIDGETS", WIDGETS).replace("VAULTS", VAULTS);
        let recorded = registry.events().await.len();
        let reply = registry.send(&line, body, headers).await;
        assert_eq!(
            (reply.code, reply.reason()),
            (*code, *reason),
            "{line} {body}: {}",
            reply.message()
        );
        assert!(reply.message().starts_with(message), "{line} {body}: {}", reply.message());
        let events = registry.events().await;
        assert_eq!(events.len(), recorded + 1, "{line} is on record once");
        let status = events[recorded].response_status.as_ref().unwrap();
        assert_eq!((status.code, status.reason.as_str()), (*code, *reason));
    }
    let after = registry.ok(&format!("GET {WIDGETS}/a"), "").await;
    assert_eq!(after.response.body, before.response.body);
}

#[tokio::test]
async fn invalid_bodies_are_rejected() {
    let deep =
        format!(r#"{{"metadata":{{"name":"x"}},"spec":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
    let deep_yaml = format!("spec: {}", "[".repeat(4000));
    let yaml: &[(&str, &str)] = &[("content-type", "application/yaml")];
    let unrecognized = "the object provided is unrecognized (must be of type Widget): couldn't get version/kind; json parse error: ";
    check(&[
        ("POST WIDGETS", "", &[], 400, "BadRequest", unrecognized),
        ("POST WIDGETS", "{", &[], 400, "BadRequest", unrecognized),
        ("POST WIDGETS", "{} {}", &[], 400, "BadRequest", unrecognized),
        ("POST WIDGETS", &deep, &[], 400, "BadRequest", unrecognized),
        ("POST WIDGETS", &deep_yaml, yaml, 400, "BadRequest", unrecognized),
        ("POST WIDGETS", "a: b\n---\nc: d\n", yaml, 400, "BadRequest", unrecognized),
        ("POST WIDGETS", "[]", &[], 400, "BadRequest", "Widget in version \"v1\" cannot be handled as a Widget: "),
        ("POST WIDGETS", "x", &[("content-type", "text/plain")], 415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml"),
        ("POST WIDGETS", r#"{"apiVersion":"v2"}"#, &[], 400, "BadRequest", "the API version in the data (v2) does not match the expected API version (test.example.com/v1)"),
        ("POST WIDGETS", r#"{"kind":"Gadget"}"#, &[], 400, "BadRequest", "Gadget in version \"v1\" cannot be handled as a Widget"),
        ("POST WIDGETS", r#"{"metadata":{"labels":{"a":1}}}"#, &[], 400, "BadRequest", "Widget in version \"v1\" cannot be handled as a Widget: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"),
        ("POST WIDGETS", r#"{"metadata":{"name":"x","namespace":"bank"}}"#, &[], 400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"),
        ("POST WIDGETS", r#"{"metadata":{"name":"x","resourceVersion":"1"}}"#, &[], 400, "BadRequest", "resourceVersion should not be set on objects to be created"),
        ("PUT WIDGETS/a", r#"{"metadata":{"name":"b"}}"#, &[], 400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)"),
        ("DELETE WIDGETS/a", r#"{"kind":"Widget"}"#, &[], 400, "BadRequest", "expect object of kind DeleteOptions, got Widget"),
    ])
    .await;
}

#[tokio::test]
async fn invalid_fields_are_rejected_with_their_paths() {
    let invalid = "Widget.test.example.com \"x\" is invalid: ";
    let cases = [
        (r#"{"metadata":{"name":"x"}}"#, "spec: Required value"),
        (
            r#"{"metadata":{"name":"x"},"spec":{"size":"2"}}"#,
            "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
        ),
        (
            r#"{"metadata":{"name":"x"},"spec":{"size":0}}"#,
            "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        (
            r#"{"metadata":{"name":"x"},"spec":{"size":1,"colour":"green"}}"#,
            "spec.colour: Unsupported value: \"green\": supported values: \"red\", \"blue\"",
        ),
        (
            r#"{"metadata":{"name":"x"},"spec":{"size":13}}"#,
            "spec.size: Invalid value: 13: is unlucky",
        ),
        (
            r#"{"metadata":{"name":"x","labels":{"a b":"c"}},"spec":{"size":1}}"#,
            "metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters",
        ),
        (
            r#"{"metadata":{"name":"x","labels":{"a":"b c"}},"spec":{"size":1}}"#,
            "metadata.labels: Invalid value: \"b c\": a valid label must be an empty string or consist of",
        ),
        (
            r#"{"metadata":{"name":"x","annotations":{"/":"b"}},"spec":{"size":1}}"#,
            "[metadata.annotations: Invalid value: \"/\": prefix part must be non-empty",
        ),
        (
            r#"{"metadata":{"name":"x","finalizers":["-"]},"spec":{"size":1}}"#,
            "metadata.finalizers: Invalid value: \"-\": name part must consist of",
        ),
        (
            r#"{"metadata":{"name":"x","ownerReferences":[{"apiVersion":"v1","kind":"A","name":"b"}]},"spec":{"size":1}}"#,
            "metadata.ownerReferences[0].uid: Invalid value: \"\": must not be empty",
        ),
    ];
    let messages: Vec<String> = cases.iter().map(|(_, end)| format!("{invalid}{end}")).collect();
    let mut all: Vec<Case<'_>> = cases
        .iter()
        .zip(&messages)
        .map(|((body, _), message)| {
            ("POST WIDGETS", *body, &[][..], 422, "Invalid", message.as_str())
        })
        .collect();
    all.push(("POST WIDGETS", r#"{"metadata":{"name":"X"},"spec":{"size":1}}"#, &[], 422, "Invalid", "Widget.test.example.com \"X\" is invalid: metadata.name: Invalid value: \"X\": a lowercase RFC 1123 subdomain must consist of"));
    all.push(("POST WIDGETS", r#"{"spec":{"size":1}}"#, &[], 422, "Invalid", "Widget.test.example.com \"\" is invalid: metadata.name: Required value: name or generateName is required"));
    all.push(("PUT WIDGETS/a", r#"{"metadata":{"name":"a"},"spec":{"size":2}}"#, &[], 422, "Invalid", "Widget.test.example.com \"a\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"));
    check(&all).await;
}

#[tokio::test]
async fn unknown_paths_and_unsupported_verbs_are_rejected() {
    let missing = "the server could not find the requested resource";
    check(&[
        ("GET /apis/test.example.com/v1/gadgets", "", &[], 404, "NotFound", missing),
        ("GET /apis/test.example.com/v2/widgets", "", &[], 404, "NotFound", missing),
        ("GET WIDGETS/a/scale", "", &[], 404, "NotFound", missing),
        ("GET VAULTS/v/status", "", &[], 404, "NotFound", missing),
        ("GET /apis/test.example.com/v1/namespaces/shop/vaults", "", &[], 404, "NotFound", missing),
        ("GET /apis/test.example.com/v1/widgets/a", "", &[], 404, "NotFound", missing),
        (
            "GET WIDGETS/none",
            "",
            &[],
            404,
            "NotFound",
            "widgets.test.example.com \"none\" not found",
        ),
        (
            "DELETE WIDGETS/none",
            "",
            &[],
            404,
            "NotFound",
            "widgets.test.example.com \"none\" not found",
        ),
        (
            "PATCH WIDGETS/none",
            "{}",
            MERGE,
            404,
            "NotFound",
            "widgets.test.example.com \"none\" not found",
        ),
    ])
    .await;
}

#[tokio::test]
async fn unsupported_verbs_and_missing_names_are_rejected() {
    let body = r#"{"metadata":{"name":"a"},"spec":{"size":1}}"#;
    check(&[
        (
            "DELETE WIDGETS",
            "",
            &[],
            405,
            "MethodNotAllowed",
            "deletecollection is not supported on resources of kind \"widgets.test.example.com\"",
        ),
        (
            "POST /apis/test.example.com/v1/widgets",
            body,
            &[],
            405,
            "MethodNotAllowed",
            "create is not supported",
        ),
        (
            "PUT VAULTS/v",
            body,
            &[],
            405,
            "MethodNotAllowed",
            "update is not supported on resources of kind \"vaults.test.example.com\"",
        ),
        ("GET VAULTS?watch=1", "", &[], 405, "MethodNotAllowed", "watch is not supported"),
        (
            "POST WIDGETS",
            body,
            &[],
            409,
            "AlreadyExists",
            "widgets.test.example.com \"a\" already exists",
        ),
        (
            "GET WIDGETS/a",
            "",
            &[("accept", "text/html")],
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json",
        ),
    ])
    .await;
}

#[tokio::test]
async fn invalid_query_parameters_are_rejected() {
    let body = r#"{"metadata":{"name":"x"},"spec":{"size":1}}"#;
    let long = format!("POST WIDGETS?fieldManager={}", "m".repeat(129));
    check(&[
        ("POST WIDGETS?dryRun=Some", body, &[], 422, "Invalid", "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: \"All\""),
        ("POST WIDGETS?fieldValidation=Maybe", body, &[], 422, "Invalid", "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Maybe\": supported values: \"Ignore\", \"Strict\", \"Warn\""),
        (&long, body, &[], 422, "Invalid", "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes"),
        ("POST WIDGETS?fieldManager=a%0Ab", body, &[], 422, "Invalid", "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\nb\": should only contain printable characters"),
        ("PATCH WIDGETS/a?force=true", "{}", MERGE, 422, "Invalid", "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"),
        ("PATCH WIDGETS/a", "{}", &[("content-type", "application/strategic-merge-patch+json")], 415, "UnsupportedMediaType", "the body of the request was in an unknown format"),
        ("DELETE WIDGETS/a?gracePeriodSeconds=x", "", &[], 400, "BadRequest", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("DELETE WIDGETS/a?propagationPolicy=Never", "", &[], 422, "Invalid", "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Never\""),
        ("DELETE WIDGETS/a", r#"{"propagationPolicy":"Orphan","orphanDependents":true}"#, &[], 422, "Invalid", "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set"),
        ("GET WIDGETS?labelSelector=a+in", "", &[], 400, "BadRequest", "unable to parse requirement: found '' expected: '('"),
        ("GET WIDGETS?fieldSelector=spec.size%3D1", "", &[], 400, "BadRequest", "field label not supported: spec.size"),
        ("GET WIDGETS?fieldSelector=nonsense", "", &[], 400, "BadRequest", "invalid selector: 'nonsense'; can't understand 'nonsense'"),
        ("GET WIDGETS?resourceVersion=abc", "", &[], 400, "BadRequest", "invalid resource version: "),
        ("GET WIDGETS?limit=abc", "", &[], 400, "BadRequest", "limit: "),
        ("GET WIDGETS?continue=abc", "", &[], 400, "BadRequest", "continue key is not valid"),
        ("GET WIDGETS?resourceVersionMatch=Exact", "", &[], 422, "Invalid", "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("GET WIDGETS?resourceVersionMatch=Exact&resourceVersion=0", "", &[], 422, "Invalid", "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "),
        ("GET WIDGETS?resourceVersionMatch=Odd&resourceVersion=1", "", &[], 422, "Invalid", "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: \"Odd\""),
        ("GET WIDGETS?sendInitialEvents=true", "", &[], 422, "Invalid", "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        ("GET WIDGETS?watch=1&sendInitialEvents=true", "", &[], 422, "Invalid", "ListOptions.meta.k8s.io \"\" is invalid: "),
        ("GET WIDGETS?watch=1&resourceVersion=7", "", &[], 410, "Expired", "too old resource version: 7 ("),
        ("GET WIDGETS?watch=1&resourceVersion=9000000000000000000", "", &[], 504, "Timeout", "Timeout: Too large resource version"),
        ("GET WIDGETS?watch=1&timeoutSeconds=x", "", &[], 400, "BadRequest", "timeoutSeconds: "),
    ])
    .await;
}

#[tokio::test]
async fn unknown_and_duplicate_fields_are_handled_by_field_validation() {
    let registry = TestRegistry::open().await;
    let body = r#"{"metadata":{"name":"x","colour":1},"spec":{"size":2,"size":3,"shape":"round"},"more":1}"#;
    let strict = registry.send(&format!("POST {WIDGETS}?fieldValidation=Strict"), body, &[]).await;
    assert_eq!((strict.code, strict.reason()), (400, "BadRequest"));
    assert_eq!(
        strict.message(),
        "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: duplicate field \"spec.size\", unknown field \"spec.shape\", unknown field \"more\", unknown field \"metadata.colour\""
    );
    let warned = registry.send(&format!("POST {WIDGETS}?dryRun=All"), body, &[]).await;
    assert_eq!(warned.code, 201);
    assert_eq!(
        warned.header("warning"),
        [
            "299 - \"duplicate field \\\"spec.size\\\"\"",
            "299 - \"unknown field \\\"spec.shape\\\"\"",
            "299 - \"unknown field \\\"more\\\"\"",
            "299 - \"unknown field \\\"metadata.colour\\\"\"",
        ]
    );
    assert_eq!(warned.json["spec"], serde_json::json!({"size": 3}));
    let ignored = registry.send(&format!("POST {WIDGETS}?fieldValidation=Ignore"), body, &[]).await;
    assert_eq!((ignored.code, ignored.header("warning").len()), (201, 0));
}

/// Regression: YAML with a duplicate key was rejected for every value of `fieldValidation`.
#[tokio::test]
async fn duplicate_keys_of_yaml_are_rejected_only_by_strict_validation() {
    let registry = TestRegistry::open().await;
    let yaml = [("content-type", "application/yaml")];
    let body =
        "metadata:\n  name: x\nspec:\n  size: 2\n  size: 3\n  shape: round\nmetadata:\n  name: y\n";
    let send =
        async |query: &str| registry.send(&format!("POST {WIDGETS}{query}"), body, &yaml).await;
    let strict = send("?fieldValidation=Strict").await;
    assert_eq!((strict.code, strict.reason()), (400, "BadRequest"));
    assert_eq!(
        strict.message(),
        "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: yaml: unmarshal errors:\n  line 5: key \"size\" already set in map\n  line 8: key \"metadata\" already set in map, unknown field \"spec.shape\""
    );
    let warned = send("").await;
    assert_eq!((warned.code, &warned.json["metadata"]["name"]), (201, &"y".into()));
    assert_eq!(warned.json["spec"], serde_json::json!({"size": 3}));
    assert_eq!(
        warned.header("warning"),
        [
            "299 - \"line 5: key \\\"size\\\" already set in map\"",
            "299 - \"line 8: key \\\"metadata\\\" already set in map\"",
            "299 - \"unknown field \\\"spec.shape\\\"\"",
        ]
    );
    let ignored = send("?fieldValidation=Ignore&dryRun=All").await;
    assert_eq!((ignored.code, ignored.header("warning").len()), (409, 0));
    let events = registry.events().await;
    let recorded = events[2].request_object.as_ref().unwrap();
    let recorded: serde_json::Value = serde_json::from_slice(recorded.as_bytes()).unwrap();
    assert_eq!(recorded["spec"], serde_json::json!({"size": 3, "shape": "round"}));
}

#[tokio::test]
async fn invalid_names_and_labels_are_rejected() {
    let invalid = |name: &str, rest: &str| {
        format!("Widget.test.example.com {name:?} is invalid: metadata.{rest}")
    };
    let (long_name, long_label) = ("n".repeat(254), "l".repeat(64));
    let mut cases = Vec::new();
    for name in ["X", "a_b", "-a", "a-", "a/b", "a..b", "\u{fc}", " "] {
        let rest = format!(
            "name: Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of"
        );
        cases.push((format!(r#"{{"name":{name:?}}}"#), invalid(name, &rest)));
    }
    let rest = format!("name: Invalid value: {long_name:?}: must be no more than 253 bytes");
    cases.push((format!(r#"{{"name":{long_name:?}}}"#), invalid(&long_name, &rest)));
    for (metadata, rest) in [
        (
            format!(r#""labels":{{"a":{long_label:?}}}"#),
            format!("labels: Invalid value: {long_label:?}: must be no more than 63 bytes"),
        ),
        (
            format!(r#""labels":{{{long_label:?}:"a"}}"#),
            format!(
                "labels: Invalid value: {long_label:?}: name part must be no more than 63 bytes"
            ),
        ),
        (
            r#""labels":{"a/b/c":"d"}"#.to_owned(),
            "labels: Invalid value: \"a/b/c\": a qualified name must consist of".to_owned(),
        ),
        (
            format!(r#""annotations":{{"a":{:?}}}"#, "x".repeat(300 << 10)),
            "annotations: Too long: may not be more than 262144 bytes".to_owned(),
        ),
    ] {
        cases.push((format!(r#"{{"name":"x",{metadata}}}"#), invalid("x", &rest)));
    }
    let two = "Widget.test.example.com \"x\" is invalid: [metadata.labels: Invalid value: \"\": name part must be non-empty";
    cases.push((r#"{"name":"x","labels":{"":"d"}}"#.to_owned(), two.to_owned()));
    let bodies: Vec<String> = cases
        .iter()
        .map(|(metadata, _)| format!(r#"{{"metadata":{metadata},"spec":{{"size":1}}}}"#))
        .collect();
    let all: Vec<Case<'_>> = cases
        .iter()
        .zip(&bodies)
        .map(|((_, message), body)| {
            ("POST WIDGETS", body.as_str(), &[][..], 422, "Invalid", message.as_str())
        })
        .collect();
    check(&all).await;
}

/// Regression: the value was truncated for the generated name, and only the rest was validated.
#[tokio::test]
async fn the_prefix_of_a_generated_name_is_validated_completely() {
    let registry = TestRegistry::open().await;
    let check = async |base: &str, expected: &str| {
        let body = format!(r#"{{"metadata":{{"generateName":{base:?}}},"spec":{{"size":1}}}}"#);
        let reply = registry.send(&format!("POST {WIDGETS}"), &body, &[]).await;
        let causes = reply.json["details"]["causes"].as_array();
        let mut causes = causes.into_iter().flatten();
        assert_eq!(
            reply.code,
            if expected.is_empty() { 201 } else { 422 },
            "{base}: {}",
            reply.json
        );
        if !expected.is_empty() {
            let cause = causes.find(|cause| cause["field"] == "metadata.generateName");
            let message = cause.unwrap()["message"].as_str().unwrap();
            assert!(message.contains(expected), "{}", reply.json);
        }
    };
    check(&"g".repeat(300), "must be no more than 253 bytes").await;
    check(&format!("{}-", "g".repeat(254)), "must be no more than 253 bytes").await;
    check(&format!("{}-", "g".repeat(253)), "").await;
    check("run-", "").await;
    check("-", "a lowercase RFC 1123 subdomain").await;
    check("Run-", "a lowercase RFC 1123 subdomain").await;
}

#[tokio::test]
async fn documents_of_another_type_are_rejected() {
    let unrecognized = "the object provided is unrecognized (must be of type Widget): ";
    let not_handled = "Widget in version \"v1\" cannot be handled as a Widget: ";
    let mut cases: Vec<Case<'_>> = Vec::new();
    for body in [
        "null",
        "7",
        "\"text\"",
        r#"{"metadata":7}"#,
        r#"{"metadata":{"name":7}}"#,
        r#"{"metadata":{"finalizers":"a"}}"#,
    ] {
        cases.push(("POST WIDGETS", body, &[], 400, "BadRequest", not_handled));
    }
    for body in ["\u{feff}{}", r#"{"spec":{"size":1e999}}"#, r#"{"a":"\ud800"}"#] {
        cases.push(("POST WIDGETS", body, &[], 400, "BadRequest", unrecognized));
    }
    let yaml = &[("content-type", "application/yaml")];
    cases.push(("POST WIDGETS", "a: *b", yaml, 400, "BadRequest", unrecognized));
    let protobuf = &[("content-type", "application/vnd.kubernetes.protobuf")];
    let unknown = "the body of the request was in an unknown format";
    cases.push(("POST WIDGETS", "{}", protobuf, 415, "UnsupportedMediaType", unknown));
    let malformed = &[("content-type", "application/json;;;")];
    let incomplete = "Widget.test.example.com \"\" is invalid: ";
    cases.push(("POST WIDGETS", "{}", malformed, 422, "Invalid", incomplete));
    check(&cases).await;
}

#[tokio::test]
async fn invalid_selectors_and_versions_are_rejected() {
    let (selector, version) = ("unable to parse requirement: ", "invalid resource version: ");
    let lines = [
        ("GET WIDGETS?labelSelector=!!", selector),
        ("GET WIDGETS?labelSelector=a+in+(b", selector),
        ("GET WIDGETS?labelSelector=a%3D-", selector),
        ("GET WIDGETS?labelSelector=a%3Db%3Dc", "found '=', expected: ',' or 'end of string'"),
        (
            "GET WIDGETS?watch=1&labelSelector=%2C%2C",
            "found ',', expected: !, identifier, or 'end of string'",
        ),
        ("GET WIDGETS?resourceVersion=-1", version),
        ("GET WIDGETS/a?resourceVersion=x", version),
        ("GET WIDGETS?watch=1&resourceVersion=x", version),
    ];
    let cases = lines.map(|(line, message)| (line, "", &[][..], 400, "BadRequest", message));
    check(&cases).await;
}

#[tokio::test]
async fn invalid_methods_and_paths_are_rejected() {
    let lines = ["OPTIONS WIDGETS/a", "FROBNICATE WIDGETS/a", "POST WIDGETS/a", "PUT WIDGETS"];
    let mut cases = Vec::from(lines.map(|line| (line, "{}", &[][..], 405, "MethodNotAllowed", "")));
    let missing = "the server could not find the requested resource";
    cases.push(("GET WIDGETS/a/status/more", "", &[], 404, "NotFound", missing));
    check(&cases).await;
}

#[tokio::test]
async fn delete_options_of_another_type_delete_nothing() {
    let start = "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: json: cannot unmarshal ";
    let invalid_options = [
        (r#"{"preconditions":{"uid":7}}"#, "number", "preconditions.uid of type types.UID"),
        (
            r#"{"preconditions":{"resourceVersion":7}}"#,
            "number",
            "preconditions.resourceVersion of type string",
        ),
        (r#"{"preconditions":[]}"#, "array", "preconditions of type v1.Preconditions"),
        (r#"{"dryRun":"All"}"#, "string", "dryRun of type []string"),
        (r#"{"dryRun":[7]}"#, "array", "dryRun of type []string"),
        (r#"{"propagationPolicy":7}"#, "number", "propagationPolicy of type string"),
        (r#"{"orphanDependents":"yes"}"#, "string", "orphanDependents of type bool"),
        (r#"{"gracePeriodSeconds":"x"}"#, "string", "gracePeriodSeconds of type int64"),
    ];
    let messages = invalid_options.map(|(_, json_type, field)| {
        format!("{start}{json_type} into Go struct field DeleteOptions.{field}")
    });
    let mut cases: Vec<Case<'_>> = Vec::new();
    for ((body, ..), message) in invalid_options.iter().zip(&messages) {
        cases.push(("DELETE WIDGETS/a", body, &[], 400, "BadRequest", message));
    }
    let unrecognized = "the object provided is unrecognized (must be of type DeleteOptions): ";
    cases.push(("DELETE WIDGETS/a", "{", &[], 400, "BadRequest", unrecognized));
    cases.push(("DELETE WIDGETS/a", "[]", &[], 400, "BadRequest", "expect object of kind"));
    let dry = "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\"";
    cases.push(("DELETE WIDGETS/a", r#"{"dryRun":["Some"]}"#, &[], 422, "Invalid", dry));
    check(&cases).await;
}
