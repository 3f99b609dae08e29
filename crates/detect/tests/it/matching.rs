//! Selections, modifiers and conditions on single events.

use detect::{Document, EventMatcher, Fields, LoadOptions, RuleSet};
use event::EventRef;
use serde_json::{Value, json};

use super::support::{event, load, matches, rule};

/// Checks whether a rule with this detection matches the default event with these changes.
fn check(detection: &Value, changes: &Value, expected: bool) {
    let rules = load(&rule(detection));
    let actual = !matches(&rules, &event(changes)).is_empty();
    assert_eq!(actual, expected, "{detection} of {changes}");
}

/// Checks whether a selection of one field matches the default event.
fn field(selection: &Value, expected: bool) {
    check(&json!({"s": selection, "condition": "s"}), &json!({}), expected);
}

#[test]
fn texts_match_case_insensitively_and_with_wildcards() {
    for (selection, expected) in [
        (json!({"verb": "DELETE"}), true),
        (json!({"verb": "get"}), false),
        (json!({"user.username": "alice"}), true),
        (json!({"User.username": "alice"}), true),
        (json!({"user.username|cased": "alice"}), false),
        (json!({"user.username|cased": "Alice"}), true),
        (json!({"user.username": "al*"}), true),
        (json!({"user.username": "?lice"}), true),
        (json!({"user.username": "?alice"}), false),
        (json!({"user.username": "a*i*e"}), true),
        (json!({"user.username": "a*i*x"}), false),
        (json!({"user.username": "a\\*"}), false),
        (json!({"user.username": "*"}), true),
        (json!({"objectRef.subresource": "*"}), false),
        (json!({"objectRef.subresource": ""}), true),
        (json!({"objectRef.subresource": null}), true),
        (json!({"objectRef.resource": null}), false),
        (json!({"objectRef.name": ["rp-1", "rp-7"]}), true),
        (json!({"objectRef.resource|startswith": "Restore"}), true),
        (json!({"objectRef.resource|endswith": "POINTS"}), true),
        (json!({"objectRef.resource|contains": "orep"}), true),
        (json!({"objectRef.resource|contains|all": ["rest", "points"]}), true),
        (json!({"objectRef.resource|contains|all": ["rest", "content"]}), false),
        (json!({"user.groups": "K10:admins"}), true),
        (json!({"user.groups": "k10:viewers"}), false),
        (json!({"user.groups|neq": "k10:admins"}), false),
        (json!({"user.username|neq": ["bob", "carol"]}), true),
        (json!({"responseStatus.code": 200}), true),
        (json!({"responseStatus.code": "2*"}), true),
        (json!({"responseStatus.code|lt": 300, "responseStatus.code|gte": 200}), true),
        (json!({"responseStatus.code|gt": 200}), false),
        (json!({"responseStatus.code|lte": 199.5}), false),
        (json!({"user.username|exists": true}), true),
        (json!({"impersonatedUser.username|exists": false}), true),
        (json!({"impersonatedUser.username|exists": true}), false),
        (json!({"sourceIPs|cidr": ["198.51.100.0/24", "192.0.2.0/24"]}), true),
        (json!({"network.ip.list|cidr": "198.51.100.0/24"}), false),
        (json!({"sourceIPs": "10.0.0.5"}), true),
        (json!({"requestURI|re": "/restorepoints/rp-[0-9]+$"}), true),
        (json!({"requestURI|re": "/RESTOREPOINTS/"}), false),
        (json!({"requestURI|re|i": "/RESTOREPOINTS/"}), true),
        (json!({"objectRef.namespace|fieldref": "objectRef.name"}), false),
        (json!({"user.username|fieldref": "effectiveUser.username"}), true),
        (json!({"objectRef.apiGroup|expand": "apps.%k10_domain%"}), true),
        (json!({"objectRef.apiGroup|endswith|expand": ".%k10_domain%"}), true),
        (json!({"user.serviceAccount.namespace|expand": "%k10_namespace%"}), false),
        (json!([{"verb": "get"}, {"verb": "delete"}]), true),
        (json!([{"verb": "get"}, {"verb": "delete", "user.username": "bob"}]), false),
    ] {
        field(&selection, expected);
    }
}

