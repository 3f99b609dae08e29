//! What clients see when the server stops and starts again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use e2e::fixtures::{Answer, ControlPlane, Keepwatch, User, until};
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
        let answer = alice.try_kubectl("get backupactions -n restarted").unwrap();
        assert!(!answer.success, "nobody answers: {}", answer.out);
        keepwatch.start_again().unwrap();
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
    let work = Work::default();
    let answers = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            work.on(&alice, |user, number| {
                user.try_kubectl(&format!("get backupaction busy-{} -n busy", number / 2))
            })
        });
        let creator = scope.spawn(|| {
            work.on(&alice, |user, number| {
                let manifest = backup("busy", &format!("busy-{number}"));
                user.try_kubectl_with("create --validate=false -f -", &manifest)
            })
        });
        for kill in [false, true] {
            work.wait_for(&work.succeeded, 6);
            if kill {
                keepwatch.process.kill().unwrap();
            } else {
                assert!(keepwatch.process.stop().unwrap().success(), "a clean end");
            }
            work.wait_for(&work.failed, 2);
            keepwatch.start_again().unwrap();
        }
        work.wait_for(&work.succeeded, 6);
        work.over.store(true, Ordering::Relaxed);
        [reader.join().unwrap(), creator.join().unwrap()].concat()
    });
    for answer in answers.iter().filter(|answer| !answer.success) {
        let is_clean = CLEAN_ERRORS.iter().any(|clean| answer.err.contains(clean));
        assert!(is_clean, "{answer:?}");
    }
    alice.kubectl("get backupactions -n busy").unwrap();
    each_answer_has_one_event(&plane, &keepwatch);
}

/// Clients that send requests in a loop, and the number of results.
#[derive(Default)]
struct Work {
    over: AtomicBool,
    succeeded: AtomicUsize,
    failed: AtomicUsize,
}

impl Work {
    /// Repeats an action until the test ends.
    fn on(&self, user: &User, act: impl Fn(&User, usize) -> anyhow::Result<Answer>) -> Vec<Answer> {
        let mut answers = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            let answer = act(user, answers.len()).unwrap();
            let count = if answer.success { &self.succeeded } else { &self.failed };
            count.fetch_add(1, Ordering::Relaxed);
            answers.push(answer);
        }
        answers
    }

    fn wait_for(&self, count: &AtomicUsize, more: usize) {
        let goal = count.load(Ordering::Relaxed) + more;
        let waited =
            until("kubectl goes on", || Ok((count.load(Ordering::Relaxed) >= goal).then_some(())));
        // The clients must end if the test fails.
        self.over.store(waited.is_err(), Ordering::Relaxed);
        waited.unwrap();
    }
}

/// Each request of the namespace that we answered according to the cluster's own log has one event
/// of ours with the same code. A request that the aggregator answered itself has at most one.
fn each_answer_has_one_event(plane: &ControlPlane, keepwatch: &Keepwatch) {
    let asked = plane
        .audit_log()
        .matching(|event| {
            text(event, "/stage") == "ResponseComplete"
                && text(event, "/objectRef/namespace") == "busy"
                && text(event, "/objectRef/apiGroup") == "actions.kio.kasten.io"
        })
        .unwrap();
    let last = text(asked.last().unwrap(), "/auditID");
    let is_last = |event: &Value| text(event, "/AuditID") == last;
    keepwatch.audit_log().find("the last of them", is_last).unwrap();
    let mut ours: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in keepwatch.audit_log().events().unwrap() {
        if text(&event, "/Stage") == "ResponseComplete" {
            ours.entry(text(&event, "/AuditID").to_owned()).or_default().push(event);
        }
    }
    let (mut answered, mut unanswered) = (0, 0);
    for theirs in &asked {
        let events = ours.get(text(theirs, "/auditID")).map_or(&[][..], Vec::as_slice);
        let code = theirs.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap();
        if code < 500 {
            answered += 1;
            assert_eq!(events.len(), 1, "{theirs} and {events:?}");
            assert_eq!(events[0].pointer("/ResponseStatus/code"), Some(&code.into()), "{theirs}");
        } else {
            unanswered += 1;
            assert!(events.len() <= 1, "{theirs} and {events:?}");
        }
    }
    assert!(answered >= 18 && unanswered >= 2, "{answered} answered, {unanswered} not");
}
