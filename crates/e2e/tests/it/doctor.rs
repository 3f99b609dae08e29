//! `keepwatch doctor` against a real control plane with the definitions of real backup tools, and
//! its values in the chart.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use assets::definitions;
use detect::{LoadOptions, RuleSet, builtin};
use doctor::{Facts, Findings, Options};
use e2e::fixtures::chart::{Chart, Rendered};
use e2e::fixtures::{ControlPlane, User, binary};
use serde_json::{Value, json};

/// A text that is in objects which doctor reads, and that it must not print.
const SECRET: &str = "s3cr3t-0123456789abcdef";
/// The version of Velero's image.
const VELERO: &str = "v1.18.3";
/// The page with the rights that doctor needs.
const GUIDE: &str = include_str!("../../../../docs/guides/doctor.md");
/// More namespaces than are in one page.
const NAMESPACES: usize = 105;

fn doctor(user: &User, arguments: &[&str]) -> Output {
    Command::new(binary().unwrap())
        .arg("doctor")
        .arg(format!("--kubeconfig={}", user.kubeconfig.display()))
        .args(arguments)
        .output()
        .unwrap()
}

fn findings(user: &User) -> Value {
    let output = doctor(user, &["--output=json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Velero and CSI snapshots as on a cluster of kubeadm, and a webhook with a token in its path.
fn plane() -> ControlPlane {
    let plane =
        ControlPlane::start(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("doctor")).unwrap();
    for path in definitions().unwrap() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.contains("k8s.io_") || name.contains("velero.io_") {
            let text = fs::read_to_string(path).unwrap();
            plane.admin().kubectl_with("apply --server-side -f -", &text).unwrap();
        }
    }
    let namespace =
        |name: String| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let names = (0..NAMESPACES).map(|number| format!("a-{number}"));
    let names = names.chain(["velero".to_owned(), "openshift-adp".to_owned()]);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "kube-system"}});
    let items: Vec<Value> = names.map(namespace).chain([account]).collect();
    plane.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).unwrap();
    let objects = [velero(), api_server(), webhook()];
    plane
        .apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())
        .unwrap();
    plane
}

fn velero() -> Value {
    let container = json!({"name": "velero", "image": format!("velero/velero:{VELERO}"),
        "env": [{"name": "KEY", "value": SECRET}]});
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "velero", "namespace": "velero"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}}})
}

/// The pod of kube-apiserver, as the kubelet shows that of kubeadm.
fn api_server() -> Value {
    let container = json!({"name": "kube-apiserver", "image": "kube-apiserver", "command": [
            "kube-apiserver", "--audit-log-path=/var/log/audit/audit.log",
            "--audit-policy-file=/etc/kubernetes/audit/policy.yaml",
            format!("--etcd-prefix={SECRET}")],
        "volumeMounts": [{"name": "log", "mountPath": "/var/log/audit"}]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": "kube-apiserver-node", "namespace": "kube-system",
            "labels": {"component": "kube-apiserver", "tier": "control-plane"},
            "annotations": {
                "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": "10.0.0.1:6443"}},
        "spec": {"automountServiceAccountToken": false, "containers": [container],
            "volumes": [{"name": "log", "hostPath": {"path": "/var/log/kubernetes/audit"}}]}})
}

fn webhook() -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "keepwatch"},
        "webhooks": [{"name": "admission.keepwatch.io", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": format!("https://127.0.0.1:9/admission/prod/{SECRET}")},
            "failurePolicy": "Ignore", "sideEffects": "None",
            "rules": [{"apiGroups": ["velero.io", "snapshot.storage.k8s.io",
                    "groupsnapshot.storage.k8s.io"], "apiVersions": ["*"],
                "operations": ["DELETE"], "resources": ["*/*"]}]}]})
}

/// The ClusterRole in the guide, which grants reads only, for a user.
fn grant(plane: &ControlPlane, user: &str) {
    let mut blocks = GUIDE.split("```yaml\n").filter_map(|rest| rest.split("```").next());
    let role = blocks.find(|block| block.contains("kind: ClusterRole\n")).unwrap();
    for line in role.lines().filter(|line| line.contains("verbs:")) {
        assert!(
            ["verbs: [get]", "verbs: [list]", "verbs: [get, list]"].contains(&line.trim()),
            "{line}"
        );
    }
    plane.apply(role).unwrap();
    let line =
        format!("create clusterrolebinding doctor --clusterrole=keepwatch-doctor --user={user}");
    plane.admin().kubectl(&line).unwrap();
}

/// The finding of a list whose key has the value.
fn of<'f>(list: &'f Value, key: &str, value: &str) -> &'f Value {
    let mut items = list.as_array().unwrap().iter();
    items.find(|item| item[key] == value).unwrap_or_else(|| panic!("{value}: {list}"))
}

