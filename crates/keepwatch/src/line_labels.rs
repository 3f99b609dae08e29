//! The keys of audit lines besides the event.

use event::k10::LineContext;

/// The `service` key.
const SERVICE: &str = "keepwatch";

/// The labels of the lines of this server; `cluster_name` is empty if it is unknown.
pub(crate) fn labels(cluster_name: &str) -> LineContext {
    LineContext {
        service: SERVICE.to_owned(),
        cluster_name: cluster_name.to_owned(),
        resources: resource_names(),
        signals_match_filter: false,
    }
}

/// The plurals of all kinds that can be served.
fn resource_names() -> Vec<String> {
    kasten::resource_names().into_iter().chain(siem::resource_names()).map(str::to_owned).collect()
}
