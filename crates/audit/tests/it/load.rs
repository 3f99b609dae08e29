//! Each fault of a policy is reported with Kubernetes' message and its line.

use audit::{LoadError, Policy, Strictness};
use proptest::prelude::*;

use crate::loaded;

fn check(lines: &str, expected: &str) {
    assert_eq!(loaded(lines).unwrap_err().to_string(), expected, "{lines}");
}

#[test]
fn invalid_values_are_reported() {
    let levels = r#"supported values: "None", "Metadata", "Request", "RequestResponse""#;
    let stages = "allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic";
    check(
        "rules:\n- level: X\n- {}\n- level: metadata\n",
        &format!(
            "line 4: rules[0].level: Unsupported value: \"X\": {levels}\n\
             line 5: rules[1].level: Required value\n\
             line 6: rules[2].level: Unsupported value: \"metadata\": {levels}"
        ),
    );
    check(
        "omitStages: [Foo]\nrules:\n- level: None\n  omitStages:\n  - Panic\n  - Bar\n",
        &format!(
            "line 3: omitStages[0]: Invalid value: \"Foo\": {stages}\n\
             line 8: rules[0].omitStages[1]: Invalid value: \"Bar\": {stages}"
        ),
    );
    check(
        "rules:\n- level: None\n  nonResourceURLs: ['', '/a*b', '*', '**']\n",
        "line 5: rules[0].nonResourceURLs[0]: Invalid value: \"\": non-resource URL rules must begin with a '/' character\n\
         line 5: rules[0].nonResourceURLs[1]: Invalid value: \"/a*b\": non-resource URL wildcards '*' must be the final character of the rule\n\
         line 5: rules[0].nonResourceURLs[3]: Invalid value: \"**\": non-resource URL rules must begin with a '/' character\n\
         line 5: rules[0].nonResourceURLs[3]: Invalid value: \"**\": non-resource URL wildcards '*' must be the final character of the rule",
    );
    check(
        "rules:\n- level: None\n  nonResourceURLs: ['/a']\n  namespaces: [a]\n",
        "line 5: rules[0].nonResourceURLs: Invalid value: [\"/a\"]: rules cannot apply to both regular resources and non-resource URLs",
    );
    check(
        "rules:\n- level: None\n  resources:\n  - resourceNames: [x]\n",
        "line 6: rules[0].resources.resourceNames: Invalid value: [\"x\"]: using resourceNames requires at least one resource",
    );
    for group in ["apps/v1", "Apps", "a_b", "-a", "a..b"] {
        let lines = format!("rules: [{{level: None, resources: [{{group: {group}}}]}}]\n");
        let expected = format!(
            "line 3: rules[0].resources.group: Invalid value: {group:?}: a lowercase RFC 1123 subdomain must consist of"
        );
        assert!(loaded(&lines).unwrap_err().to_string().starts_with(&expected), "{group}");
    }
    assert!(
        loaded("rules: [{level: None, resources: [{group: '*'}, {group: a-1.b}, {}]}]").is_ok()
    );
}

#[test]
fn values_of_the_wrong_type_are_reported() {
    for (lines, expected) in [
        ("rules: {}", "line 3: rules: a list is expected, not a mapping"),
        ("rules: [a]", "line 3: rules[0]: a mapping is expected, not a string"),
        (
            "rules:\n- level: None\n  users: [a, yes]",
            "line 5: rules[0].users[1]: a string is expected, not a boolean",
        ),
        (
            "rules: [{level: None, users: [0x1F]}]",
            "line 3: rules[0].users[0]: a string is expected, not a number",
        ),
        (
            "rules: [{level: None, verbs: a}]",
            "line 3: rules[0].verbs: a list is expected, not a string",
        ),
        (
            "omitManagedFields: 'true'\nrules: []",
            "line 3: omitManagedFields: a boolean is expected, not a string",
        ),
    ] {
        check(lines, expected);
    }
}

