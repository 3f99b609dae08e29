//! Attacks on the objects of backup tools with kubectl: kube-apiserver sends its events to one
//! Keepwatch, and admission reviews to another. Each raises the signals that the page of coverage names
//! for its source, and no others.
//!
//! Velero, CSI snapshots and k3s have the tools' own definitions; the others have definitions without
//! a schema.
//!
//! Deliberately absent: clouds, whose logs have no bodies, and aggregated APIs; `detect` evaluates
//! recorded events as these would show them.

mod tools;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use detect::coverage::{self, Source, Visibility};
use detect::{LoadOptions, RuleSet, builtin};
use e2e::fixtures::standalone::{Standalone, send, wait};
use e2e::fixtures::{ControlPlane, User, binary, free_port};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use tools::{KINDS, STEPS, Sample};

const TOKEN: &str = "a-token-of-this-test";
/// As it should be: Secrets without bodies, everything else complete.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ['*']
- level: Metadata
  resources: [{group: '', resources: [secrets]}]
- level: RequestResponse
";

fn definition(kind: &Sample) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object",
        "x-kubernetes-preserve-unknown-fields": true}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural, kind.group),
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-csi"}},
        "spec": {"group": kind.group,
            "scope": if kind.namespace.is_some() { "Namespaced" } else { "Cluster" },
            "names": {"kind": kind.kind, "plural": kind.plural},
            "versions": [{"name": kind.version, "served": true, "storage": true,
                "schema": schema}]}})
}

fn object(kind: &Sample) -> Option<Value> {
    let mut object: Value = serde_json::from_str(kind.object).ok()?;
    object["apiVersion"] = format!("{}/{}", kind.group, kind.version).into();
    object["kind"] = kind.kind.into();
    object["metadata"]["name"] = kind.name.into();
    if let Some(namespace) = kind.namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    Some(object)
}

/// The tools' definitions and objects. No source has events of this.
fn install(plane: &ControlPlane) {
    let list = |items: Vec<Value>| json!({"apiVersion": "v1", "kind": "List", "items": items});
    let real = assets::definitions().unwrap();
    let has_real = |kind: &&Sample| {
        let name = format!("{}_{}.yaml", kind.group, kind.plural);
        real.iter().any(|file| file.ends_with(&name))
    };
    for file in &real {
        plane.apply(&std::fs::read_to_string(file).unwrap()).unwrap();
    }
    let others = KINDS.iter().filter(|kind| !has_real(kind)).map(definition);
    plane.apply(&list(others.collect()).to_string()).unwrap();
    for namespace in ["velero", "longhorn-system", "shop"] {
        plane.admin().kubectl(&format!("create namespace {namespace}")).unwrap();
    }
    plane.admin().kubectl("wait --for=condition=Established crd --all --timeout=60s").unwrap();
    plane.apply(&list(KINDS.iter().filter_map(object).collect()).to_string()).unwrap();
}

