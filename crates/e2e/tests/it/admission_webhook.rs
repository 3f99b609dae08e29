//! The admission webhook behind a real kube-apiserver: what kubectl does to the objects of backup
//! tools is on record with the object before, and nothing is blocked without Keepwatch.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use e2e::fixtures::load_client::{Endpoint, Protocol};
use e2e::fixtures::standalone::{Standalone, send, wait};
use e2e::fixtures::{ControlPlane, User, binary, free_port};
use event::annotations::{ADMISSION, ADMISSION_RECORD, OLD_OBJECT};
use event::{Event, Stage};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::Instant;

const TOKEN: &str = "a-token-of-this-test";
const BACKUPS: &str = "/apis/velero.io/v1/namespaces/default/backups";
/// Requests per second of the load, and how long it lasts.
const RATE: u32 = 200;
const LOAD_TIME: Duration = Duration::from_secs(10);
/// Connections of the load.
const CONNECTIONS: u32 = 16;

/// Kinds of two backup tools, with the names and scopes of the real ones. Velero's has no
/// subresource for its status, and the class has its fields at the top.
const KINDS: [(&str, &str, &str, &str, &str); 2] = [
    ("velero.io", "v1", "backups", "Backup", "Namespaced"),
    ("snapshot.storage.k8s.io", "v1", "volumesnapshotclasses", "VolumeSnapshotClass", "Cluster"),
];

fn definition((group, version, plural, kind, scope): (&str, &str, &str, &str, &str)) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"),
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-csi"}},
        "spec": {"group": group, "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

/// Starts the receiver, or starts it again with the same store. It also reads this audit log.
fn start(runtime: &Runtime, folder: &Path, port: u16, log: Option<&Path>) -> Standalone {
    std::fs::write(folder.join("tokens"), TOKEN).unwrap();
    let mut flags = vec![
        format!("--admission-webhook-port={port}"),
        "--admission-webhook-clusters=prod".to_owned(),
        format!("--admission-webhook-token-file={}", folder.join("tokens").display()),
    ];
    flags.extend(log.map(|log| format!("--audit-log-source=prod={}", log.display())));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    runtime.block_on(Standalone::start_with(folder, &flags, &[])).unwrap()
}

/// What `keepwatch source admission-config` prints.
fn configuration(folder: &Path, port: u16) -> String {
    let output = Command::new(binary().unwrap())
        .args(["source", "admission-config", "--cluster=prod"])
        .arg(format!("--url=https://127.0.0.1:{port}"))
        .arg(format!("--ca={}", folder.join("home/pki/ca.crt").display()))
        .arg(format!("--token-file={}", folder.join("tokens").display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A control plane with the kinds, and a user who may do everything with their objects.
fn plane(folder: &str) -> (ControlPlane, User) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let plane = ControlPlane::start(&folder).unwrap();
    for kind in KINDS {
        plane.apply(&definition(kind).to_string()).unwrap();
    }
    for kind in KINDS {
        let line = format!("wait --for=condition=Established crd/{}.{}", kind.2, kind.0);
        plane.admin().kubectl(&line).unwrap();
    }
    let groups = KINDS.map(|kind| kind.0);
    let role = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "backups"},
            "rules": [{"apiGroups": groups, "resources": ["*"], "verbs": ["*"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "backups"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "backups"},
            "subjects": [{"kind": "User", "name": "alice"}]}]});
    plane.apply(&role.to_string()).unwrap();
    let alice = plane.user("alice", Some("devs"));
    (plane, alice)
}

fn backup(name: &str, ttl: &str) -> String {
    json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name},
        "spec": {"ttl": ttl}})
    .to_string()
}

/// How many reviews are recorded since the start.
async fn recorded(server: &Standalone) -> u64 {
    let path = "/apis/siem.keepwatch.io/v1alpha1/eventsources/admission-webhook-prod";
    let (code, state) = send(&server.admin, "GET", path, None).await.unwrap();
    assert_eq!((code, &state["status"]["error"]), (200, &Value::Null), "{state}");
    state["status"]["events"].as_u64().unwrap()
}

/// Waits until kube-apiserver asks.
fn wait_asked(runtime: &Runtime, server: &Standalone, alice: &User) {
    runtime
        .block_on(wait("kube-apiserver asks", async || {
            let create = "create --dry-run=server -f -";
            tokio::task::block_in_place(|| alice.kubectl_with(create, &backup("probe", "1h")))?;
            Ok((recorded(server).await > 0).then_some(()))
        }))
        .unwrap();
}

