//! What fields are called in Splunk, which names those of JSON by their paths, with `{}` behind a list.

use crate::export::condition::Attribute;
use crate::export::profile::{Bodies, Column, DryRun, Kind, OWN_RECORDS, Profile};
use crate::field;

/// The ways, the usual one first.
pub(super) static PROFILES: [Profile; 2] = [
    Profile {
        name: "keepwatch",
        title: "Lines of Keepwatch or K10 in the encoding `kasten`, from standard output or a bucket",
        column: kasten,
        lacks: &[],
        bodies: Bodies::All,
        dry_run: DryRun::Exact,
    },
    Profile {
        name: "kube-apiserver-audit",
        title: "The cluster's own audit log, of source type `kube:apiserver:audit`",
        column: audit,
        lacks: &[OWN_RECORDS],
        bodies: Bodies::NotOfAggregated,
        dry_run: DryRun::Wildcards,
    },
];

/// What the macros of a way are.
pub(super) struct Macros {
    /// The events.
    pub(super) events: &'static str,
    /// The name of the cluster of an event.
    pub(super) cluster: &'static str,
    pub(super) sourcetype: &'static str,
}

pub(super) fn macros(profile: &Profile) -> Macros {
    if profile.name == "keepwatch" {
        Macros {
            events: "index=* sourcetype=keepwatch:kasten K10Event",
            cluster: "if(match(ddtags,\"cluster-name:\"), \
                      replace(ddtags,\".*cluster-name:([^,]+).*\",\"\\1\"), host)",
            sourcetype: "keepwatch:kasten",
        }
    } else {
        Macros {
            events: "index=* sourcetype=kube:apiserver:audit",
            cluster: "coalesce(cluster_name, host)",
            sourcetype: "kube:apiserver:audit",
        }
    }
}

fn kasten(attribute: &Attribute) -> Column {
    named(attribute, &field::k10_keys(&attribute.keys()).join("."))
}

fn audit(attribute: &Attribute) -> Column {
    named(attribute, &attribute.keys().join("."))
}

fn named(attribute: &Attribute, name: &str) -> Column {
    let kind = match attribute.keys().as_slice() {
        ["cluster"] => return Column::text("cluster"),
        ["responseStatus", "code"] => Kind::Number,
        ["requestReceivedTimestamp" | "stageTimestamp"] => Kind::Time,
        ["requestObject" | "responseObject"] => Kind::Object,
        _ if attribute.is_of_body() => Kind::Any,
        _ if attribute.is_list() => Kind::List,
        _ => Kind::Text,
    };
    let list = if kind == Kind::List { "{}" } else { "" };
    Column::Named(format!("{name}{list}"), kind)
}
