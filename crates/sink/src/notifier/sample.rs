//! The sample signal that a test of a notifier sends. It is complete, and recognizable as a test.

use event::Timestamp;
use event::signal::{
    Actor, Severity, Signal, SignalRule, SignalSpec, SignalState, Target, Targets,
};
use serde_json::json;

use super::{Event, Notification, notification_id};

/// The rule of the sample.
const RULE: &str = "keepwatch-notifier-test";

/// A sample notification.
pub(super) fn notification(name: &str, sent_at: Timestamp) -> Notification {
    let id = format!("test-{}", sent_at.as_micros());
    let target = Target {
        group: "apps.kio.kasten.io".to_owned(),
        resource: "restorepoints".to_owned(),
        subresource: String::new(),
        namespace: "example".to_owned(),
        name: "sample".to_owned(),
    };
    let spec = SignalSpec {
        rule: SignalRule { id: RULE.to_owned(), title: "Keepwatch notifier test".to_owned() },
        severity: Severity::Informational,
        title: format!("Test of the notifier {name}: nothing has happened"),
        message: "This is a sample signal. If you can read it, the notifier works.".to_owned(),
        actor: Actor { username: "example-user".to_owned(), ..Actor::default() },
        targets: Targets { count: 1, items: vec![target] },
        count: 1,
        first_seen: sent_at,
        last_seen: sent_at,
        ..SignalSpec::default()
    };
    let object = json!({
        "apiVersion": "siem.keepwatch.io/v1alpha1",
        "kind": "Signal",
        "metadata": {"name": id},
        "spec": spec,
        "status": {"state": SignalState::Open},
    });
    Notification {
        id: notification_id(name, &id, Event::Opened, 0),
        event: Event::Opened,
        sent_at,
        object: object.to_string().into_bytes(),
        signal: Signal { id, spec, state: SignalState::Open },
        closed_at: None,
        last_sent: None,
    }
}
