//! The auditing proxy between kube-apiserver's aggregator and sample-apiserver.
//!
//! The same requests are sent with and without the proxy, and must have the same results. Each is on
//! record with the user and the audit ID of kube-apiserver's own log. Kills lose no effect.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use assets::Program;
use e2e::chaos::kill;
use e2e::fixtures::https::{exchange, request};
use e2e::fixtures::{AuditLog, ControlPlane, Proxy, SampleApiserver, Size, until};
use event::annotations::{OUTCOME, UPSTREAM};
use serde_json::Value;

use crate::fixture::{AUDIT_POLICY, alice, mallory, namespace, text};
use requests::{PATH, Sent, results};

mod requests;

/// The peer records nothing: the proxy does.
const NO_EVENTS: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n";
/// Kills of the proxy under load.
const KILLS: Size = Size { small: 12, full: 300 };

struct Cluster {
    plane: ControlPlane,
    peer: SampleApiserver,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn cluster(name: &str, peer_policy: &str) -> Cluster {
    let plane = ControlPlane::start(&folder(name)).unwrap();
    plane.apply(include_str!("../data/users.yaml")).unwrap();
    let peer = SampleApiserver::start(&plane, peer_policy).unwrap();
    Cluster { plane, peer }
}

/// The fields of an event that both servers must agree about.
fn identity_of(event: &Value) -> Vec<String> {
    // An impersonated user is the user of the forwarded request.
    let impersonated = event.get("impersonatedUser");
    let user = impersonated.or_else(|| event.get("user")).unwrap_or(&Value::Null);
    let of_user = ["username", "uid", "groups", "extra"];
    let mut identity: Vec<String> = of_user.map(|field| user[field].to_string()).to_vec();
    // kube-apiserver does not decode the body of a create for an extension server.
    let name = if text(event, "/verb") == "create" { "resource" } else { "name" };
    identity.extend(
        ["resource", "namespace", "subresource", name]
            .map(|field| text(event, &format!("/objectRef/{field}")).to_owned()),
    );
    // kube-apiserver sorts the parameters before it forwards a request.
    let path = text(event, "/requestURI").split('?').next().unwrap_or_default();
    let code = event.pointer("/responseStatus/code").map(ToString::to_string);
    identity.extend([text(event, "/verb").to_owned(), path.to_owned(), code.unwrap_or_default()]);
    identity
}

/// The events of alice's and the exerciser's requests with this decision, by audit ID. Of a watch that
/// its client ends, kube-apiserver has the first event only.
fn events_by_id(log: &AuditLog, decision: Option<&str>) -> BTreeMap<String, Value> {
    let is_response = |event: &Value| {
        text(event, "/objectRef/apiGroup") == "wardle.example.com"
            && ["ResponseStarted", "ResponseComplete"].contains(&text(event, "/stage"))
            && (text(event, "/user/username") == "alice"
                || text(event, "/userAgent") == "exerciser")
            && event["annotations"]["authorization.k8s.io/decision"].as_str() == decision
    };
    let events = log.matching(is_response).unwrap();
    events.into_iter().map(|event| (text(&event, "/auditID").to_owned(), event)).collect()
}

/// The requests that kube-apiserver let pass.
fn forwarded_events(plane: &ControlPlane) -> BTreeMap<String, Value> {
    events_by_id(&plane.audit_log(), Some("allow"))
}

/// The results of all requests, each after the request.
fn exercise(plane: &ControlPlane) -> Vec<(String, String)> {
    let (alice, mallory) = (alice(plane), mallory(plane));
    let sent = results(&[plane.target(&alice), plane.target(&mallory)]);
    let mut results: Vec<_> =
        sent.into_iter().map(|Sent { line, result }| (line, result)).collect();
    let output = Command::new(plane.assets().path(Program::Exerciser))
        .arg("--kubeconfig")
        .arg(&alice.kubeconfig)
        .arg("--impersonator")
        .arg(&plane.admin().kubeconfig)
        .arg("--namespace=exercised")
        .output()
        .unwrap();
    let steps = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\nafter {steps}");
    let steps = steps.lines().filter_map(|line| line.split_once(": "));
    results.extend(steps.map(|(step, result)| (step.to_owned(), result.to_owned())));
    results
}

#[test]
fn requests_have_the_same_results_through_the_proxy_and_each_is_on_record() {
    let Cluster { plane, peer } = cluster("proxy", AUDIT_POLICY);
    namespace(&plane, "exercised");
    let direct = exercise(&plane);

    let before = plane.admin().json("get apiservice v1alpha1.wardle.example.com").unwrap();
    let proxy = Proxy::start(&plane, &peer, AUDIT_POLICY).unwrap();
    let printed: Value = serde_json::from_slice(&proxy.print_install().unwrap()).unwrap();
    assert_eq!(printed["items"].as_array().map(Vec::len), Some(4), "{printed}");
    proxy.install(&plane).unwrap();
    let earlier = forwarded_events(&plane);
    let forwarded = exercise(&plane);
    assert_eq!(direct.len(), forwarded.len());
    let differences: Vec<String> = direct
        .iter()
        .zip(&forwarded)
        .filter(|(direct, forwarded)| direct != forwarded)
        .map(|(direct, forwarded)| format!("direct: {direct:?}\nforwarded: {forwarded:?}\n"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    watch_with_kubectl(&plane);
    compare_records(&plane, &peer, &proxy, &earlier);

    proxy.uninstall().unwrap();
    let after = plane.admin().json("get apiservice v1alpha1.wardle.example.com").unwrap();
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"]);
    let role = plane.admin().try_kubectl("get clusterrole keepwatch-proxy").unwrap();
    assert!(!role.success, "the right to impersonate is removed");
}

/// Compares the logs of kube-apiserver, of the proxy and of the API server behind it.
fn compare_records(
    plane: &ControlPlane,
    peer: &SampleApiserver,
    proxy: &Proxy,
    earlier: &BTreeMap<String, Value>,
) {
    // A server writes the event of a request a moment after its response.
    let [expected, own] = until("both logs have the same requests", || {
        let mut expected = forwarded_events(plane);
        expected.retain(|id, _| !earlier.contains_key(id));
        // The API server behind the proxy decides.
        let own = events_by_id(&proxy.audit_log(), None);
        Ok(expected.keys().eq(own.keys()).then_some([expected, own]))
    })
    .unwrap();
    assert!(expected.len() >= 200, "{} requests", expected.len());
    for (id, event) in &expected {
        assert_eq!(identity_of(&own[id]), identity_of(event), "{}", own[id]);
        // The proxy itself refuses too long a body.
        let is_forwarded = event["responseStatus"]["code"] != 413;
        let upstream = is_forwarded.then(|| Value::from(peer.address.to_string()));
        assert_eq!(own[id]["annotations"].get(UPSTREAM), upstream.as_ref(), "{event}");
    }
    let create = own
        .into_values()
        .find(|event| text(event, "/verb") == "create" && event["responseStatus"]["code"] == 201);
    let create = create.unwrap();
    assert_eq!(create["requestObject"]["kind"], "Flunder", "{create}");
    assert_eq!(create["responseObject"]["kind"], "Flunder", "{create}");
    // The peer's own log has the proxy's account, and the user as the impersonated one.
    let id = text(&create, "/auditID");
    let peers = peer.audit_log.find("the peer's event", |event| text(event, "/auditID") == id);
    let peers = peers.unwrap();
    assert_eq!(text(&peers, "/user/username"), "system:serviceaccount:keepwatch:proxy");
    assert_eq!(text(&peers, "/impersonatedUser/username"), "alice");
}

/// A watch shows a change at once: no part of it waits in the proxy.
fn watch_with_kubectl(plane: &ControlPlane) {
    let alice = alice(plane);
    let line = "get flunders --namespace default --watch --output=name";
    let mut watch = alice.start_kubectl(line).unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let manifest = r#"{"apiVersion":"wardle.example.com/v1alpha1","kind":"Flunder","metadata":
        {"name":"watched","namespace":"default"},"spec":{"reference":"x"}}"#;
    alice.kubectl_with("create -f -", manifest).unwrap();
    let event =
        lines.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.ends_with("watched")));
    assert!(event.is_some());
    alice.kubectl("delete flunder watched --namespace default").unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
}

