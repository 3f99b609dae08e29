//! Compares the matching rule with Kubernetes' matcher and with a slow model of it.

use std::collections::BTreeSet;

use audit::explain::{self, Explanation, Request};
use audit::{Builtin, Policy, Strictness};
use proptest::prelude::*;

use crate::loaded;

/// Domain of K10's API groups in the requests.
const K10: &str = "kio.kasten.io";
const REQUESTS: &str = include_str!("../data/requests.ndjson");

/// Compares decisions. Go does not report the rule, and orders the stages differently.
fn check(policy: &Policy, expected: &str) {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Explanation {
        level: String,
        omit_stages: BTreeSet<String>,
        omit_managed_fields: bool,
    }
    assert_eq!(REQUESTS.lines().count(), expected.lines().count());
    for (request, expected) in REQUESTS.lines().zip(expected.lines()) {
        let explanation = explain::line(policy, request).unwrap();
        let explanation: Explanation = serde_json::from_str(&explanation).unwrap();
        assert_eq!(explanation, serde_json::from_str(expected).unwrap(), "{request}");
    }
}

#[test]
fn decisions_agree_with_kubernetes() {
    let text = include_bytes!("../data/policy.yaml");
    let policy = Policy::load(text, Strictness::Kubernetes).unwrap().policy;
    check(&policy, include_str!("../data/policy.expected.ndjson"));
    let builtin = |which| Policy::builtin(which, K10).unwrap();
    check(&builtin(Builtin::K10), include_str!("../data/k10.expected.ndjson"));
    check(&builtin(Builtin::Extended), include_str!("../data/extended.expected.ndjson"));
}

#[test]
fn the_extended_policy_records_what_the_documented_one_misses() {
    let [k10, extended] =
        [Builtin::K10, Builtin::Extended].map(|which| Policy::builtin(which, K10).unwrap());
    let request =
        |user: Option<&str>, verb: &str, group: &str, resource: &str, subresource: &str| Request {
            user: user.map(str::to_owned),
            verb: verb.to_owned(),
            resource_request: true,
            api_group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            ..Request::default()
        };
    let alice = Some("alice");
    for (request, level) in [
        (
            request(alice, "deletecollection", "apps.kio.kasten.io", "restorepoints", ""),
            "RequestResponse",
        ),
        (
            request(alice, "get", "apps.kio.kasten.io", "restorepoints", "details"),
            "RequestResponse",
        ),
        (
            request(alice, "create", "actions.kio.kasten.io", "batchrestoreactions", ""),
            "RequestResponse",
        ),
        (request(alice, "create", "actions.kio.kasten.io", "backupactions", ""), "RequestResponse"),
        (request(alice, "delete", "dr.kio.kasten.io", "kastendrrestores", ""), "RequestResponse"),
        (request(alice, "list", "vault.kio.kasten.io", "passkeys", ""), "RequestResponse"),
        (request(alice, "watch", "vault.kio.kasten.io", "passkeys", ""), "RequestResponse"),
        (request(None, "list", "apps.kio.kasten.io", "restorepoints", ""), "Metadata"),
        (request(None, "list", "", "", ""), "Metadata"),
        (request(alice, "get", "", "secrets", ""), "Metadata"),
    ] {
        assert_eq!(explain::request(&k10, &request).level, "None", "{request:?}");
        assert_eq!(explain::request(&extended, &request).level, level, "{request:?}");
    }
}

#[test]
fn an_explanation_names_the_rule() {
    let policy = loaded("rules: [{level: None, users: [a]}, {level: Request}]").unwrap().policy;
    let line = |text: &str| explain::line(&policy, text);
    assert_eq!(
        line("{}").unwrap(),
        r#"{"level":"Request","rule":1,"omitStages":[],"omitManagedFields":false}"#
    );
    assert!(line("{\"usr\":\"a\"}").is_err());
    assert!(line("").is_err());
    for (text, expected_end) in [
        ("[]", "a list"),
        ("[\"alice\", []]", "a list"),
        ("\"alice\"", "a string"),
        ("7", "a number"),
        ("true", "a boolean"),
        ("null", "null"),
    ] {
        let error = line(text).unwrap_err().to_string();
        let expected_start = "not a request: a JSON object such as {\"user\":\"alice\"";
        assert!(error.starts_with(expected_start) && error.ends_with(expected_end), "{error}");
    }
}

/// A rule of the model.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    level: &'static str,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    namespaces: Vec<String>,
    resources: Vec<Entry>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

/// A literal translation of Kubernetes' policy checker.
fn model(rule: &Rule, request: &Request) -> bool {
    let has = |words: &[String], word: &str| words.iter().any(|known| known == word);
    if !rule.users.is_empty() && !request.user.as_ref().is_some_and(|user| has(&rule.users, user)) {
        return false;
    }
    if !rule.user_groups.is_empty()
        && (request.user.is_none()
            || !request.groups.iter().any(|group| has(&rule.user_groups, group)))
    {
        return false;
    }
    if !rule.verbs.is_empty() && !has(&rule.verbs, &request.verb) {
        return false;
    }
    if !rule.namespaces.is_empty() || !rule.resources.is_empty() {
        return model_resource(rule, request);
    }
    if rule.non_resource_urls.is_empty() {
        return true;
    }
    !request.resource_request
        && rule.non_resource_urls.iter().any(|url| {
            let prefix = url.trim_end_matches('*');
            url == "*"
                || url.ends_with('*') && request.path.starts_with(prefix)
                || *url == request.path
        })
}

