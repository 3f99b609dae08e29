//! Detection rules: those of users are validated when they are written, built-in ones can only be
//! disabled.

use detect::LoadOptions;
use event::Timestamp;
use expect_test::expect;
use serde_json::json;
use siem::Services;
use siem::detection_rule::{BuiltinRule, RuleStatistics, install, load, record_statistics};

use super::server::{START, TestServer};

const RULES: &str = "/apis/siem.keepwatch.io/v1alpha1/detectionrules";

fn sigma(id: &str, verb: &str) -> String {
    format!(
        "title: Restore points are touched\nid: {id}\nlevel: high\n\
         logsource:\n  product: kubernetes\n  service: audit\n\
         detection:\n  selection:\n    verb: {verb}\n    objectRef.resource: restorepoints\n  \
         condition: selection\n"
    )
}

fn rule(name: &str, sigma: &str) -> String {
    json!({"metadata": {"name": name}, "spec": {"sigma": sigma}}).to_string()
}

fn open() -> TestServer {
    TestServer::open(siem::resources(&Services::default()))
}

async fn install_builtin(server: &TestServer, rules: &[(&str, String)]) {
    let rules: Vec<BuiltinRule> = rules
        .iter()
        .map(|(name, sigma)| BuiltinRule { name: (*name).to_owned(), sigma: sigma.clone() })
        .collect();
    server
        .write(move |objects| {
            let user_names = install(objects, &rules, &LoadOptions::default())?;
            assert!(user_names.iter().all(|name| name == "mine"), "{user_names:?}");
            Ok(())
        })
        .await;
}

const FIRST: &str = "0f6b3b7e-6d4b-4c56-9d53-0a7e6a1f0001";
const SECOND: &str = "0f6b3b7e-6d4b-4c56-9d53-0a7e6a1f0002";