#[test]
fn encoded_values_are_found_in_bodies() {
    let body = |text: &str| json!({"requestObject": {"spec": {"command": text}}});
    for (modifier, value, text, expected) in [
        ("base64", "foobar", "Zm9vYmFy", true),
        ("base64", "fooba", "Zm9vYmE=", true),
        ("base64offset", "/bin/sh", "echo L2Jpbi9zaA== | x", true),
        ("base64offset", "/bin/sh", "echo IC9iaW4vc2g= | x", true),
        ("base64offset", "/bin/sh", "echo ICAvYmluL3No | x", true),
        ("base64offset", "/bin/sh", "echo bm90aGluZw==", false),
        ("utf16le|base64", "ab", "YQBiAA==", true),
        ("windash|contains", " -enc ", "x /enc y", true),
        ("windash|contains", " -enc ", "x \u{2014}enc y", true),
        ("windash|contains", " -enc ", "x enc y", false),
        ("contains", "\u{c4}pfel", "gr\u{fc}ne \u{e4}PFEL", true),
    ] {
        let key = format!("requestObject.spec.command|{modifier}");
        check(&json!({"s": {key: value}, "condition": "s"}), &body(text), expected);
    }
}

#[test]
fn conditions_combine_selections() {
    let with = |condition: Value| {
        json!({
            "sel_verb": {"verb": "delete"},
            "sel_user": {"user.username": "bob"},
            "other": {"objectRef.namespace": "shop"},
            "condition": condition,
        })
    };
    for (condition, expected) in [
        (json!("sel_verb and not sel_user and other"), true),
        (json!("1 of sel_* and other"), true),
        (json!("all of sel_* and other"), false),
        (json!("any of them"), true),
        (json!("all of them"), false),
        (json!("not (sel_user or not other) and sel_verb"), true),
        (json!(["sel_user and other", "sel_verb"]), true),
        (json!(["sel_user and other", "sel_user and sel_verb"]), false),
    ] {
        check(&with(condition), &json!({}), expected);
    }
}

#[test]
fn values_in_bodies_are_found_in_lists_and_under_unusual_keys() {
    let changes = json!({"requestObject": {
        "metadata": {"labels": {"k10.kasten.io/policyName": "daily", "app": "x"}},
        "spec": {"paused": true, "retention": {"daily": 7, "weekly": 1.0, "note": null},
            "containers": [{"image": "a"}, {"image": "b", "args": ["--one", "--two"]}]},
    }});
    for (selection, expected) in [
        (json!({"requestObject.spec.containers.image": "b"}), true),
        (json!({"RequestObject.spec.containers.args": "--two"}), true),
        (json!({"requestObject.spec.paused": true}), true),
        (json!({"requestObject.spec.paused": false}), false),
        (json!({"requestObject.spec.retention.daily": 7}), true),
        (json!({"requestObject.spec.retention.daily|lt": 8}), true),
        (json!({"requestObject.spec.retention.weekly": 1}), true),
        (json!({"requestObject.spec.retention.note": null}), true),
        (json!({"requestObject.spec.retention.note|exists": true}), false),
        (json!({"requestObject.spec.retention|exists": true}), true),
        (json!({"requestObject.spec.Retention|exists": true}), false),
        (json!({"requestObject.metadata.labels.k10.kasten.io/policyName": "daily"}), true),
        (json!({"requestObject.metadata.labels[\"k10.kasten.io/policyName\"]": "daily"}), true),
        (json!({"responseObject.spec|exists": false}), true),
        (json!({"annotations.authorization.k8s.io/decision": "allow"}), true),
        (json!({"Annotations[\"authorization.k8s.io/decision\"]": "forbid"}), false),
        (json!({"user.extra.authentication.kubernetes.io/credential-id": "JTI=1"}), true),
    ] {
        check(&json!({"s": selection, "condition": "s"}), &changes, expected);
    }
}

