//! What clients see when the server stops and starts again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use e2e::fixtures::{ControlPlane, Keepwatch, KubectlOutput, User, until};
use serde_json::Value;

use crate::fixture::{alice, alone, backup, namespace, text};

#[test]
fn kubectl_works_after_a_stop_or_kill_and_nothing_is_lost() {
    let (plane, mut keepwatch) = alone();
    namespace(&plane, "restarted");
    let alice = alice(&plane);
    alice.kubectl_with("create -f -", &backup("restarted", "before")).unwrap();

    for (round, kill) in [("stopped", false), ("killed", true)] {
        if kill {
            keepwatch.process.kill().unwrap();
        } else {
            assert!(keepwatch.process.stop().unwrap().success(), "a clean end");
        }
        let output = alice.try_kubectl("get backupactions -n restarted").unwrap();
        assert!(!output.success, "the server has stopped: {}", output.stdout);
        keepwatch.restart().unwrap();
        until("kubectl works again", || {
            Ok(alice.try_kubectl("get backupactions -n restarted")?.success.then_some(()))
        })
        .unwrap();
        alice.kubectl_with("create -f -", &backup("restarted", round)).unwrap();
    }

    let names = alice.kubectl("get backupactions -n restarted -o name").unwrap();
    for name in ["before", "stopped", "killed"] {
        assert!(names.contains(&format!("/{name}")), "{names}");
        let events = keepwatch
            .audit_log()
            .matching(|event| {
                text(event, "/ObjectRef/Namespace") == "restarted"
                    && text(event, "/ObjectRef/Name") == name
                    && text(event, "/Verb") == "create"
            })
            .unwrap();
        assert_eq!(events.len(), 1, "creation of {name}");
    }
}

/// Errors that kubectl may print while the server is down, or when it stops in the middle of a
/// response.
const CLEAN_ERRORS: [&str; 5] = [
    "NotFound",
    "ServiceUnavailable",
    "the server is currently unable to handle the request",
    "error trying to reach service",
    "the server could not find the requested resource",
];

#[test]
fn kubectl_fails_cleanly_during_restarts_and_each_request_is_recorded_once() {
    let (plane, mut keepwatch) = alone();
    namespace(&plane, "busy");
    let alice = alice(&plane);
    // One discovery first, so that the later requests are requests for objects.
    alice.kubectl("get backupactions -n busy").unwrap();
    let load = LoadLoop::default();
    let outputs = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            load.run_until_stopped(&alice, |user, number| {
                user.try_kubectl(&format!("get backupaction busy-{} -n busy", number / 2))
            })
        });
        let creator = scope.spawn(|| {
            load.run_until_stopped(&alice, |user, number| {
                let manifest = backup("busy", &format!("busy-{number}"));
                user.try_kubectl_with("create --validate=false -f -", &manifest)
            })
        });
        for kill in [false, true] {
            load.wait_for(&load.succeeded, 6);
            if kill {
                keepwatch.process.kill().unwrap();
            } else {
                assert!(keepwatch.process.stop().unwrap().success(), "a clean end");
            }
            load.wait_for(&load.failed, 2);
            keepwatch.restart().unwrap();
        }
        load.wait_for(&load.succeeded, 6);
        load.should_stop.store(true, Ordering::Relaxed);
        [reader.join().unwrap(), creator.join().unwrap()].concat()
    });
    for output in outputs.iter().filter(|output| !output.success) {
        let is_clean = CLEAN_ERRORS.iter().any(|clean| output.stderr.contains(clean));
        assert!(is_clean, "{output:?}");
    }
    alice.kubectl("get backupactions -n busy").unwrap();
    check_each_response_has_one_event(&plane, &keepwatch);
}

/// Clients that send requests in a loop, and the number of results.
#[derive(Default)]
struct LoadLoop {
    should_stop: AtomicBool,
    succeeded: AtomicUsize,
    failed: AtomicUsize,
}

impl LoadLoop {
    /// Repeats an action until the test ends.
    fn run_until_stopped(
        &self,
        user: &User,
        request: impl Fn(&User, usize) -> anyhow::Result<KubectlOutput>,
    ) -> Vec<KubectlOutput> {
        let mut outputs = Vec::new();
        while !self.should_stop.load(Ordering::Relaxed) {
            let output = request(user, outputs.len()).unwrap();
            let count = if output.success { &self.succeeded } else { &self.failed };
            count.fetch_add(1, Ordering::Relaxed);
            outputs.push(output);
        }
        outputs
    }

    fn wait_for(&self, count: &AtomicUsize, additional: usize) {
        let goal = count.load(Ordering::Relaxed) + additional;
        let result =
            until("kubectl goes on", || Ok((count.load(Ordering::Relaxed) >= goal).then_some(())));
        // The clients must end if the test fails.
        self.should_stop.store(result.is_err(), Ordering::Relaxed);
        result.unwrap();
    }
}

/// Each request of the namespace that we answered according to the cluster's own log has one event
/// of ours with the same code. A request that the aggregator answered itself has at most one.
fn check_each_response_has_one_event(plane: &ControlPlane, keepwatch: &Keepwatch) {
    let cluster_events = plane
        .audit_log()
        .matching(|event| {
            text(event, "/stage") == "ResponseComplete"
                && text(event, "/objectRef/namespace") == "busy"
                && text(event, "/objectRef/apiGroup") == "actions.kio.kasten.io"
        })
        .unwrap();
    let last = text(cluster_events.last().unwrap(), "/auditID");
    let is_last = |event: &Value| text(event, "/AuditID") == last;
    keepwatch.audit_log().find("the last of them", is_last).unwrap();
    let mut own_events: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in keepwatch.audit_log().events().unwrap() {
        if text(&event, "/Stage") == "ResponseComplete" {
            own_events.entry(text(&event, "/AuditID").to_owned()).or_default().push(event);
        }
    }
    let (mut with_response, mut without_response) = (0, 0);
    for cluster_event in &cluster_events {
        let events = own_events.get(text(cluster_event, "/auditID")).map_or(&[][..], Vec::as_slice);
        let code = cluster_event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap();
        if code < 500 {
            with_response += 1;
            assert_eq!(events.len(), 1, "{cluster_event} and {events:?}");
            assert_eq!(
                events[0].pointer("/ResponseStatus/code"),
                Some(&code.into()),
                "{cluster_event}"
            );
        } else {
            without_response += 1;
            assert!(events.len() <= 1, "{cluster_event} and {events:?}");
        }
    }
    assert!(
        with_response >= 18 && without_response >= 2,
        "{with_response} answered, {without_response} not"
    );
}