/// Regression: a policy was accepted although kube-apiserver rejects its metadata and does not start.
#[test]
fn metadata_has_the_types_of_object_meta() {
    let with = |field: &str| format!("metadata: {{{field}}}\nrules: [{{level: None}}]");
    for field in [
        "name: x, namespace: null, generation: 0x10, deletionGracePeriodSeconds: 1e3",
        "generation: -9223372036854775808",
        "generation: 1.0, labels: {a: 'yes', b: null}, annotations: null",
        "creationTimestamp: 2026-11-30T10:00:00Z, deletionTimestamp: null",
        "creationTimestamp: '2026-11-30T10:00:00.5+01:00', finalizers: [a, null]",
        "ownerReferences: [{kind: x, controller: true}, null]",
        "managedFields: [{manager: x, time: 2026-11-30T10:00:00Z, fieldsV1: {'f:a': {}}}]",
        "managedFields: [{fieldsV1: 7}]",
    ] {
        assert!(loaded(&with(field)).is_ok(), "{field}");
    }
    for (field, expected) in [
        ("name: 5", "name: a string is expected, not a number"),
        ("name: yes", "name: a string is expected, not a boolean"),
        ("selfLink: []", "selfLink: a string is expected, not a list"),
        ("generation: 1.5", "generation: a 64-bit integer is expected, not a number"),
        (
            "generation: 9223372036854775808",
            "generation: a 64-bit integer is expected, not a number",
        ),
        ("generation: .nan", "generation: a 64-bit integer is expected, not a number"),
        ("generation: '1'", "generation: a 64-bit integer is expected, not a string"),
        (
            "creationTimestamp: yesterday",
            "creationTimestamp: a time in RFC 3339 is expected, not a string",
        ),
        (
            "creationTimestamp: ''",
            "creationTimestamp: a time in RFC 3339 is expected, not a string",
        ),
        (
            "creationTimestamp: 2026-11-30",
            "creationTimestamp: a time in RFC 3339 is expected, not a string",
        ),
        ("labels: [a]", "labels: a mapping is expected, not a list"),
        ("labels: {a: true}", "labels.a: a string is expected, not a boolean"),
        ("annotations: {a: {}}", "annotations.a: a string is expected, not a mapping"),
        ("finalizers: a", "finalizers: a list is expected, not a string"),
        ("finalizers: [1]", "finalizers[0]: a string is expected, not a number"),
        ("ownerReferences: {}", "ownerReferences: a list is expected, not a mapping"),
        ("ownerReferences: [x]", "ownerReferences[0]: a mapping is expected, not a string"),
        (
            "ownerReferences: [{controller: 'true'}]",
            "ownerReferences[0].controller: a boolean is expected, not a string",
        ),
        (
            "managedFields: [{time: 1}]",
            "managedFields[0].time: a time in RFC 3339 is expected, not a number",
        ),
    ] {
        check(&with(field), &format!("line 3: metadata.{expected}"));
    }
    let metadata = with(
        "labels: {a: b, a: c}, ownerReferences: [{uid: x, color: red}], managedFields: [{fieldsV1: {a: {b: 1, b: 2}}}]",
    );
    let warnings = loaded(&metadata).unwrap().warnings;
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 3: metadata.labels.a: duplicate field",
            "line 3: metadata.ownerReferences[0].color: unknown field",
            "line 3: metadata.managedFields[0].fieldsV1.a.b: duplicate field",
        ]
    );
}

/// kube-apiserver defaults the kind, but not the version.
#[test]
fn a_document_without_a_kind_is_a_policy() {
    for kind in ["", "kind: \"\"\n", "kind: null\n", "kind: Policy\n"] {
        let text = format!("apiVersion: audit.k8s.io/v1\n{kind}rules: [{{level: None}}]");
        assert!(Policy::load(text.as_bytes(), Strictness::Strict).is_ok(), "{text}");
    }
}

