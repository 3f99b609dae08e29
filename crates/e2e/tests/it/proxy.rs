//! The auditing proxy between kube-apiserver's aggregator and sample-apiserver.
//!
//! The same requests are sent with and without the proxy, and must have the same results. Each is on
//! record with the user and the audit ID of kube-apiserver's own log. Kills lose no effect.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::thread;

use e2e::fixtures::https::{Target, exchange, request};
use e2e::fixtures::{AuditLog, ControlPlane, Proxy, SampleApiserver, until};
use event::Stage;
use event::annotations::{OUTCOME, UPSTREAM};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::fixture::{AUDIT_POLICY, alice, mallory, text};
use requests::{PATH, Sent, results};

mod requests;

/// The peer records nothing: the proxy does.
const NO_EVENTS: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n";
/// Kills of the proxy under load.
const KILLS: usize = 4;
/// Objects that each of the clients creates before a kill and after it.
const CREATES: usize = 25;
/// Clients that create objects.
const CLIENTS: usize = 4;

struct Cluster {
    plane: ControlPlane,
    peer: SampleApiserver,
}

fn cluster(name: &str, peer_policy: &str) -> Cluster {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let plane = ControlPlane::start(&folder).unwrap();
    plane.apply(include_str!("../data/users.yaml")).unwrap();
    let peer = SampleApiserver::start(&plane, peer_policy).unwrap();
    Cluster { plane, peer }
}

/// The fields of an event that both servers must agree about.
fn identity_of(event: &Value) -> Vec<String> {
    // kube-apiserver does not decode the body of a create for an extension server.
    let name = if text(event, "/verb") == "create" { "resource" } else { "name" };
    let reference = ["resource", "namespace", "subresource", name]
        .map(|field| text(event, &format!("/objectRef/{field}")).to_owned());
    let mut identity = vec![
        text(event, "/user/username").to_owned(),
        text(event, "/impersonatedUser/username").to_owned(),
        event.pointer("/user/groups").map(ToString::to_string).unwrap_or_default(),
        text(event, "/verb").to_owned(),
        // kube-apiserver sorts the parameters before it forwards a request.
        text(event, "/requestURI").split('?').next().unwrap_or_default().to_owned(),
        event.pointer("/responseStatus/code").map(ToString::to_string).unwrap_or_default(),
    ];
    identity.extend(reference);
    identity
}

/// The last events of requests for flunders, by audit ID.
fn flunder_events(log: &AuditLog) -> BTreeMap<String, Value> {
    let is_end = |event: &Value| {
        text(event, "/objectRef/resource") == "flunders"
            && text(event, "/stage") == "ResponseComplete"
            && text(event, "/user/username") == "alice"
    };
    let events = log.matching(is_end).unwrap();
    events.into_iter().map(|event| (text(&event, "/auditID").to_owned(), event)).collect()
}