/// Numbers are those of the core schema of YAML 1.2: `0x10` was once a text.
#[test]
fn numbers_without_quotes_follow_the_core_schema() {
    for (value, body, expected) in [
        ("16", json!(16), true),
        ("0x10", json!(16), true),
        ("0xfF", json!(255), true),
        ("0o17", json!(15), true),
        ("010", json!(10), true),
        ("0o17", json!("0o17"), false),
        ("'0x10'", json!("0x10"), true),
        ("'0x10'", json!(16), false),
        ("+7", json!(7), true),
        ("-7", json!(-7), true),
        ("1e1", json!(10), true),
        (".5", json!(0.5), true),
        ("7.", json!(7), true),
        // These are texts.
        ("-0x10", json!("-0x10"), true),
        ("0o18", json!("0o18"), true),
        ("0x", json!("0x"), true),
        ("0b11", json!("0b11"), true),
        ("1_000", json!("1_000"), true),
        ("infinity", json!("infinity"), true),
        ("nan", json!("nan"), true),
    ] {
        let text = format!(
            "title: t\nid: t\ndetection:\n  s:\n    requestObject.x: {value}\n  condition: s\n"
        );
        let matching = matches(&load(&text), &event(&json!({"requestObject": {"x": body}})));
        assert_eq!(!matching.is_empty(), expected, "{value} of {body}");
    }
}

/// An empty text is a value in a body and in a list only, because the encodings omit others.
#[test]
fn an_empty_text_is_absent_unless_it_is_in_a_body_or_a_list() {
    let changes = json!({
        "requestObject": {"x": ""},
        "userAgent": "",
        "user.extra": {"k": [""]},
        "annotations": {"k": ""},
    });
    for (field, is_value) in [
        ("requestObject.x", true),
        ("user.extra.k", true),
        ("userAgent", false),
        ("annotations.k", false),
    ] {
        for (key, value, expected) in [
            (field.to_owned(), json!(""), true),
            (field.to_owned(), json!("*"), false),
            (field.to_owned(), json!(null), !is_value),
            (format!("{field}|exists"), json!(true), is_value),
            (format!("{field}|exists"), json!(false), !is_value),
        ] {
            check(&json!({"s": {key: value}, "condition": "s"}), &changes, expected);
        }
    }
}

#[test]
fn computed_fields_can_be_tested() {
    let account = json!({"user.username": "system:serviceaccount:kasten-io:executor-svc"});
    for (selection, changes, expected) in [
        (json!({"succeeded": true}), json!({}), true),
        (json!({"refused": true}), json!({}), false),
        (json!({"refused": true}), json!({"responseStatus.code": 403}), true),
        (json!({"succeeded": true}), json!({"responseStatus.code": 409}), false),
        (json!({"user.isServiceAccount": true}), json!({}), false),
        (json!({"user.isServiceAccount": true}), account.clone(), true),
        (json!({"user.serviceAccount.name": "executor-svc"}), account.clone(), true),
        (json!({"user.serviceAccount.namespace|expand": "%k10_namespace%"}), account, true),
        (json!({"effectiveUser.username": "bob"}), json!({}), false),
        (
            json!({"effectiveUser.username": "bob"}),
            json!({"impersonatedUser": {"username": "bob"}}),
            true,
        ),
        (json!({"cluster": "prod-eu"}), json!({}), true),
    ] {
        check(&json!({"s": selection, "condition": "s"}), &changes, expected);
    }
}

#[test]
fn times_and_durations_are_compared() {
    let changes = json!({"requestObject": {"at": "2026-11-23T11:30:00.2+01:00", "wait": "1h30m"}});
    for (key, value, expected) in [
        ("at|within", "59m", false),
        ("at|within", "2h", true),
        ("other|within", "2h", false),
        ("wait|within", "2h", false),
        ("wait|shorter", "91m", true),
        ("wait|shorter", "90m", false),
        ("at|shorter", "90m", false),
    ] {
        let key = format!("requestObject.{key}");
        check(&json!({"s": {key: value}, "condition": "s"}), &changes, expected);
    }
}

#[test]
fn the_actor_is_the_user_responsible_for_the_request() {
    let k10 = "system:serviceaccount:kasten-io:k10-k10";
    for (user, impersonated, expected) in [
        ("mallory", None, "mallory"),
        ("mallory", Some("bob"), "mallory"),
        ("mallory", Some(k10), "mallory"),
        (k10, None, k10),
        (k10, Some("bob"), "bob"),
        (k10, Some("system:serviceaccount:kasten-io:executor-svc"), k10),
    ] {
        let mut changes = json!({"user.username": user});
        if let Some(username) = impersonated {
            changes["impersonatedUser"] = json!({"username": username});
        }
        check(&json!({"s": {"actor.username": expected}, "condition": "s"}), &changes, true);
    }
}