#[test]
fn other_documents_are_rejected() {
    check("rules: []", "loaded illegal policy with 0 rules");
    let load = |text: &str| Policy::load(text.as_bytes(), Strictness::Kubernetes);
    for text in [
        "",
        "# nothing",
        "rules: [{level: None}]",
        "apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]",
        "apiVersion: audit.k8s.io/v1\nkind: Event",
        "apiVersion: \"\"\nkind: Policy\nrules: [{level: None}]",
        "kind: Policy\nrules: [{level: None}]",
    ] {
        assert!(matches!(load(text), Err(LoadError::Kind { .. })), "{text}");
    }
    assert!(matches!(load("[1]"), Err(LoadError::Type(_))));
    for (text, line) in
        [("a: b\nc: [", 2), ("{\"kind\":\n\"Policy\",}", 2), ("? [a]\n: b", 1), ("a: \"\\x", 1)]
    {
        match load(text) {
            Err(LoadError::Syntax { line: error_line, .. }) => {
                assert!(error_line >= line, "{text}: {error_line}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(Policy::load(b"a: \xff", Strictness::Kubernetes).is_err());
    let too_long = vec![b' '; audit::POLICY_LEN_MAX + 1];
    assert!(matches!(
        Policy::load(&too_long, Strictness::Kubernetes),
        Err(LoadError::TooLong { .. })
    ));
}

#[test]
fn unknown_and_repeated_fields_are_warnings_unless_strict() {
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nfoo: 1\nmetadata: {name: x, bar: 2}\nrules:\n- level: None\n  userz: [a]\n  level: Metadata\n";
    let loaded_policy = Policy::load(text.as_bytes(), Strictness::Kubernetes).unwrap();
    let warnings: Vec<_> = loaded_policy.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 3: foo: unknown field",
            "line 4: metadata.bar: unknown field",
            "line 7: rules[0].userz: unknown field",
            "line 8: rules[0].level: duplicate field",
        ]
    );
    // The last duplicate wins.
    let decision = loaded_policy.policy.decide(&audit::Attributes::default());
    assert_eq!(decision.level, event::Level::Metadata);
    let error = Policy::load(text.as_bytes(), Strictness::Strict).unwrap_err();
    assert_eq!(error.to_string(), warnings.join("\n"));
}

#[test]
fn json_and_yaml_are_read_as_kubernetes_reads_them() {
    for text in [
        "{\"apiVersion\":\"audit.k8s.io/v1\",\t\"kind\":\"Policy\",\"rules\":[{\"level\":\"None\"}]}",
        "\u{feff}apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, users: null}]\n---\nfoo: [",
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- &a {level: None}\n- *a\n- <<: *a\n  users: [x]\n",
    ] {
        Policy::load(text.as_bytes(), Strictness::Strict).unwrap();
    }
}

#[test]
fn aliases_do_not_expand_without_limit() {
    let mut aliases = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{},", level - 1).repeat(10);
        aliases = [aliases, format!("a{level}: &a{level} [{alias}]\n")].concat();
    }
    assert!(matches!(loaded(&aliases), Err(LoadError::Syntax { .. })));
    // Regression: texts from aliases were not counted, so this needed 40 GB.
    let texts = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a ,".repeat(40_000));
    let error = loaded(&texts).unwrap_err().to_string();
    assert!(error.contains("aliases make the document too large"), "{error}");
    let deep = format!("rules: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(loaded(&deep), Err(LoadError::Syntax { .. })));
    let deep: Vec<_> = (0..2_000).map(|depth| [&" ".repeat(depth), "a:\n"].concat()).collect();
    assert!(matches!(loaded(&deep.concat()), Err(LoadError::Syntax { .. })));
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(
        text in "(rules|level|- |: |\\[|\\]|\\{|\\}|&a |\\*a|<<|!!str |\"|'|\n|  |None|yes|~|#|\\||>|,|\\?|\\PC){0,40}"
    ) {
        drop(loaded(&text));
        drop(Policy::load(text.as_bytes(), Strictness::Strict));
    }
}
