//! What an attacker can do, by the table of coverage.

use doctor::{Behaviour, Facts, Visible};

use super::{facts, findings};

/// The behaviour with this rule.
fn behaviour(facts: &Facts, rule: &str) -> Behaviour {
    let findings = findings(facts);
    let mut all = findings.coverage.iter().flat_map(|tool| &tool.behaviours);
    let behaviour = all.find(|behaviour| behaviour.rule == rule).cloned();
    behaviour.unwrap_or_else(|| panic!("{rule}"))
}

#[track_caller]
fn check(name: &str, rule: &str, now: Visible, then: Visible, by: &[&str]) {
    let behaviour = behaviour(&facts(name), rule);
    assert_eq!((behaviour.now, behaviour.then), (now, then), "{behaviour:?}");
    assert_eq!(behaviour.by, by, "{behaviour:?}");
}

#[test]
fn without_a_source_everything_is_unseen() {
    for name in ["kubeadm", "k3s", "eks", "aks", "openshift"] {
        let findings = findings(&facts(name));
        let all: usize = findings.coverage.iter().map(|tool| tool.behaviours.len()).sum();
        assert!(all > 20, "{name}: {all}");
        assert_eq!(findings.unseen(), all, "{name}");
    }
}

#[test]
fn the_log_of_an_own_control_plane_shows_bodies() {
    let schedule = "velero-schedule-changed";
    check("kubeadm", schedule, Visible::No, Visible::Yes, &["kube-apiserver"]);
    check("rke2", schedule, Visible::Yes, Visible::Yes, &["kube-apiserver"]);
}

#[test]
fn on_a_managed_cluster_the_admission_webhook_has_the_bodies_and_the_log_the_refusals() {
    check("eks", "velero-schedule-changed", Visible::No, Visible::Yes, &["Admission webhook"]);
    check("aks", "backup-refused-attempts", Visible::No, Visible::WithoutBody, &["AKS"]);
    check("eks", "backup-operator-stopped", Visible::No, Visible::Yes, &["EKS"]);
}

#[test]
fn only_the_proxy_has_the_bodies_of_k10() {
    let proxy = "Keepwatch or its proxy";
    check("eks", "kasten-restore-into-foreign-namespace", Visible::No, Visible::Yes, &[proxy]);
}

#[test]
fn a_connected_admission_webhook_counts() {
    check("gke", "k8up-retention-lowered", Visible::Yes, Visible::Yes, &["Admission webhook"]);
    check("gke", "backup-operator-stopped", Visible::No, Visible::Yes, &["GKE"]);
}

/// An operator may have chosen the groups before the tool was installed.
#[test]
fn an_admission_webhook_that_leaves_a_tool_out_does_not_count() {
    let mut facts = facts("gke");
    facts.groups.items.push("velero.io".to_owned());
    let behaviour = behaviour(&facts, "velero-schedule-changed");
    assert_eq!((behaviour.now, behaviour.then), (Visible::No, Visible::Yes));
    let groups = &findings(&facts).values["admissionWebhook"]["groups"];
    let groups: Vec<_> =
        groups.as_array().unwrap().iter().filter_map(|group| group.as_str()).collect();
    assert!(groups.contains(&"velero.io") && groups.contains(&"k8up.io"), "{groups:?}");
}

#[test]
fn rules_about_keepwatch_itself_and_about_missing_bodies_are_not_behaviours() {
    let findings = findings(&facts("eks"));
    for behaviour in findings.coverage.iter().flat_map(|tool| &tool.behaviours) {
        let rule = &behaviour.rule;
        assert!(!rule.starts_with("keepwatch-") && !rule.contains("without-body"), "{rule}");
    }
}