#[test]
fn a_dry_run_matches_only_rules_that_use_the_field() {
    let uri = |query: &str| json!({"requestURI": format!("/x{query}")});
    let damage = json!({"s": {"verb": "delete"}, "condition": "s"});
    let both = json!({"s": {"verb": "delete"}, "d": {"dryRun": true}, "condition": "s and d"});
    for (changes, is_dry_run) in [
        (uri(""), false),
        (uri("?dryRun=All"), true),
        (uri("?a=1&dryRun=All&b"), true),
        (uri("?%64ryRun=All"), true),
        (uri("?dryRun="), false),
        (uri("?dryrun=All"), false),
        // If a delete has a body, the server reads its options there.
        (json!({"requestURI": "/x?dryRun=All", "requestObject": {"kind": "DeleteOptions"}}), false),
        (json!({"requestObject": {"kind": "DeleteOptions", "dryRun": ["All"]}}), true),
        (json!({"requestObject": {"kind": "DeleteOptions", "dryRun": []}}), false),
    ] {
        check(&damage, &changes, !is_dry_run);
        check(&both, &changes, is_dry_run);
    }
}

#[test]
fn a_request_matches_once_unless_the_rule_uses_the_stage() {
    let any = json!({"s": {"verb": "delete"}, "condition": "s"});
    let begun = json!({"s": {"stage": ["ResponseStarted", "RequestReceived"]}, "condition": "s"});
    for (stage, of_any, of_begun) in [
        ("RequestReceived", false, true),
        ("ResponseStarted", false, true),
        ("ResponseComplete", true, false),
        ("Panic", true, false),
    ] {
        check(&any, &json!({"stage": stage}), of_any);
        check(&begun, &json!({"stage": stage}), of_begun);
    }
}

