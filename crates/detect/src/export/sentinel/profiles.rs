//! Sentinel's profiles: the tables of a Log Analytics workspace and their columns.

use crate::export::condition::Attribute;
use crate::export::profile::{Bodies, Column, DryRun, Kind, Lack, OWN_RECORDS, Profile, Word};
use crate::field;

/// The profiles, the default first.
pub(super) static PROFILES: [Profile; 3] = [
    Profile {
        name: "ContainerLogV2",
        title: "Lines of Keepwatch or K10 from standard output, in the encoding `kasten`, by the \
                Azure Monitor agent",
        column: container_log,
        lacks: &[],
        bodies: Bodies::All,
        dry_run: DryRun::Exact,
    },
    Profile {
        name: "AKSAudit",
        title: "The audit log of Azure Kubernetes Service by diagnostic settings, which has no bodies \
                of K10's kinds",
        column: aks_audit,
        lacks: &[OWN_RECORDS],
        bodies: Bodies::None,
        dry_run: DryRun::Wildcards,
    },
    Profile {
        name: "AKSAuditAdmin",
        title: "The same log without requests that only read",
        column: aks_audit,
        lacks: &[
            OWN_RECORDS,
            Lack {
                what: "requests that only read",
                field: Word::Verb,
                values: &["get", "list", "watch"],
            },
        ],
        bodies: Bodies::None,
        dry_run: DryRun::Wildcards,
    },
];

/// The start of a query of a table, and its expressions of time and cluster.
pub(super) struct Table {
    /// The first lines of a query.
    pub(super) lines: &'static [&'static str],
    /// Expression of the event time.
    pub(super) time: &'static str,
}

pub(super) fn table(profile: &Profile) -> Table {
    match profile.name {
        "ContainerLogV2" => Table {
            lines: &[
                "ContainerLogV2",
                "| where LogMessage contains \"K10Event\"",
                "| extend Event = parse_json(tostring(LogMessage))",
            ],
            time: "todatetime(Event.StageTimestamp)",
        },
        "AKSAuditAdmin" => Table { lines: &["AKSAuditAdmin"], time: "StageReceivedTime" },
        _ => Table { lines: &["AKSAudit"], time: "StageReceivedTime" },
    }
}

/// Lines in K10's encoding.
fn container_log(attribute: &Attribute) -> Column {
    let keys = attribute.keys();
    if keys == ["cluster"] {
        return Column::text("_ResourceId");
    }
    let keys = field::k10_keys(&keys);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    Column::Named(path("Event", &keys), kind(attribute))
}

/// Columns of `AKSAudit`. The audit policy of AKS records unknown kinds without bodies.
fn aks_audit(attribute: &Attribute) -> Column {
    let keys = attribute.keys();
    let (column, rest) = match keys.as_slice() {
        ["cluster"] => ("_ResourceId", [].as_slice()),
        ["auditID"] => ("AuditId", [].as_slice()),
        ["requestURI"] => ("RequestUri", [].as_slice()),
        ["requestReceivedTimestamp"] => ("RequestReceivedTime", [].as_slice()),
        ["stageTimestamp"] => ("StageReceivedTime", [].as_slice()),
        ["level"] => ("Level", [].as_slice()),
        ["stage"] => ("Stage", [].as_slice()),
        ["verb"] => ("Verb", [].as_slice()),
        ["userAgent"] => ("UserAgent", [].as_slice()),
        ["sourceIPs"] => ("SourceIps", [].as_slice()),
        ["user", rest @ ..] => ("User", rest),
        ["objectRef", rest @ ..] => ("ObjectRef", rest),
        ["responseStatus", rest @ ..] => ("ResponseStatus", rest),
        ["annotations", rest @ ..] => ("Annotations", rest),
        _ => return Column::Missing,
    };
    Column::Named(path(column, rest), kind(attribute))
}

fn kind(attribute: &Attribute) -> Kind {
    match attribute.keys().as_slice() {
        ["responseStatus", "code"] => Kind::Number,
        ["requestReceivedTimestamp" | "stageTimestamp"] => Kind::Time,
        ["requestObject" | "responseObject"] => Kind::Object,
        _ if attribute.is_of_body() => Kind::Any,
        _ if attribute.is_list() => Kind::List,
        _ => Kind::Text,
    }
}

/// A path into a dynamic value.
fn path(first: &str, rest: &[&str]) -> String {
    let mut path = first.to_owned();
    for key in rest {
        let is_name = key.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
            && !key.starts_with(|char: char| char.is_ascii_digit());
        if is_name {
            path.extend([".", key]);
        } else {
            path.extend(["[", &super::kql::text(key), "]"]);
        }
    }
    path
}
