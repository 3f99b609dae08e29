//! Test kinds that cover the features of a resource.

use std::sync::Arc;

use apimachinery::{ApiError, FieldError};
use serde_json::{Map, Value, json};

use crate::resource::DefaultStrategy;
use crate::{
    Attributes, Column, Objects, Resource, ResourceId, Scope, Strategy, Subresource, Verb,
    WriteContext,
};

const ALL: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];
const VAULTS: ResourceId = ResourceId { group: "test.example.com", plural: "vaults" };

pub(in crate::registry) fn all() -> Vec<Resource> {
    vec![widgets(), vaults(), tickets(), namespaces()]
}

fn base() -> Resource {
    Resource {
        group: "test.example.com",
        version: "v1",
        kind: "Widget",
        plural: "widgets",
        singular: "widget",
        short_names: &["wd"],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: ALL,
        columns: &[],
        schema: json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}).into(),
        subresources: &[],
        selectable_fields: &[],
        omit_bodies: false,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy: Arc::new(DefaultStrategy),
    }
}

fn widgets() -> Resource {
    Resource {
        columns: &[
            Column {
                name: "State",
                kind: "string",
                path: "status.state",
                priority: 0,
                description: "State of the widget.",
            },
            Column {
                name: "Size",
                kind: "integer",
                path: "spec.size",
                priority: 1,
                description: "Size of the widget.",
            },
            Column {
                name: "Age",
                kind: "date",
                path: "metadata.creationTimestamp",
                priority: 0,
                description: "Age of the widget.",
            },
        ],
        schema: json!({
            "type": "object",
            "description": "A Widget is something small.",
            "required": ["spec"],
            "properties": {
                "spec": {
                    "type": "object",
                    "description": "Desired state of the widget.",
                    "required": ["size"],
                    "properties": {
                        "size": {"type": "integer", "minimum": 1, "description": "Size of the widget."},
                        "colour": {"type": "string", "enum": ["red", "blue"]},
                        "vault": {"type": "string"},
                    },
                },
                "status": {"type": "object", "properties": {"state": {"type": "string"}}},
            },
        })
        .into(),
        subresources: &[Subresource::Status, Subresource::Details],
        selectable_fields: &["status.state"],
        strategy: Arc::new(Widgets),
        ..base()
    }
}

struct Widgets;

fn vault_name(object: &Map<String, Value>) -> Option<&str> {
    object.get("spec")?.get("vault")?.as_str()
}

impl Strategy for Widgets {
    fn prepare_create(&self, object: &mut Map<String, Value>, _ctx: &WriteContext) {
        object.insert("status".to_owned(), json!({"state": "New"}));
    }

    fn validate(
        &self,
        object: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        let size = &object["spec"]["size"];
        if *size == 13 {
            return vec![FieldError::invalid("spec.size", size, "is unlucky")];
        }
        Vec::new()
    }

    fn required_access(&self, object: &Map<String, Value>) -> Vec<Attributes> {
        let name = vault_name(object).map(str::to_owned);
        let required = name.map(|name| Attributes {
            verb: "get".to_owned(),
            group: "test.example.com".to_owned(),
            version: "v1".to_owned(),
            resource: "vaults".to_owned(),
            name,
            ..Attributes::default()
        });
        required.into_iter().collect()
    }

    fn on_create(
        &self,
        object: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        match vault_name(object) {
            Some(name) if objects.get(VAULTS, "", name).is_none() => {
                Err(ApiError::not_found("test.example.com", "vaults", name))
            }
            _ => Ok(()),
        }
    }

    fn on_delete(
        &self,
        object: &Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        vault_name(object).map_or(Ok(()), |name| objects.delete(VAULTS, "", name))
    }

    fn details(
        &self,
        object: &Map<String, Value>,
        _objects: &mut Objects<'_>,
    ) -> Result<Map<String, Value>, ApiError> {
        let mut object = object.clone();
        object.insert("details".to_owned(), json!({"weight": 7}));
        Ok(object)
    }
}

fn vaults() -> Resource {
    Resource {
        kind: "Vault",
        plural: "vaults",
        singular: "vault",
        short_names: &[],
        scope: Scope::Cluster,
        verbs: &[Verb::Create, Verb::Delete, Verb::Get, Verb::List],
        omit_bodies: true,
        audit_level_min: event::Level::Request,
        ..base()
    }
}

fn tickets() -> Resource {
    struct Tickets;

    impl Strategy for Tickets {
        fn stored(&self) -> bool {
            false
        }
    }

    Resource {
        kind: "Ticket",
        plural: "tickets",
        singular: "ticket",
        short_names: &[],
        verbs: &[Verb::Create],
        strategy: Arc::new(Tickets),
        ..base()
    }
}

fn namespaces() -> Resource {
    Resource {
        group: "",
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        scope: Scope::Cluster,
        ..base()
    }
}
