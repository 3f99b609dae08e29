//! Core `services` of a standalone server: always empty, but listed by `kubectl cluster-info`.

use std::sync::Arc;

use apiserver::resource::DefaultStrategy;
use apiserver::{Resource, Scope, Verb};
use serde_json::json;

/// The resource that serves the kind.
pub(crate) fn resource() -> Resource {
    Resource {
        group: "",
        version: "v1",
        kind: "Service",
        plural: "services",
        singular: "service",
        short_names: &["svc"],
        categories: &["all"],
        scope: Scope::Namespaced,
        verbs: &[Verb::Get, Verb::List, Verb::Watch],
        columns: &[],
        schema: json!({
            "type": "object",
            "description": "Service is a network service; this server has none.",
            "properties": {
                "apiVersion": {"type": "string", "description": "Version of the schema."},
                "kind": {"type": "string", "description": "Kind of the object."},
                "metadata": {"type": "object", "description": "Standard metadata."},
            },
        })
        .into(),
        subresources: &[],
        selectable_fields: &[],
        omit_bodies: false,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy: Arc::new(DefaultStrategy),
    }
}
