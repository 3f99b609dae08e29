//! API objects as kube-apiserver serves them become facts, without what may be secret.

use doctor::objects;
use serde_json::{Value, json};

/// A text that must be in no fact.
const SECRET: &str = "s3cr3t";

#[track_caller]
fn without_secret(fact: &impl serde::Serialize) -> Value {
    let fact = serde_json::to_value(fact).unwrap();
    assert!(!fact.to_string().contains(SECRET), "{fact}");
    fact
}

#[test]
fn the_path_of_a_webhook_is_left_out_because_it_may_contain_a_token() {
    let configuration = json!({"metadata": {"name": "kw"}, "webhooks": [{
        "name": "admission.keepwatch.io",
        "clientConfig": {"url": format!("https://a/admission/prod/{SECRET}"),
            "service": {"path": format!("/admission/prod/{SECRET}")}},
        "failurePolicy": "Fail",
        "namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]},
        "objectSelector": {},
        "rules": [{"apiGroups": ["velero.io"]}],
    }]});
    let webhooks = without_secret(&objects::webhooks(&configuration));
    let expected = json!([{"configuration": "kw", "name": "admission.keepwatch.io",
        "groups": ["velero.io"], "failurePolicy": "Fail", "hasSelector": true}]);
    assert_eq!(webhooks, expected);
}

#[test]
fn a_log_in_a_pod_of_kubeadm_has_its_path_on_the_node() {
    let pod = |host: &str, mount: &str| {
        json!({"metadata": {"name": "kube-apiserver-a", "annotations": {
                "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": "10.0.0.1:6443"}},
            "spec": {
                "containers": [{
                    "command": ["kube-apiserver", "--audit-log-path=/logs/audit/audit.log",
                        format!("--service-account-key-file={SECRET}"),
                        "--audit-policy-file=/etc/p.yaml"],
                    "env": [{"name": "A", "value": SECRET}],
                    "volumeMounts": [{"name": "etc", "mountPath": "/etc"},
                        {"name": "root", "mountPath": "/"}, {"name": "logs", "mountPath": mount}]}],
                "volumes": [{"name": "etc", "hostPath": {"path": "/etc/kubernetes"}},
                    {"name": "root", "emptyDir": {}}, {"name": "logs", "hostPath": {"path": host}}]}})
    };
    for (host, mount, expected) in [
        ("/var/log/k8s", "/logs/audit", "/var/log/k8s/audit.log"),
        ("/var/log/", "/logs/", "/var/log/audit/audit.log"),
        ("/var/log/a.log", "/logs/audit/audit.log", "/var/log/a.log"),
        // In a folder of the container only.
        ("/var/log", "/logs/aud", ""),
    ] {
        let fact = without_secret(&objects::api_server(&pod(host, mount)));
        assert_eq!((&fact["logPath"], &fact["isKubeadm"]), (&expected.into(), &true.into()));
        let flags =
            json!(["--audit-log-path=/logs/audit/audit.log", "--audit-policy-file=/etc/p.yaml"]);
        assert_eq!(fact["auditFlags"], flags, "{mount}");
    }
}

#[test]
fn arguments_of_k3s_and_rke2_keep_only_flags_about_audit() {
    for (arguments, expected) in [
        (
            json!([
                "server",
                "--token",
                SECRET,
                "--kube-apiserver-arg",
                "audit-log-path=/a/b.log",
                "--kube-apiserver-arg=audit-policy-file=/p",
                "--kube-apiserver-arg",
                format!("x={SECRET}"),
                "--datastore-endpoint",
                SECRET
            ]),
            json!(["--audit-log-path=/a/b.log", "--audit-policy-file=/p"]),
        ),
        (json!(["server", "--audit-policy-file", "/p"]), json!(["--audit-policy-file=/p"])),
        (json!(["server", "--kube-apiserver-arg"]), json!([])),
    ] {
        let node = json!({"metadata": {"annotations": {"k3s.io/node-args": arguments.to_string()},
                "labels": {"node-role.kubernetes.io/control-plane": "true", "team": SECRET}},
            "spec": {"providerID": format!("k3s://{SECRET}")}});
        let fact = without_secret(&objects::node(&node));
        assert_eq!(fact["auditFlags"], expected);
        assert_eq!((&fact["distribution"], &fact["provider"]), (&"k3s".into(), &"k3s".into()));
        assert_eq!(fact["labels"], json!(["node-role.kubernetes.io/control-plane"]));
    }
    let agent = json!({"metadata": {"annotations": {"rke2.io/node-args": "not a list"}}});
    assert_eq!(objects::node(&agent), doctor::facts::Node::default());
}

#[test]
fn of_keepwatch_only_flags_that_name_clusters_are_kept_and_of_others_none() {
    let deployment = |program: &str| {
        json!({"metadata": {"name": "d", "namespace": "n", "labels": {
                "app.kubernetes.io/name": program, "app.kubernetes.io/instance": "kw"}},
            "spec": {"template": {"spec": {"containers": [{"image": "r/velero:v1",
                "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": SECRET}],
                "args": ["serve", "--cluster-name=prod", format!("--other={SECRET}"),
                    format!("--bucket-source=prod=s3://{SECRET}/a")]}]}}}})
    };
    let own = without_secret(&objects::deployment(&deployment("keepwatch")));
    assert_eq!(own["flags"], json!(["--cluster-name=prod", "--bucket-source=prod"]));
    assert_eq!(own["release"], "kw");
    let other = without_secret(&objects::deployment(&deployment("velero")));
    assert_eq!((&other["flags"], &other["images"]), (&json!([]), &json!(["r/velero:v1"])));
}

#[test]
fn an_apiservice_without_a_service_is_kube_apiservers_own() {
    let local = json!({"metadata": {"name": "v1.apps"}, "spec": {"group": "apps"}});
    assert_eq!(objects::api_service(&local), None);
    let remote = json!({"metadata": {"name": "v1alpha1.apps.kio.kasten.io",
            "annotations": {"proxy.keepwatch.io/original-spec": SECRET}},
        "spec": {"group": "apps.kio.kasten.io", "caBundle": SECRET,
            "service": {"namespace": "kasten-io", "name": "aggregatedapis-svc", "port": 8443}}});
    let fact = without_secret(&objects::api_service(&remote));
    assert_eq!((&fact["isProxied"], &fact["hasCa"]), (&true.into(), &true.into()));
    assert_eq!(fact["servicePort"], 8443);
}

/// Objects come from a cluster that may be hostile.
#[test]
fn objects_of_another_form_are_facts_without_content() {
    for object in [
        json!(null),
        json!([]),
        json!({"metadata": 7, "spec": {"containers": {}, "template": []}, "webhooks": [null, 3]}),
        json!({"metadata": {"name": "x".repeat(100_000)}, "spec": {"containers": [[], 1]}}),
    ] {
        assert_eq!(objects::name(&object), "");
        without_secret(&objects::node(&object));
        without_secret(&objects::api_server(&object));
        without_secret(&objects::deployment(&object));
        without_secret(&objects::webhooks(&object));
        without_secret(&objects::event_source(&object));
        without_secret(&objects::openshift(Some(&object), None));
    }
}