/// Changes objects in every way that kubectl offers.
fn work(alice: &User) {
    let with = |line: &str, input: &str| alice.kubectl_with(line, input).unwrap();
    let kubectl = |line: &str| with(line, "");
    with("create -f -", &backup("b1", "9h"));
    with("apply --server-side -f -", &backup("b2", "9h"));
    with("create --dry-run=server -f -", &backup("b3", "9h"));
    kubectl(r#"patch backup b1 --type=merge -p {"spec":{"ttl":"1h"}}"#);
    kubectl("label backup b1 a=b");
    // Only the status, as Velero's controller does many times a minute.
    kubectl(r#"patch backup b1 --type=merge -p {"status":{"phase":"Completed"}}"#);
    kubectl(r#"patch backup b1 --type=merge --dry-run=server -p {"spec":{"ttl":"0s"}}"#);
    kubectl("delete backup b1 --dry-run=server");
    kubectl("delete backup b1");
    with("create -f -", &backup("b4", "8h"));
    kubectl(&format!("delete --raw {BACKUPS}"));
    let class = json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
        "metadata": {"name": "c"}, "driver": "d", "deletionPolicy": "Retain"});
    with("create -f -", &class.to_string());
    kubectl(r#"patch volumesnapshotclass c --type=merge -p {"deletionPolicy":"Delete"}"#);
    kubectl("delete volumesnapshotclass c");
}

/// What a review says, in short: verb, object, a field of the object before, and whether it is a
/// dry run.
fn summary(event: &Event) -> String {
    assert_eq!((event.stage, &*event.user.username), (Stage::RequestReceived, "alice"));
    assert!(event.user.groups.iter().any(|group| group == "devs"), "{:?}", event.user);
    let old: Option<Value> =
        event.annotations.get(OLD_OBJECT).map(|old| serde_json::from_str(old).unwrap());
    let old = old.map(|old| {
        let field = old["spec"].get("ttl").or(old.get("deletionPolicy"));
        field.and_then(Value::as_str).unwrap_or("?").to_owned()
    });
    let view = event::EventRef::from(event);
    let is_dry_run = detect::Fields::new(&view).is_dry_run();
    format!(
        "{} {} {}{}",
        event.verb,
        event.object_ref.as_ref().unwrap().name,
        old.as_deref().unwrap_or("-"),
        if is_dry_run { " dry" } else { "" }
    )
}

const EXPECTED: [&str; 14] = [
    "create b1 -",
    "create b2 -",
    "create b3 - dry",
    "update b1 9h",
    "update b1 1h",
    "update b1 1h dry",
    "delete b1 1h dry",
    "delete b1 1h",
    "create b4 -",
    "delete b2 9h",
    "delete b4 8h",
    "create c -",
    "update c Retain",
    "delete c Delete",
];

#[test]
fn what_kubectl_does_is_on_record_and_nothing_is_blocked_without_keepwatch() {
    let (plane, alice) = plane("admission-webhook");
    let (runtime, port) = (Runtime::new().unwrap(), free_port().unwrap());
    let log = plane.audit_log().path().to_owned();
    let mut keepwatch = start(&runtime, plane.folder(), port, Some(&log));
    plane.apply(&configuration(plane.folder(), port)).unwrap();
    wait_asked(&runtime, &keepwatch, &alice);
    work(&alice);
    // Refused before admission.
    let mallory = plane.user("mallory", None);
    assert!(!mallory.try_kubectl_with("create -f -", &backup("b5", "1h")).unwrap().success);

    keepwatch.process.kill().unwrap();
    let before = Instant::now();
    alice.kubectl_with("create -f -", &backup("unseen", "1h")).unwrap();
    alice.kubectl("delete backup unseen").unwrap();
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());

    keepwatch = start(&runtime, plane.folder(), port, Some(&log));
    let events = runtime.block_on(keepwatch.stop_and_read()).unwrap();
    let admitted: Vec<&Event> =
        events.iter().filter(|event| event.annotations.contains_key(ADMISSION)).collect();
    let mut actual: Vec<String> = admitted.iter().map(|event| summary(event)).collect();
    actual.retain(|summary| summary != "create probe - dry");
    // The objects of a collection are deleted in any order.
    actual[9..11].sort();
    assert_eq!(actual, EXPECTED);

    // kube-apiserver's own event of the configuration has the token, which is not recorded.
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains(&format!("/admission/prod/{TOKEN}")));
    let recorded = format!("{events:?}");
    assert!(recorded.contains("/admission/prod/sha256:") && !recorded.contains(TOKEN));

    // kube-apiserver's own event of each request names the record.
    let uids: BTreeSet<String> = admitted.iter().map(|event| event.audit_id.clone()).collect();
    let logged = plane.audit_log().events().unwrap();
    let named = logged.iter().filter_map(|event| event["annotations"][ADMISSION_RECORD].as_str());
    let named: BTreeSet<String> = named.map(str::to_owned).collect();
    assert!(named.is_subset(&uids), "{named:?}");
    // The deletion of a collection has a record for each object, and names one.
    assert_eq!(named.len() + 1, uids.len());
}

