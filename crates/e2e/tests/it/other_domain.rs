//! K10 in another namespace, with API groups below another domain. It has a control plane of its
//! own, so that kubectl's short names stay unambiguous in other tests.

use std::path::Path;
use std::process::Command;

use e2e::fixtures::{Chart, ControlPlane, Keepwatch, Rendered, User, binary, until};
use serde_json::{Value, json};

use crate::chart::permissions;
use crate::fixture::{namespace, text};

const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/elsewhere");
const NAMESPACE: &str = "team-backup";
const DOMAIN: &str = "kio.team.backup";
const ACTIONS: &str = "actions.kio.team.backup/v1alpha1";

/// All users of this test have all permissions in the groups of the other domain.
const RBAC_MANIFESTS: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: team-backup}
rules:
- apiGroups: [actions.kio.team.backup, apps.kio.team.backup]
  resources: ['*']
  verbs: ['*']
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: team-backup}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: team-backup}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: team}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts:team-backup'}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts:kasten-io'}
";

#[test]
fn kubectl_works_with_another_domain_and_its_requests_are_recorded() {
    let plane = ControlPlane::start(Path::new(FOLDER)).unwrap();
    plane.apply(RBAC_MANIFESTS).unwrap();
    let keepwatch =
        Keepwatch::start_in_domain(&plane, &policy_of_the_chart(), DOMAIN, NAMESPACE).unwrap();
    namespace(&plane, "shop");
    let carol = plane.user("carol", Some("team"));
    namespaces_become_applications(&carol);

    carol.kubectl_with("create -f -", &backup("shop")).unwrap();
    let backup = carol.json("get backupactions shop-1 -n shop").unwrap();
    assert_eq!(text(&backup, "/apiVersion"), ACTIONS);
    // kube-apiserver fetches the OpenAPI documents of a new group a little later.
    let explanation = until("the group is explained", || {
        let reply = carol.try_kubectl("explain backupactions.spec.subject.name")?;
        Ok(reply.success.then_some(reply.stdout))
    });
    let explanation = explanation.unwrap();
    assert!(explanation.contains("GROUP:      actions.kio.team.backup\n"), "{explanation}");
    assert!(explanation.contains("Name of the object."), "{explanation}");
    let event = keepwatch.audit_log().find("the create", |event| {
        text(event, "/ObjectRef/Resource") == "backupactions" && text(event, "/Verb") == "create"
    });
    let event = event.unwrap();
    assert_eq!(text(&event, "/ObjectRef/APIGroup"), "actions.kio.team.backup");
    assert_eq!(text(&event, "/ResponseObject/apiVersion"), ACTIONS);
    assert_eq!(text(&event, "/User/username"), "carol");

    only_the_other_namespace_is_k10s(&plane, &carol);
}

/// The extended policy, as the chart renders it for the other domain.
fn policy_of_the_chart() -> String {
    let values = ["useNamespacedAPI=true", "auditPolicy.name=extended"];
    let rendered = Chart::open(NAMESPACE).unwrap().render(&values).unwrap();
    let policy = rendered.of_kind("ConfigMap").next().unwrap();
    text(policy, "/data/agg-audit-policy.yaml").to_owned()
}

fn namespaces_become_applications(carol: &User) {
    until("the application of a namespace", || {
        Ok(carol
            .try_kubectl("get applications.apps.kio.team.backup shop -n shop")?
            .success
            .then_some(()))
    })
    .unwrap();
    let output = carol.try_kubectl(&format!("get applications -n {NAMESPACE}")).unwrap();
    assert!(
        output.stderr.contains("No resources found"),
        "K10's own is no application: {output:?}"
    );
}

fn only_the_other_namespace_is_k10s(plane: &ControlPlane, carol: &User) {
    namespace(plane, "kasten-io");
    let report = |namespace| action("ReportAction", namespace, &json!({"statsIntervalDays": 1}));
    let output = carol.try_kubectl_with("create -f -", &report("kasten-io")).unwrap();
    assert!(output.stderr.contains("must be K10's namespace, \"team-backup\""), "{output:?}");
    carol.kubectl_with("create -f -", &report(NAMESPACE)).unwrap();

    let account = |namespace: &str| {
        let group = format!("system:serviceaccounts:{namespace}");
        plane.user(&format!("system:serviceaccount:{namespace}:executor-svc"), Some(&group))
    };
    let stage = action("StageAction", NAMESPACE, &json!({}));
    let output = account("kasten-io").try_kubectl_with("create -f -", &stage).unwrap();
    assert!(output.stderr.contains("group system:serviceaccounts:team-backup"), "{output:?}");
    account(NAMESPACE).kubectl_with("create -f -", &stage).unwrap();
}

fn backup(namespace: &str) -> String {
    action("BackupAction", namespace, &json!({"subject": {"name": namespace}}))
}