fn model_resource(rule: &Rule, request: &Request) -> bool {
    let has = |words: &[String], word: &str| words.iter().any(|known| known == word);
    if !request.resource_request
        || !rule.namespaces.is_empty() && !has(&rule.namespaces, &request.namespace)
    {
        return false;
    }
    let (resource, subresource) = (&request.resource, &request.subresource);
    let combined = match subresource.as_str() {
        "" => resource.clone(),
        _ => format!("{resource}/{subresource}"),
    };
    rule.resources.is_empty()
        || rule.resources.iter().any(|entry| {
            (entry.group == "*" || entry.group == request.api_group)
                && (entry.resources.is_empty()
                    || (entry.resource_names.is_empty()
                        || has(&entry.resource_names, &request.name))
                        && entry.resources.iter().any(|pattern| {
                            pattern == "*"
                                || *pattern == combined
                                || !subresource.is_empty() && *pattern == format!("*/{subresource}")
                                || pattern.ends_with("/*")
                                    && pattern.trim_end_matches("/*") == resource
                        }))
        })
}

fn text_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn list_of(words: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text_of(words), 0..3)
}

const USERS: &[&str] = &["a", "b", ""];
const GROUPS: &[&str] = &["g", "h"];
const VERBS: &[&str] = &["get", "list", "GET"];
const NAMESPACES: &[&str] = &["", "n", "m"];
const NAMES: &[&str] = &["", "x", "y"];
const API_GROUPS: &[&str] = &["", "p.q", "r"];

prop_compose! {
    fn rule()(
        level in prop::sample::select(&["Metadata", "Request"][..]),
        (users, user_groups, verbs) in (list_of(USERS), list_of(GROUPS), list_of(VERBS)),
        namespaces in list_of(NAMESPACES),
        resources in prop::collection::vec(
            (
                text_of(&["", "p.q", "r", "*"]),
                list_of(&["*", "s", "s/t", "*/t", "s/*", "t", "*/*", "st"]),
                list_of(NAMES),
            ),
            0..3,
        ),
        non_resource_urls in list_of(&["*", "/a", "/a*", "/a/b", "/"]),
        on_resources in any::<bool>(),
    ) -> Rule {
        let resources = resources.into_iter().map(|(group, resources, names)| Entry {
            group,
            resource_names: if resources.is_empty() { Vec::new() } else { names },
            resources,
        });
        let rule = Rule { level, users, user_groups, verbs, ..Rule::default() };
        if on_resources {
            Rule { namespaces, resources: resources.collect(), ..rule }
        } else {
            Rule { non_resource_urls, ..rule }
        }
    }
}

prop_compose! {
    fn request()(
        user in prop::option::of(text_of(USERS)),
        groups in list_of(GROUPS),
        (verb, namespace, name) in (text_of(VERBS), text_of(NAMESPACES), text_of(NAMES)),
        resource_request in any::<bool>(),
        api_group in text_of(API_GROUPS),
        (resource, subresource) in (text_of(&["s", "t", "st"]), text_of(&["", "t", "s"])),
        path in text_of(&["/a", "/a/b", "/ab", "/", ""]),
    ) -> Request {
        Request {
            user, groups, verb, resource_request, namespace, api_group, resource, subresource, name,
            path, api_version: "v1".to_owned(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_first_rule_that_the_model_matches_decides(
        rules in prop::collection::vec(rule(), 1..5),
        request in request(),
    ) {
        let text = serde_json::json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules});
        let policy = Policy::load(text.to_string().as_bytes(), Strictness::Strict).unwrap().policy;
        let expected = rules.iter().position(|rule| model(rule, &request));
        let Explanation { level, rule, .. } = explain::request(&policy, &request);
        prop_assert_eq!(rule, expected);
        prop_assert_eq!(level, expected.map_or("None", |index| rules[index].level));
    }
}

#[test]
fn the_policy_of_k10_7_records_three_more_kinds_of_actions_and_nothing_else() {
    let policy = |which| Policy::builtin(which, K10).unwrap();
    let (before, after) = (policy(Builtin::K10), policy(Builtin::K10V7));
    let check = |request: &Request| {
        let [before, after] =
            [&before, &after].map(|policy| explain::request(policy, request).level);
        let is_one_more = request.api_group == "actions.kio.kasten.io"
            && request.subresource.is_empty()
            && ["backupactions", "exportactions", "importactions"].contains(&&*request.resource)
            && ["create", "update", "patch", "delete", "get"].contains(&&*request.verb);
        let expected = if is_one_more { "RequestResponse" } else { &*before };
        assert_eq!(&*after, expected, "{request:?}");
        assert!(!is_one_more || &*before == "None", "{request:?}");
    };
    for line in include_str!("../data/requests.ndjson").lines() {
        check(&serde_json::from_str(line).unwrap());
    }
    for resource in
        ["backupactions", "exportactions", "importactions", "runactions", "reportactions"]
    {
        for verb in ["create", "update", "patch", "delete", "get", "list", "deletecollection"] {
            for subresource in ["", "details", "status"] {
                check(&Request {
                    user: Some("alice".to_owned()),
                    verb: verb.to_owned(),
                    resource_request: true,
                    api_group: "actions.kio.kasten.io".to_owned(),
                    resource: resource.to_owned(),
                    subresource: subresource.to_owned(),
                    ..Request::default()
                });
            }
        }
    }
}