/// Sends requests at a constant rate: each of a body that `body` makes for a unique name. Returns the
/// sorted latencies, counted from the time at which each request was due.
async fn load(
    endpoint: &Endpoint,
    path: &str,
    expected: u16,
    body: fn(&str) -> String,
) -> Vec<Duration> {
    let connections = endpoint.connections(Protocol::Http1, CONNECTIONS as usize).await.unwrap();
    let period = Duration::from_secs(1) * CONNECTIONS / RATE;
    let start = Instant::now() + Duration::from_millis(100);
    let mut tasks = tokio::task::JoinSet::new();
    for (number, mut connection) in (0_u32..).zip(connections) {
        let (endpoint, path) = (endpoint.clone(), path.to_owned());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            let mut due = start + period * number / CONNECTIONS;
            while due < start + LOAD_TIME {
                tokio::time::sleep_until(due).await;
                let body = body(&format!("n-{number}-{}", latencies.len()));
                let json = [("content-type", "application/json")];
                let reply = connection.send(&endpoint, "POST", &path, &json, Bytes::from(body));
                reply.await.unwrap().expect(expected).unwrap();
                latencies.push(due.elapsed());
                due += period;
            }
            latencies
        });
    }
    let mut latencies: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    latencies.sort();
    latencies
}

/// The review of the creation of a backup.
fn review(name: &str) -> String {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": name, "resource": {"group": "velero.io", "version": "v1", "resource": "backups"},
        "namespace": "default", "name": name, "operation": "CREATE",
        "userInfo": {"username": "alice"},
        "object": {"metadata": {"name": name}, "spec": {"ttl": "1h", "text": "x".repeat(1000)}}}})
    .to_string()
}

/// Every request is allowed. Beside other tests some reviews take longer than the time for an answer,
/// and are allowed without a record.
#[test]
fn reviews_at_200_requests_a_second_are_answered_and_most_are_recorded() {
    let (plane, alice) = plane("admission-webhook-load");
    let (runtime, port) = (Runtime::new().unwrap(), free_port().unwrap());
    let keepwatch = start(&runtime, plane.folder(), port, None);
    plane.apply(&configuration(plane.folder(), port)).unwrap();
    wait_asked(&runtime, &keepwatch, &alice);
    let identity = &plane.admin().identity;
    let (certificate, key) = (&identity.certificate, &identity.key);
    let reviewed =
        Endpoint::new(plane.address(), "localhost", plane.authority(), certificate, key).unwrap();
    let authority = std::fs::read_to_string(plane.folder().join("home/pki/ca.crt")).unwrap();
    let address = ([127, 0, 0, 1], port).into();
    let webhook = Endpoint::new(address, "localhost", &authority, certificate, key).unwrap();

    let before = runtime.block_on(recorded(&keepwatch));
    let path = format!("/admission/prod/{TOKEN}?timeout=2s");
    let responses = runtime.block_on(load(&webhook, &path, 200, review));
    let creates = runtime.block_on(load(&reviewed, BACKUPS, 201, |name| backup(name, "1h")));
    let events = runtime.block_on(recorded(&keepwatch)) - before;
    let all = (responses.len() + creates.len()) as u64;
    assert!((all / 2..=all).contains(&events), "{events} of {all} are recorded");
    println!("{events} of {all} are recorded");
    for (what, latencies) in [("answers of the webhook", responses), ("creates", creates)] {
        let [p50, p99] = [50, 99].map(|percent| latencies[(latencies.len() - 1) * percent / 100]);
        println!("{} {what} at {RATE}/s: p50 {p50:?}, p99 {p99:?}", latencies.len());
    }
}