/// An event of the admission webhook has no response: it counts as allowed so far, and rules can
/// tell it apart.
#[test]
fn an_event_of_the_admission_webhook_counts_as_allowed_so_far() {
    let admitted = |more: &Value| {
        let mut changes = json!({"stage": "RequestReceived", "responseStatus": null, "annotations": {
            "keepwatch.io/admission": "outcome unknown",
            "keepwatch.io/old-object": r#"{"spec":{"ttl":"9h","volumes":[{"a":1},{"a":2}]}}"#}});
        for (key, value) in more.as_object().unwrap() {
            changes[key] = value.clone();
        }
        changes
    };
    for (selection, expected) in [
        (json!({"verb": "delete"}), true),
        (json!({"verb": "delete", "succeeded": true}), true),
        (json!({"verb": "delete", "succeeded": false}), false),
        (json!({"verb": "delete", "refused": true}), false),
        (json!({"verb": "delete", "responseStatus.code": 200}), false),
        (json!({"verb": "delete", "admission": true}), true),
        (json!({"verb": "delete", "admission": false}), false),
        (json!({"verb": "delete", "stage": "ResponseComplete"}), false),
        (json!({"stage": "RequestReceived"}), true),
        (json!({"oldObject.spec.ttl": "9h"}), true),
        (json!({"oldObject.spec.volumes.a": 2}), true),
        (json!({"oldObject.spec.ttl|exists": false}), false),
    ] {
        let detection = json!({"s": selection, "condition": "s"});
        check(&detection, &admitted(&json!({})), expected);
    }
    let any = json!({"s": {"verb": "delete"}, "condition": "s"});
    let of_admission = json!({"s": {"verb": "delete", "admission": true}, "condition": "s"});
    check(&any, &admitted(&json!({"requestURI": "/x?dryRun=All"})), false);
    check(&of_admission, &json!({}), false);
    // Other events of requests that were just received match once they are complete.
    check(&any, &json!({"stage": "RequestReceived", "responseStatus": null}), false);
}

#[test]
fn the_index_finds_the_same_rules_as_evaluating_each() {
    let text: Vec<String> = (0..200)
        .map(|index| {
            let verb = ["delete", "get", "create"][index % 3];
            let resource = ["restorepoints", "pods", "passkeys", "secrets"][index % 4];
            let selection = match index % 5 {
                0 => json!({"verb": verb}),
                1 => json!({"objectRef.resource": [resource, "nodes"]}),
                2 => json!([{"verb": verb}, {"objectRef.resource": resource}]),
                3 => json!({"verb|neq": verb, "objectRef.apiGroup": "apps.kio.kasten.io"}),
                _ => json!({"objectRef.resource|startswith": resource}),
            };
            let detection = json!({"s": selection, "condition": "s"});
            format!("title: t\nid: r{index}\ndetection: {detection}\n")
        })
        .collect();
    let together = load(&text.join("---\n"));
    for verb in ["delete", "GET", "create", "watch"] {
        for resource in ["restorepoints", "pods", "Secrets", "nodes", ""] {
            let event = event(&json!({"verb": verb, "objectRef.resource": resource}));
            let alone = text.iter().flat_map(|text| matches(&load(text), &event));
            assert_eq!(matches(&together, &event), alone.collect::<Vec<_>>(), "{verb} {resource}");
        }
    }
}

#[test]
fn an_event_matcher_has_the_same_language() {
    let event = event(&json!({}));
    let view = EventRef::from(&event);
    let fields = Fields::new(&view);
    for (value, expected) in [
        (json!({"who": {"user.username": "alice"}}), true),
        (json!({"who": {"user.username": "alice"}, "what": {"verb": "get"}}), false),
        (
            json!({"who": {"user.username": "bob"}, "what": {"verb": "delete"},
                "condition": "who or what"}),
            true,
        ),
    ] {
        let matcher = EventMatcher::parse("s", &value, &LoadOptions::default()).unwrap();
        assert_eq!(matcher.matches(&fields), expected, "{value}");
    }
    for value in [json!({}), json!([]), json!({"who": {"user.name": "x"}}), json!(null)] {
        assert!(EventMatcher::parse("s", &value, &LoadOptions::default()).is_err(), "{value}");
    }
}

#[test]
fn k10_may_be_in_another_namespace() {
    let options = LoadOptions { k10_namespace: "backup".to_owned(), ..LoadOptions::default() };
    let text = rule(&json!({
        "s": {"actor.username": "bob", "user.serviceAccount.namespace|expand": "%k10_namespace%"},
        "condition": "s",
    }));
    let rules = RuleSet::load(&[Document::new("t.yaml", text)], &options).unwrap();
    for (namespace, expected) in [("backup", 1), ("kasten-io", 0)] {
        let event = event(&json!({
            "user.username": format!("system:serviceaccount:{namespace}:k10-k10"),
            "impersonatedUser": {"username": "bob"},
        }));
        let view = EventRef::from(&event);
        let mut count = 0;
        rules.for_each_match(&rules.fields(&view, ""), |_| count += 1);
        assert_eq!(count, expected, "{namespace}");
    }
}

#[test]
fn hostile_events_are_matched_in_linear_time() {
    let long = "a".repeat(200_000);
    let deep = (0..50).fold(json!("x"), |inner, _| json!([{"k": inner}, []]));
    let groups: Vec<String> = (0..100_000).map(|index| format!("group-{index}")).collect();
    let changes = json!({
        "user.username": long,
        "user.groups": groups,
        "requestURI": format!("/?{}", "dryRun&".repeat(50_000)),
        "requestObject": {"deep": deep, "long": long, "many": vec!["a"; 100_000]},
    });
    for (selection, expected) in [
        (json!({"user.username": "*a*a*a*a*a*b"}), false),
        (json!({"user.username|re": "^(a+)+b$"}), false),
        (json!({"user.username|contains": "aaaaaaaaaaaab"}), false),
        (json!({"user.groups": "GROUP-99999"}), true),
        (json!({"requestObject.deep.k.k.k": "y"}), false),
        (json!({"requestObject.many|all|contains": ["a", "b"]}), false),
        (json!({"requestObject.long|fieldref": "user.username"}), true),
        (json!({"user.groups|fieldref": "requestObject.many"}), false),
    ] {
        check(&json!({"s": selection, "condition": "s"}), &changes, expected);
    }
}
