//! Datadog's profiles and field names.

use crate::export::condition::Attribute;
use crate::export::profile::{Bodies, Column, DryRun, Kind, OWN_RECORDS, Profile};
use crate::field;

/// The profiles, the default first.
pub(super) static PROFILES: [Profile; 2] = [
    Profile {
        name: "kasten",
        title: "Lines of Keepwatch or K10, from standard output by the agent or from a bucket by the \
                forwarder",
        column: kasten,
        lacks: &[],
        bodies: Bodies::All,
        dry_run: DryRun::Wildcards,
    },
    Profile {
        name: "kubernetes.audit",
        title: "The cluster's own audit log, by Datadog's integration",
        column: kubernetes_audit,
        lacks: &[OWN_RECORDS],
        bodies: Bodies::NotOfAggregated,
        dry_run: DryRun::Wildcards,
    },
];

/// Facets of lines in K10's encoding.
fn kasten(attribute: &Attribute) -> Column {
    match attribute.keys().as_slice() {
        ["cluster"] => Column::text("cluster-name"),
        ["sourceIPs"] => Column::Named("@network.ip.list".to_owned(), Kind::List),
        _ => Column::Named(
            format!("@{}", escaped(&field::k10_name(&attribute.keys()))),
            kind(attribute),
        ),
    }
}

/// Attributes after Datadog's pipeline for `source:kubernetes.audit`.
fn kubernetes_audit(attribute: &Attribute) -> Column {
    let name = match attribute.keys().as_slice() {
        ["cluster"] => return Column::text("kube_cluster_name"),
        ["verb"] => "@http.method".to_owned(),
        ["requestURI"] => "@http.url".to_owned(),
        ["userAgent"] => "@http.useragent".to_owned(),
        ["sourceIPs"] => "@network.client.ip".to_owned(),
        ["responseStatus", "code"] => "@http.status_code".to_owned(),
        keys => format!("@{}", escaped(&keys.join("."))),
    };
    Column::Named(name, kind(attribute))
}

fn kind(attribute: &Attribute) -> Kind {
    match attribute.keys().as_slice() {
        ["responseStatus", "code"] => Kind::Number,
        _ if attribute.is_object() => Kind::Object,
        _ if attribute.is_of_body() => Kind::Any,
        _ if attribute.is_list() => Kind::List,
        _ => Kind::Text,
    }
}

/// Escapes the special characters of the search syntax in a path.
fn escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for char in path.chars() {
        if !(char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-' | '/')) {
            text.push('\\');
        }
        text.push(char);
    }
    text
}

/// The prefix of every query of a profile.
pub(super) fn scope(profile: &Profile) -> Option<&'static str> {
    (profile.name == "kubernetes.audit").then_some("source:kubernetes.audit")
}

/// Whether events contain the impersonated user. Behind kube-apiserver's aggregator an impersonated
/// user arrives as the user.
pub(super) fn has_impersonation(profile: &Profile) -> bool {
    profile.name == "kubernetes.audit"
}