/// A Keepwatch with the port, clusters and token of one source.
fn receiver(runtime: &Runtime, folder: &Path, source: &str, port: u16) -> Standalone {
    std::fs::create_dir_all(folder).unwrap();
    let token = folder.join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let flags = [
        format!("--{source}-port={port}"),
        format!("--{source}-clusters=prod"),
        format!("--{source}-token-file={}", token.display()),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    runtime.block_on(Standalone::start_with(folder, &flags, &[])).unwrap()
}

/// What `keepwatch source COMMAND` prints for the receiver.
fn configuration(folder: &Path, command: &str, port: u16) -> String {
    let output = Command::new(binary().unwrap())
        .args(["source", command, "--cluster=prod"])
        .arg(format!("--url=https://127.0.0.1:{port}"))
        .arg(format!("--ca={}", folder.join("home/pki/ca.crt").display()))
        .arg(format!("--token-file={}", folder.join("token").display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Lets kube-apiserver send its events to one receiver and its reviews to the other.
fn connect(plane: &mut ControlPlane, audit: (&Path, u16), admission: (&Path, u16)) {
    let (file, policy) = (audit.0.join("webhook.yaml"), audit.0.join("policy.yaml"));
    std::fs::write(&file, configuration(audit.0, "webhook-config", audit.1)).unwrap();
    std::fs::write(&policy, POLICY).unwrap();
    let webhook = vec![
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-webhook-config-file={}", file.display()),
        "--audit-webhook-batch-max-wait=200ms".to_owned(),
    ];
    plane.restart_apiserver_with(webhook).unwrap();
    plane.apply(&configuration(admission.0, "admission-config", admission.1)).unwrap();
}

/// Waits until kube-apiserver asks the admission webhook.
fn wait_asked(runtime: &Runtime, server: &Standalone, user: &User) {
    let path = "/apis/siem.keepwatch.io/v1alpha1/eventsources/admission-webhook-prod";
    let probe = json!({"apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": {"name": "probe", "namespace": "velero"}, "spec": {}});
    runtime
        .block_on(wait("kube-apiserver asks", async || {
            let create = "create --dry-run=server -f -";
            user.kubectl_with(create, &probe.to_string())?;
            let (code, state) = send(&server.admin, "GET", path, None).await?;
            let events = state["status"]["events"].as_u64().unwrap_or_default();
            Ok((code == 200 && events > 0).then_some(()))
        }))
        .unwrap();
}

/// The rules of the steps that the page of coverage shows for the source, with the number of steps of
/// each.
fn expected(source: Source) -> BTreeMap<String, u64> {
    let rules = RuleSet::load(builtin::documents(), &LoadOptions::default()).unwrap();
    let is_visible = |id: &str| {
        let rule = &rules.rules()[rules.find(id).unwrap_or_else(|| panic!("no rule {id}"))];
        coverage::of(&rules, rule, source) != Visibility::Hidden
    };
    let mut counts = BTreeMap::new();
    for id in STEPS.iter().flat_map(|step| step.rules).filter(|id| is_visible(id)) {
        *counts.entry((*id).to_owned()).or_default() += 1;
    }
    counts
}

/// The rules of mallory's signals, with their numbers of events.
async fn raised(server: &Standalone) -> anyhow::Result<BTreeMap<String, u64>> {
    let path = "/apis/siem.keepwatch.io/v1alpha1/signals";
    let (code, list) = send(&server.admin, "GET", path, None).await?;
    assert_eq!(code, 200, "{list}");
    let mut counts = BTreeMap::new();
    for signal in list["items"].as_array().into_iter().flatten() {
        let spec = &signal["spec"];
        if spec["actor"]["username"] == "mallory" {
            let id = spec["rule"]["id"].as_str().unwrap_or_default().to_owned();
            *counts.entry(id).or_default() += spec["count"].as_u64().unwrap_or_default();
        }
    }
    Ok(counts)
}

/// The signals that are missing, and those that are not expected.
fn difference(runtime: &Runtime, server: &Standalone, source: Source) -> String {
    let expected = expected(source);
    let complete = wait("all signals are raised", async || {
        let signals = raised(server).await?;
        let is_counted = |(id, count)| signals.get(id).is_some_and(|events| events >= count);
        Ok(expected.iter().all(is_counted).then_some(signals))
    });
    let signals = runtime.block_on(complete);
    let signals = signals.unwrap_or_else(|_| runtime.block_on(raised(server)).unwrap());
    let differs = |(id, count): &(&String, &u64), others: &BTreeMap<String, u64>| {
        others.get(*id) != Some(*count)
    };
    let missing: Vec<_> = expected.iter().filter(|entry| differs(entry, &signals)).collect();
    let added: Vec<_> = signals.iter().filter(|entry| differs(entry, &expected)).collect();
    if missing.is_empty() && added.is_empty() {
        return String::new();
    }
    format!("{}: expected {missing:?}, found {added:?}\n", source.title())
}

#[test]
fn each_source_raises_the_signals_that_the_page_of_coverage_names() {
    let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/backup-tools"));
    let mut plane = ControlPlane::start(folder).unwrap();
    install(&plane);
    let runtime = Runtime::new().unwrap();
    let (audit, admission) = (folder.join("audit"), folder.join("admission"));
    let ports = (free_port().unwrap(), free_port().unwrap());
    let of_audit = receiver(&runtime, &audit, "audit-webhook", ports.0);
    let of_admission = receiver(&runtime, &admission, "admission-webhook", ports.1);
    connect(&mut plane, (&audit, ports.0), (&admission, ports.1));
    let mallory = plane.user("mallory", Some("system:masters"));
    wait_asked(&runtime, &of_admission, &mallory);

    for step in &STEPS {
        mallory.kubectl_with(step.line, step.input).unwrap();
    }
    let differences = [(&of_audit, Source::KubeApiserver), (&of_admission, Source::Admission)]
        .map(|(server, source)| difference(&runtime, server, source));
    assert!(differences.concat().is_empty(), "{}", differences.concat());
}