fn action(kind: &str, namespace: &str, spec: &Value) -> String {
    let metadata = json!({"name": format!("{namespace}-1"), "namespace": namespace});
    json!({"apiVersion": ACTIONS, "kind": kind, "metadata": metadata, "spec": spec}).to_string()
}

#[test]
fn a_namespaced_api_renames_only_the_aggregated_groups() {
    let defaults = Chart::open(NAMESPACE).unwrap().render(&[]).unwrap();
    for policy in ["k10", "extended"] {
        let name = format!("auditPolicy.name={policy}");
        let values = ["useNamespacedAPI=true", name.as_str()];
        let rendered = Chart::open(NAMESPACE).unwrap().render(&values).unwrap();
        let arguments = rendered.arguments().unwrap();
        let flag = "--k10-api-domain=kio.team.backup";
        assert!(arguments.iter().any(|argument| argument == flag), "{arguments:?}");
        assert!(
            !arguments.iter().any(|argument| argument.starts_with("--k10-namespace")),
            "{arguments:?}"
        );

        let in_domain = |name: &String| name.replace("kio.kasten.io", DOMAIN);
        let names: Vec<String> = defaults.names().iter().map(in_domain).collect();
        assert_eq!(rendered.names(), names);
        let config = |permission: &String| permission.contains("config.kio.kasten.io");
        let expected: Vec<String> = permissions(&defaults)
            .iter()
            .map(
                |permission| {
                    if config(permission) { permission.clone() } else { in_domain(permission) }
                },
            )
            .collect();
        assert_eq!(permissions(&rendered), expected);
        assert_eq!(decisions(&rendered, DOMAIN), decisions_by_name(policy));
    }
    let values = ["useNamespacedAPI=true", "k10Namespace=kasten-two"];
    let rendered = Chart::open("kasten-io").unwrap().render(&values).unwrap();
    let arguments = rendered.arguments().unwrap();
    for flag in ["--k10-api-domain=kio.kasten.two", "--k10-namespace=kasten-two"] {
        assert!(arguments.iter().any(|argument| argument == flag), "{arguments:?}");
    }
    let destinations = rendered
        .of_kind("Role")
        .find(|role| text(role, "/metadata/name") == "aggregatedapis-svc-destinations");
    assert_eq!(text(destinations.unwrap(), "/metadata/namespace"), "kasten-two");
}

#[test]
fn a_namespaced_api_in_k10s_default_namespace_changes_nothing() {
    let chart = Chart::open("kasten-io").unwrap();
    let mut objects = chart.render(&["useNamespacedAPI=true"]).unwrap().objects;
    for object in &mut objects {
        if let Some(arguments) = object.pointer_mut("/spec/template/spec/containers/0/args") {
            let arguments = arguments.as_array_mut().unwrap();
            arguments.retain(|argument| argument != "--k10-api-domain=kio.kasten.io");
        }
    }
    assert_eq!(objects, chart.render(&[]).unwrap().objects);
}

/// The decisions of a rendered chart's policy about requests to all of K10's groups below a domain,
/// one per line.
fn decisions(rendered: &Rendered, domain: &str) -> String {
    let policy = rendered.of_kind("ConfigMap").next().unwrap();
    let policy = text(policy, "/data/agg-audit-policy.yaml");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), policy).unwrap();
    policy_decisions(file.path().to_str().unwrap(), "kio.kasten.io", domain)
}

/// The decisions of the same built-in policy for the domain of the flag `--k10-api-domain`.
fn decisions_by_name(policy: &str) -> String {
    policy_decisions(policy, DOMAIN, DOMAIN)
}

fn policy_decisions(policy: &str, built_in_domain: &str, domain: &str) -> String {
    let mut requests = String::new();
    for (group, resource) in [
        (format!("actions.{domain}"), "runactions"),
        (format!("apps.{domain}"), "restorepoints"),
        (format!("repositories.{domain}"), "storagerepositories"),
        (format!("vault.{domain}"), "passkeys"),
        (format!("dr.{domain}"), "kastendrrestores"),
        ("config.kio.kasten.io".to_owned(), "auditconfigs"),
        ("actions.elsewhere.io".to_owned(), "runactions"),
    ] {
        for verb in ["create", "get", "deletecollection"] {
            let request = json!({"user": "alice", "verb": verb, "resourceRequest": true,
                "apiGroup": group, "apiVersion": "v1alpha1", "resource": resource});
            requests += &(request.to_string() + "\n");
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), requests).unwrap();
    let output = Command::new(binary().unwrap())
        .args(["policy", "explain", "--policy", policy, "--k10-api-domain", built_in_domain])
        .arg("--requests")
        .arg(file.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.lines().next().unwrap().contains(r#""level":"RequestResponse""#), "{output}");
    output
}