#[test]
fn doctor_reads_a_cluster_with_the_rights_of_its_guide_and_prints_no_secret() {
    let plane = plane();
    let user = plane.user("doctor", None);
    grant(&plane, "doctor");
    let findings = findings(&user);
    let cluster = &findings["cluster"];
    assert_eq!((&cluster["platform"], &cluster["isManaged"]), (&"kubeadm".into(), &false.into()));
    let log = json!(["/var/log/kubernetes/audit/audit.log"]);
    assert_eq!(cluster["auditing"]["logPaths"], log);
    let velero = of(&findings["tools"], "pack", "velero");
    assert_eq!(velero["versions"], json!([VELERO]));
    // One of them is on the second page of namespaces.
    assert_eq!(velero["namespaces"], json!(["openshift-adp", "velero"]));
    assert_eq!(velero["evidence"][0], "11 CustomResourceDefinitions of velero.io");
    let snapshots = of(&findings["tools"], "pack", "csi-snapshots");
    let of_groups = "3 CustomResourceDefinitions of groupsnapshot.storage.k8s.io";
    assert_eq!(snapshots["evidence"][1], of_groups);
    let admission = of(&findings["sources"], "kind", "admissionWebhook");
    assert_eq!(admission["connections"].as_array().unwrap().len(), 1, "{admission}");
    assert_eq!(findings["unknown"], json!([]));
    render(&findings["values"]).unwrap();
    for format in ["table", "json", "yaml", "values", "facts"] {
        let output = doctor(&user, &["-o", format]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.len() > 50, "{format}: {text}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains(SECRET) && !errors.contains(SECRET), "{format}: {text}{errors}");
    }
    without_rights(&plane);
    without_an_answer(&user);
}

/// A user who may read nothing still learns from discovery which tools there are.
fn without_rights(plane: &ControlPlane) {
    let findings = findings(&plane.user("mallory", None));
    assert_eq!(findings["cluster"]["isManaged"], Value::Null);
    let velero = of(&findings["tools"], "pack", "velero");
    assert_eq!(velero["evidence"], json!(["API group velero.io"]));
    let unknown = findings["unknown"].to_string();
    for sentence in [
        "not allowed: nodes; not known whether the cluster is managed",
        "not allowed: customresourcedefinitions; ",
        "not allowed: pods in kube-system; ",
    ] {
        assert!(unknown.contains(sentence), "{sentence}: {unknown}");
    }
    render(&findings["values"]).unwrap();
}

/// A server that does not answer is an error after the time, not a finding.
fn without_an_answer(user: &User) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = fs::read_to_string(&user.kubeconfig).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["clusters"][0]["cluster"]["server"] = format!("https://{address}").into();
    let folder = tempfile::tempdir().unwrap();
    let mut silent = user.clone();
    silent.kubeconfig = folder.path().join("kubeconfig");
    fs::write(&silent.kubeconfig, config.to_string()).unwrap();
    let output = doctor(&silent, &["--request-timeout=300ms"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// The chart with values, and the token that the steps set on the command line.
fn render(values: &Value) -> anyhow::Result<Rendered> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.yaml");
    // JSON is YAML.
    fs::write(&file, values.to_string())?;
    let file = file.to_str().unwrap();
    let token = "admissionWebhook.token=0123456789abcdef";
    Chart::open("keepwatch")?.render_with(&["--values", file], &[token])
}

/// A policy that kube-apiserver rejects keeps it from starting.
#[test]
fn the_policy_in_the_guide_of_kubeadm_is_valid() {
    let guide = include_str!("../../../../docs/guides/platform-kubeadm.md");
    let mut blocks = guide.split("```yaml\n").filter_map(|rest| rest.split("```").next());
    let policy = blocks.find(|block| block.contains("kind: Policy\n")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    fs::write(&file, policy).unwrap();
    let output = Command::new(binary().unwrap())
        .args(["policy", "check", "--strict"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Values that the chart rejects, or with which it would not do what the steps say, do not help.
#[test]
fn the_values_for_each_platform_render_in_the_chart() {
    let rules = RuleSet::load(builtin::documents(), &LoadOptions::default()).unwrap();
    for (name, forwards, asks) in [
        ("kubeadm", true, false),
        ("k3s", true, false),
        ("rke2", false, false),
        ("eks", false, true),
        ("gke", false, false),
        ("aks", false, true),
        ("openshift", true, false),
        ("unknown", false, true),
    ] {
        let file = format!("{}/../doctor/tests/it/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let facts: Facts = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let findings = Findings::of(&facts, &Options::default(), &rules);
        let rendered = render(&findings.values).unwrap_or_else(|error| panic!("{name}: {error}"));
        let count = |kind: &str| rendered.of_kind(kind).count();
        assert_eq!(count("DaemonSet"), usize::from(forwards), "{name}");
        assert_eq!(count("ValidatingWebhookConfiguration"), usize::from(asks), "{name}");
        // K10 keeps its own API groups, behind the proxy.
        assert_eq!(count("APIService") == 1, name == "eks", "{name}");
        let arguments = rendered.arguments().unwrap().join(" ");
        assert_eq!(arguments.starts_with("proxy "), name == "eks", "{name}: {arguments}");
        let reads = ["eks", "gke", "aks"].contains(&name);
        assert_eq!(arguments.contains("--bucket-source="), reads, "{name}: {arguments}");
    }
}