#[test]
fn requests_have_the_same_results_through_the_proxy_and_each_is_on_record() {
    let Cluster { plane, peer } = cluster("proxy", AUDIT_POLICY);
    let (alice, mallory) = (alice(&plane), mallory(&plane));
    let users = [plane.target(&alice), plane.target(&mallory)];
    let direct = results(&users);

    let before = plane.admin().json("get apiservice v1alpha1.wardle.example.com").unwrap();
    let proxy = Proxy::start(&plane, &peer, AUDIT_POLICY).unwrap();
    let printed: Value = serde_json::from_slice(&proxy.print_install().unwrap()).unwrap();
    assert_eq!(printed["items"].as_array().map(Vec::len), Some(4), "{printed}");
    proxy.install(&plane).unwrap();
    let known = flunder_events(&plane.audit_log());
    let forwarded = results(&users);
    let differences: Vec<String> = direct
        .iter()
        .zip(&forwarded)
        .filter(|(direct, forwarded)| direct.result != forwarded.result)
        .map(|(Sent { line, result }, forwarded)| {
            format!("{line}\ndirect: {result}\nforwarded: {}\n", forwarded.result)
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    watch_with_kubectl(&plane);

    // kube-apiserver writes its event after the response.
    let mut expected = flunder_events(&plane.audit_log());
    expected.retain(|id, _| !known.contains_key(id));
    assert!(expected.len() >= 30, "{} requests", expected.len());
    let log = proxy.audit_log();
    for (id, event) in &expected {
        let own = log.find(&format!("{id} in the proxy's log"), |own| {
            text(own, "/auditID") == id && text(own, "/stage") == "ResponseComplete"
        });
        let own = own.unwrap();
        assert_eq!(identity_of(&own), identity_of(event), "{own}");
        assert_eq!(own["annotations"][UPSTREAM], peer.address.to_string());
    }
    let create = flunder_events(&log)
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

    proxy.uninstall().unwrap();
    let after = plane.admin().json("get apiservice v1alpha1.wardle.example.com").unwrap();
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"]);
    let role = plane.admin().try_kubectl("get clusterrole keepwatch-proxy").unwrap();
    assert!(!role.success, "the right to impersonate is removed");
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

/// Creates objects until the proxy is gone. Returns the names that were acknowledged.
fn create_until_killed(target: &Target<'_>, prefix: &str) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let name = format!("{prefix}-{number}");
        match request(target, &format!("POST {PATH}"), &ALICE, &flunder(&name)) {
            Ok(response) if response.code == 201 => acknowledged.push(name),
            // The connection ended, perhaps within the response.
            _ => return acknowledged,
        }
    }
    acknowledged
}

/// Names of flunders.
fn stored_names(plane: &ControlPlane) -> BTreeSet<String> {
    let list = plane.admin().json("get --raw /apis/wardle.example.com/v1alpha1/flunders");
    let list = list.unwrap_or_else(|_| {
        let raw = format!("get --raw {PATH}");
        serde_json::from_str(&plane.admin().kubectl(&raw).unwrap()).unwrap()
    });
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| text(item, "/metadata/name").to_owned()).collect()
}

#[test]
fn a_killed_proxy_leaves_no_effect_without_a_record() {
    let Cluster { plane, peer } = cluster("proxy-kills", NO_EVENTS);
    let mut proxy = Proxy::start(&plane, &peer, AUDIT_POLICY).unwrap();
    proxy.install(&plane).unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        thread::scope(|scope| {
            let target = proxy.target(&plane).clone();
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let target = target.clone();
                    scope.spawn(move || create_until_killed(&target, &format!("k{round}-{client}")))
                })
                .collect();
            let events = (round + 1) * CREATES * CLIENTS;
            until("the load runs", || {
                Ok((proxy.audit_log().events()?.len() >= events).then_some(()))
            })
            .unwrap();
            kill(proxy.process.id());
            for client in clients {
                acknowledged.extend(client.join().unwrap());
            }
        });
        proxy.process.wait().unwrap();
        proxy.restart().unwrap();
    }
    proxy.uninstall().unwrap();
    let stored = stored_names(&plane);
    let events = Runtime::new().unwrap().block_on(proxy.stop_and_read()).unwrap();
    let mut outcomes: BTreeMap<String, Vec<(u16, bool)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.stage == Stage::ResponseComplete) {
        let Some(reference) = &event.object_ref else { continue };
        if event.verb == "create" && reference.resource == "flunders" {
            let code = event.response_status.as_ref().map_or(0, |status| status.code);
            let is_unknown = event.annotations.contains_key(OUTCOME);
            outcomes.entry(reference.name.clone()).or_default().push((code, is_unknown));
        }
    }
    let unknown: Vec<_> =
        outcomes.values().flatten().filter(|(_, is_unknown)| *is_unknown).collect();
    println!(
        "{KILLS} kills: {} acknowledged, {} stored, {} unknown outcomes",
        acknowledged.len(),
        stored.len(),
        unknown.len()
    );
    for name in &stored {
        let outcomes = outcomes.get(name);
        assert!(outcomes.is_some(), "{name} was created without a record");
    }
    for name in &acknowledged {
        assert_eq!(outcomes.get(name), Some(&vec![(201, false)]), "{name}");
    }
    assert!(outcomes.values().all(|outcomes| outcomes.len() == 1), "one event for each request");
    assert!(acknowledged.len() >= KILLS * CREATES);
}

fn kill(process: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
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
