//! Two further test kinds: a cluster-scoped one with all verbs, and one that holds secret keys.

use std::sync::Arc;

use apiserver::resource::DefaultStrategy;
use apiserver::{Resource, Scope, Subresource, Verb};
use serde_json::json;

const ALL: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];

/// A cluster-scoped kind with a status.
pub(super) fn notes() -> Resource {
    Resource {
        group: "test.io",
        version: "v1",
        kind: "Note",
        plural: "notes",
        singular: "note",
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: ALL,
        columns: &[],
        schema: json!({
            "type": "object",
            "properties": {
                "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            },
        })
        .into(),
        subresources: &[Subresource::Status],
        selectable_fields: &["spec.color"],
        omit_bodies: false,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy: Arc::new(DefaultStrategy),
    }
}

/// A kind whose bodies are omitted from events.
pub(super) fn keys() -> Resource {
    Resource {
        kind: "Key",
        plural: "keys",
        singular: "key",
        scope: Scope::Namespaced,
        subresources: &[],
        selectable_fields: &[],
        omit_bodies: true,
        ..notes()
    }
}
