//! The schema of a signal's spec: the fields of [`event::SignalSpec`], described.

use event::Severity;
use serde_json::{Value, json};

use crate::schema::{count, counts, list, object, text, texts, time, words};

/// The schema.
pub(super) fn schema() -> Value {
    object(
        "What happened. The detector writes it.",
        &[
            ("rule", rule()),
            (
                "severity",
                words(
                    &Severity::ALL.map(Severity::as_str),
                    "The highest severity that was reached.",
                ),
            ),
            ("case", text("Name of the rule's severity case that was reached.")),
            ("title", text("Actor, action, count and target, on one line.")),
            ("message", text("The rule's message, as Markdown.")),
            ("actor", actor()),
            ("cluster", text("Name of the cluster.")),
            ("groupBy", list("The values that the events have in common.", group())),
            ("targets", targets()),
            ("remaining", list("What each application that lost something has left.", remaining())),
            ("count", count("How many events contributed.")),
            ("counts", counts("How many events contributed, by the label of their query.")),
            ("firstSeen", time("Time of the first event that contributed.")),
            ("lastSeen", time("Time of the last event that contributed.")),
            ("evidence", evidence()),
            ("attack", attack()),
            ("references", texts("Where to read more.")),
            ("blindSpots", texts("What the rule cannot see.")),
        ],
    )
}

fn rule() -> Value {
    object(
        "Which rule it was.",
        &[("id", text("Identity of the rule.")), ("title", text("Title of the rule."))],
    )
}

fn actor() -> Value {
    let service_account = object(
        "The service account that it is, if it is one.",
        &[("namespace", text("Its namespace.")), ("name", text("Its name."))],
    );
    object(
        "Who did it.",
        &[
            (
                "username",
                text(
                    "The user under whom the requests were authorized; empty if there are several.",
                ),
            ),
            ("uid", text("Its uid.")),
            ("groups", texts("Its groups.")),
            ("impersonatedBy", text("Who impersonated it.")),
            ("serviceAccount", service_account),
            ("credentialID", text("Which credential was used.")),
            ("sourceIPs", texts("Addresses that requests came from, oldest first, capped.")),
            ("userAgents", texts("User agents, oldest first, capped.")),
            ("users", texts("All users, if there are several, oldest first, capped.")),
            ("firstSeen", texts("What was seen for the first time, such as an address.")),
        ],
    )
}

fn group() -> Value {
    object(
        "A value that the events have in common.",
        &[("field", text("The field, as the rule names it.")), ("value", text("Its value."))],
    )
}

fn targets() -> Value {
    let target = object(
        "An object that was acted on.",
        &[
            ("group", text("API group.")),
            ("resource", text("Plural of the kind.")),
            ("subresource", text("Such as status.")),
            ("namespace", text("Empty for cluster-scoped objects.")),
            ("name", text("Empty if only a collection was named.")),
        ],
    );
    object(
        "What it was done to.",
        &[
            ("count", count("How many different objects.")),
            ("items", list("The first of them, capped.", target)),
        ],
    )
}

fn remaining() -> Value {
    object(
        "What an application has left.",
        &[
            ("application", text("Namespace of the application.")),
            ("restorePoints", count("Restore points that can still be restored from.")),
            ("restorePointContents", count("Backups whose data is still there.")),
            ("newest", text("Name of the newest backup that is left.")),
            ("newestTime", text("When that one was made.")),
        ],
    )
}

fn evidence() -> Value {
    let event = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    object(
        "The events behind it.",
        &[
            ("auditIDs", texts("Audit IDs of the first events, capped.")),
            ("events", list("The first events themselves, as audit.k8s.io/v1, capped.", event)),
        ],
    )
}

fn attack() -> Value {
    object(
        "MITRE ATT&CK.",
        &[("tactics", texts("Such as TA0040.")), ("techniques", texts("Such as T1490."))],
    )
}
