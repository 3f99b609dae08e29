//! Splunk's profiles and field names: JSON paths, with `{}` after a list.

use crate::export::condition::Attribute;
use crate::export::profile::{Bodies, Column, DryRun, Kind, OWN_RECORDS, Profile};
use crate::field;

/// The profiles, the default first.
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

/// The default macros of a profile.
pub(super) struct Macros {
    /// Search for the events.
    pub(super) events: &'static str,
    /// Expression of the cluster name.
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
