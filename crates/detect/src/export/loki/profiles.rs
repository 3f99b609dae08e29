//! Loki's profiles and field names.

use crate::export::condition::Attribute;
use crate::export::profile::{Bodies, Column, DryRun, Kind, OWN_RECORDS, Profile};
use crate::field;

/// The profiles, the default first.
pub(super) static PROFILES: [Profile; 2] = [
    Profile {
        name: "kasten",
        title: "Lines of Keepwatch or K10 in the stream `{app=\"keepwatch\"}`",
        column: kasten,
        lacks: &[],
        bodies: Bodies::All,
        dry_run: DryRun::Exact,
    },
    Profile {
        name: "kubernetes.audit",
        title: "The cluster's own audit log in the stream `{job=\"kubernetes-audit\"}`, with a label \
                `cluster`",
        column: kubernetes_audit,
        lacks: &[OWN_RECORDS],
        bodies: Bodies::NotOfAggregated,
        dry_run: DryRun::Exact,
    },
];

/// The stream selector of a profile, with a line filter that is cheaper than parsing JSON.
pub(super) fn selector(profile: &Profile) -> &'static str {
    if profile.name == "kasten" {
        "{app=\"keepwatch\"} |= \"K10Event\""
    } else {
        "{job=\"kubernetes-audit\"}"
    }
}

/// Whether the cluster is a stream label, not a field of the line.
pub(super) fn has_cluster_label(profile: &Profile) -> bool {
    profile.name != "kasten"
}

fn kasten(attribute: &Attribute) -> Column {
    match attribute.keys().as_slice() {
        ["cluster"] => Column::text("ddtags"),
        keys => Column::Named(path(&field::k10_name(keys), attribute), kind(attribute)),
    }
}

fn kubernetes_audit(attribute: &Attribute) -> Column {
    match attribute.keys().as_slice() {
        ["cluster"] => Column::text("cluster"),
        keys => Column::Named(path(&keys.join("."), attribute), kind(attribute)),
    }
}

/// A path for Loki's JSON parser: a key with dots is in brackets. `name` has the correct case.
fn path(name: &str, attribute: &Attribute) -> String {
    let (mut rest, mut path) = (name, String::new());
    for key in attribute.keys() {
        // Keys with dots are free keys, equal in both encodings.
        let (key_text, remaining) = rest.split_at_checked(key.len()).unwrap_or((rest, ""));
        rest = remaining.strip_prefix('.').unwrap_or(remaining);
        let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '_';
        if key_text.chars().all(is_plain) {
            let separator = if path.is_empty() { "" } else { "." };
            path.extend([separator, key_text]);
        } else {
            path.extend(["[\\\"", key_text, "\\\"]"]);
        }
    }
    path
}

fn kind(attribute: &Attribute) -> Kind {
    match attribute.keys().as_slice() {
        ["responseStatus", "code"] => Kind::Number,
        ["requestObject" | "responseObject"] => Kind::Object,
        _ if attribute.is_of_body() => Kind::Any,
        _ if attribute.is_list() => Kind::List,
        _ => Kind::Text,
    }
}