/// Headers with which kube-apiserver's aggregator names a user.
const ALICE: [(&str, &str); 3] = [
    ("X-Remote-User", "alice"),
    ("X-Remote-Group", "system:authenticated"),
    ("Content-Type", "application/json"),
];

fn flunder(name: &str) -> String {
    format!(
        r#"{{"apiVersion":"wardle.example.com/v1alpha1","kind":"Flunder","metadata":{{"name":"{name}"}},"spec":{{"reference":"x"}}}}"#
    )
}

#[test]
fn a_killed_proxy_leaves_no_effect_without_a_record() {
    let rounds = u32::try_from(KILLS.get()).unwrap();
    kill::proxy::run(&folder("proxy-kills"), rounds, None).unwrap();
}

#[test]
fn upgrades_pass_and_an_absent_peer_is_a_recorded_503() {
    let Cluster { plane, mut peer } = cluster("proxy-upgrades", NO_EVENTS);
    let proxy = Proxy::start(&plane, &peer, AUDIT_POLICY).unwrap();
    proxy.install(&plane).unwrap();
    let target = proxy.target(&plane);
    let handshake = format!(
        "GET {PATH}?watch=1&timeoutSeconds=1 HTTP/1.1\r\nHost: localhost\r\n\
         X-Remote-User: alice\r\nX-Remote-Group: system:authenticated\r\n\
         Audit-Id: by-websocket\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Origin: https://localhost\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let switched = exchange(&target, handshake.as_bytes()).unwrap();
    assert_eq!(switched.code, 101, "{switched:?}");
    let accept = switched.header("Sec-WebSocket-Accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the peer's own answer");
    for stage in ["ResponseStarted", "ResponseComplete"] {
        let event = proxy.audit_log().find(stage, |event| {
            text(event, "/auditID") == "by-websocket" && text(event, "/stage") == stage
        });
        assert_eq!(event.unwrap()["responseStatus"]["code"], 101);
    }

    peer.process.stop().unwrap();
    let headers = [&ALICE[..], &[("Audit-Id", "without-peer")]].concat();
    for line in [format!("POST {PATH}"), format!("GET {PATH}")] {
        let response = request(&target, &line, &headers, &flunder("f")).unwrap();
        let status = response.json().unwrap();
        assert_eq!((response.code, &status["reason"]), (503, &"ServiceUnavailable".into()));
    }
    let is_refused = |event: &Value| text(event, "/auditID") == "without-peer";
    until("both are on record", || {
        Ok((proxy.audit_log().matching(is_refused)?.len() == 2).then_some(()))
    })
    .unwrap();
    for event in proxy.audit_log().matching(is_refused).unwrap() {
        assert_eq!(event["responseStatus"]["code"], 503);
        let is_write = text(&event, "/verb") == "create";
        let expected = is_write.then(|| Value::from("not-forwarded"));
        assert_eq!(event["annotations"].get(OUTCOME), expected.as_ref());
    }
}
