//! The schema of a signal's spec, with descriptions of the fields of [`event::SignalSpec`].

use event::Severity;
use serde_json::{Value, json};

use crate::schema::{count, counts, list, object, text, texts, time, words};

/// The structural schema of `spec`.
pub(super) fn schema() -> Value {
    object(
        "The finding. The detector writes it.",
        &[
            ("rule", rule()),
            (
                "severity",
                words(
                    &Severity::ALL.map(Severity::as_str),
                    "The highest severity that the signal reached.",
                ),
            ),
            ("case", text("Name of the rule's severity case for this severity.")),
            ("title", text("Actor, action, count and target, on one line.")),
            ("message", text("The rule's message, as Markdown.")),
            ("actor", actor()),
            ("cluster", text("Name of the cluster.")),
            ("groupBy", list("The group of the signal: fields and their values.", group())),
            ("targets", targets()),
            ("remaining", list("The remaining backups of each affected application.", remaining())),
            ("count", count("Number of events that contributed.")),
            ("counts", counts("Number of events that contributed, by the label of their query.")),
            ("firstSeen", time("Time of the first event that contributed.")),
            ("lastSeen", time("Time of the last event that contributed.")),
            ("evidence", evidence()),
            ("attack", attack()),
            ("references", texts("URLs with more information.")),
            ("blindSpots", texts("Blind spots of the rule.")),
        ],
    )
}

fn rule() -> Value {
    object(
        "The rule that raised the signal.",
        &[("id", text("ID of the rule.")), ("title", text("Title of the rule."))],
    )
}

fn actor() -> Value {
    let service_account = object(
        "The ServiceAccount, if the user is one.",
        &[("namespace", text("Namespace of the ServiceAccount.")), ("name", text("Its name."))],
    );
    object(
        "The user who sent the requests.",
        &[
            (
                "username",
                text("The user for whom the requests were authorized; empty if there are several."),
            ),
            ("uid", text("UID of the user.")),
            ("groups", texts("Groups of the user.")),
            (
                "impersonatedBy",
                text("The user who impersonated the user or users; empty if there are several."),
            ),
            (
                "impersonators",
                texts("All impersonators, if there are several, oldest first, capped."),
            ),
            ("serviceAccount", service_account),
            ("credentialID", text("ID of the credential that was used.")),
            ("sourceIPs", texts("Source addresses of the requests, oldest first, capped.")),
            ("userAgents", texts("User agents, oldest first, capped.")),
            ("users", texts("All users, if there are several, oldest first, capped.")),
            ("firstSeen", texts("Values that were seen for the first time, such as an address.")),
        ],
    )
}

fn group() -> Value {
    object(
        "A value that the events have in common.",
        &[("field", text("The field, as in the rule.")), ("value", text("Its value."))],
    )
}

fn targets() -> Value {
    let target = object(
        "The object of a request.",
        &[
            ("group", text("API group.")),
            ("resource", text("Resource name.")),
            ("subresource", text("Subresource, such as status.")),
            ("namespace", text("Namespace; empty for cluster-scoped objects.")),
            ("name", text("Name; empty for requests to a collection.")),
        ],
    );
    object(
        "The objects of the requests.",
        &[
            ("count", count("Number of distinct objects.")),
            ("items", list("The first objects, capped.", target)),
        ],
    )
}

fn remaining() -> Value {
    object(
        "The remaining backups of an application.",
        &[
            ("application", text("Namespace of the application.")),
            ("restorePoints", count("Number of restore points that can still be restored.")),
            ("restorePointContents", count("Number of backups whose data still exists.")),
            ("newest", text("Name of the newest remaining backup.")),
            ("newestTime", text("Creation time of that backup.")),
        ],
    )
}

fn evidence() -> Value {
    let event = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    object(
        "The events that raised the signal.",
        &[
            ("auditIDs", texts("Audit IDs of the first events, capped.")),
            ("events", list("The first events themselves, as audit.k8s.io/v1, capped.", event)),
        ],
    )
}

fn attack() -> Value {
    object(
        "MITRE ATT&CK tactics and techniques.",
        &[
            ("tactics", texts("IDs of tactics, such as TA0040.")),
            ("techniques", texts("IDs of techniques, such as T1490.")),
        ],
    )
}