#[tokio::test]
async fn rules_created_by_users_are_loaded() {
    let server = open();
    let (code, created) =
        server.send(&format!("POST {RULES}"), &rule("mine", &sigma(FIRST, "delete"))).await;
    assert_eq!(code, 201, "{created}");
    expect![[r#"{"source":"user","title":"Restore points are touched","severity":"high","rules":["0f6b3b7e-6d4b-4c56-9d53-0a7e6a1f0001"],"titles":["Restore points are touched"]}"#]]
        .assert_eq(&created["status"].to_string());
    assert_eq!(created["spec"]["enabled"], true);
    let documents = load(&server.registry).await.unwrap();
    assert_eq!((documents.len(), documents[0].file.as_str()), (1, "mine"));
    let patch = r#"{"spec":{"enabled":false},"status":{"signals":7}}"#;
    let (_, disabled) = server.send(&format!("PATCH {RULES}/mine"), patch).await;
    assert_eq!(disabled["status"], created["status"]);
    assert!(load(&server.registry).await.unwrap().is_empty());
    assert_eq!(server.send(&format!("DELETE {RULES}/mine"), "").await.0, 200);
}

#[tokio::test]
async fn an_error_has_its_position() {
    let server = open();
    let check =
        async |sigma: &str| server.outcome(&format!("POST {RULES}"), &rule("mine", sigma)).await;
    expect![[r#"422 DetectionRule.siem.keepwatch.io "mine" is invalid: spec.sigma: Invalid value: 9:5: no audit event has a field `vreb` (help: did you mean `verb`?)"#]]
        .assert_eq(&check(&sigma(FIRST, "delete").replace("    verb:", "    vreb:")).await);
    expect![[r#"422 DetectionRule.siem.keepwatch.io "mine" is invalid: spec.sigma: Invalid value: 1:1: there is no rule in it (help: a rule has a `title` and a `detection`; `keepwatch rules new` begins one)"#]].assert_eq(&check("").await);
    expect![[r#"422 DetectionRule.siem.keepwatch.io "mine" is invalid: spec.sigma: Invalid value: 2:1: while parsing a node, did not find expected node content"#]].assert_eq(&check("title: [").await);
}

#[tokio::test]
async fn a_rule_id_belongs_to_one_object() {
    let server = open();
    server.send(&format!("POST {RULES}"), &rule("mine", &sigma(FIRST, "delete"))).await;
    let outcome =
        server.outcome(&format!("POST {RULES}"), &rule("twin", &sigma(FIRST, "get"))).await;
    expect![[r#"422 DetectionRule.siem.keepwatch.io "twin" is invalid: spec.sigma: Invalid value: "0f6b3b7e-6d4b-4c56-9d53-0a7e6a1f0001": DetectionRule "mine" already has a rule with this id or name"#]]
        .assert_eq(&outcome);
}

/// Regression: an object whose rule has the name of another rule was accepted and never evaluated.
#[tokio::test]
async fn a_name_belongs_to_one_object() {
    let server = open();
    let named = |id: &str| format!("name: same_name\n{}", sigma(id, "delete"));
    assert_eq!(server.send(&format!("POST {RULES}"), &rule("one", &named(FIRST))).await.0, 201);
    let outcome = server.outcome(&format!("POST {RULES}"), &rule("two", &named(SECOND))).await;
    expect![[r#"422 DetectionRule.siem.keepwatch.io "two" is invalid: spec.sigma: Invalid value: "same_name": DetectionRule "one" already has a rule with this id or name"#]]
        .assert_eq(&outcome);
}

/// Regression: all rules without an id had the id "", so that only one could exist.
#[tokio::test]
async fn a_rule_without_an_id_has_the_name_of_its_object() {
    let server = open();
    let without_id: String = sigma(FIRST, "delete")
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("id:"))
        .collect();
    for name in ["one", "two"] {
        let (code, created) = server.send(&format!("POST {RULES}"), &rule(name, &without_id)).await;
        assert_eq!((code, &created["status"]["rules"]), (201, &json!([name])));
    }
}

/// Regression: one new rule silenced all others, without a signal.
#[tokio::test]
async fn a_rule_supersedes_only_rules_of_its_own_object() {
    let server = open();
    install_builtin(&server, &[("first", sigma(FIRST, "delete"))]).await;
    let superseding =
        |id: &str| format!("{}keepwatch: {{supersedes: ['{id}']}}\n", sigma(SECOND, "delete"));
    let refused =
        server.outcome(&format!("POST {RULES}"), &rule("mine", &superseding(FIRST))).await;
    let message = "a rule supersedes only rules of the same object";
    assert!(refused.starts_with("422 ") && refused.contains(message), "{refused}");
    let both = format!(
        "{}---\n{}",
        superseding("0f6b3b7e-6d4b-4c56-9d53-0a7e6a1f0009"),
        sigma("0f6b3b7e-6d4b-4c56-9d53-0a7e6a1f0009", "get")
    );
    let (code, created) = server.send(&format!("POST {RULES}"), &rule("mine", &both)).await;
    assert_eq!(code, 201, "{created}");
}

#[tokio::test]
async fn built_in_rules_can_only_be_disabled() {
    let server = open();
    install_builtin(
        &server,
        &[("first", sigma(FIRST, "delete")), ("second", sigma(SECOND, "get"))],
    )
    .await;
    let patch = r#"{"spec":{"enabled":false}}"#;
    assert_eq!(server.send(&format!("PATCH {RULES}/first"), patch).await.0, 200);
    let mut outcome = server.outcome(&format!("DELETE {RULES}/first"), "").await + "\n";
    let patch = json!({"spec": {"sigma": sigma(FIRST, "list")}}).to_string();
    outcome += &server.outcome(&format!("PATCH {RULES}/first"), &patch).await;
    expect![[r#"
        403 detectionrules.siem.keepwatch.io "first" is forbidden: the rule is built in: set spec.enabled to false instead
        403 detectionrules.siem.keepwatch.io "first" is forbidden: the rule is built in: its text cannot be changed. Set spec.enabled to false, and create a rule of your own with another id"#]]
    .assert_eq(&outcome);
    let changed = sigma(FIRST, "list").replace("high", "low");
    install_builtin(&server, &[("first", changed)]).await;
    expect![[r"
        Name  Enabled  Severity  Source  Signals  Last Fired  Title  Evaluated  Matched  Age
        first  false  low  builtin  null  null  Restore points are touched  null  null  0s
    "]]
    .assert_eq(&server.table(&format!("GET {RULES}")).await);
}

#[tokio::test]
async fn a_name_used_by_a_user_is_not_overwritten() {
    let server = open();
    server.send(&format!("POST {RULES}"), &rule("mine", &sigma(FIRST, "delete"))).await;
    install_builtin(&server, &[("mine", sigma(SECOND, "get"))]).await;
    let (_, object) = server.send(&format!("GET {RULES}/mine"), "").await;
    assert_eq!(object["status"]["source"], "user");
}

#[tokio::test]
async fn the_detector_writes_the_statistics_of_rules() {
    let server = open();
    install_builtin(
        &server,
        &[("first", sigma(FIRST, "delete")), ("second", sigma(SECOND, "get"))],
    )
    .await;
    let statistics = RuleStatistics {
        rule: FIRST.to_owned(),
        evaluated: 100,
        matched: 7,
        signals: 1,
        last_fired: Some(Timestamp::from_micros(START - 60_000_000)),
        cost: Some(250),
    };
    let errors = [("second".to_owned(), "its twin is loaded".to_owned())];
    server.write(move |objects| record_statistics(objects, &[statistics], &errors)).await;
    expect![[r"
        Name  Enabled  Severity  Source  Signals  Last Fired  Title  Evaluated  Matched  Age
        first  true  high  builtin  1  60s  Restore points are touched  100  7  0s
        second  true  high  builtin  null  null  Restore points are touched  null  null  0s
    "]]
    .assert_eq(&server.table(&format!("GET {RULES}")).await);
    let (_, second) = server.send(&format!("GET {RULES}/second"), "").await;
    assert_eq!(second["status"]["error"], "its twin is loaded");
    let before = second["metadata"]["resourceVersion"].clone();
    server.write(move |objects| record_statistics(objects, &[], &[])).await;
    let (_, second) = server.send(&format!("GET {RULES}/second"), "").await;
    assert_eq!(second["status"].get("error"), None);
    assert_ne!(second["metadata"]["resourceVersion"], before);
}

#[tokio::test]
async fn unmatched_events_do_not_update_the_status_each_time() {
    let server = open();
    install_builtin(&server, &[("first", sigma(FIRST, "delete"))]).await;
    let mut versions = Vec::new();
    for (evaluated, matched) in [(100, 7), (150, 7), (200, 7), (201, 8)] {
        let rule = FIRST.to_owned();
        let statistics = RuleStatistics { rule, evaluated, matched, ..RuleStatistics::default() };
        server.write(move |objects| record_statistics(objects, &[statistics], &[])).await;
        let (_, first) = server.send(&format!("GET {RULES}/first"), "").await;
        versions.push(first["metadata"]["resourceVersion"].clone());
    }
    assert_eq!(versions[0], versions[1], "half as many events again");
    assert_ne!(versions[1], versions[2], "twice as many events");
    assert_ne!(versions[2], versions[3], "another match");
}
