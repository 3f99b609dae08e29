//! The K10 kinds: schemas, validation, life cycles.
//!
//! Every kind of K10's five aggregated groups has one file with its spec and status as types and
//! with its own validation. [`kinds`] is the table of the kinds; [`resources`] returns the
//! resources for the API server. To add a kind: a row in `kinds.rs`, and its file in the folder of
//! its group.
//!
//! Two things differ between installations of K10: the domain of the groups and K10's own
//! namespace. They are in [`Installation`].
//!
//! Nothing here executes an action, opens a connection or reads a clock. K10's custom resources are
//! listed separately ([`kinds::config_resources`]), because in a cluster kube-apiserver serves
//! them.

pub mod actions;
pub mod apps;
mod columns;
pub mod config;
pub mod dr;
mod installation;
pub mod kinds;
pub mod names;
mod reference;
pub mod repositories;
pub mod roles;
mod rules;
pub mod schema;
#[cfg(test)]
mod tests;
pub mod vault;
mod verbs;

use std::sync::Arc;

use apiserver::{Column, Resource, Strategy, Subresource, Verb};
use serde_json::Value;

use installation::Kind;

pub use installation::{Installation, InstallationError};
pub use kinds::resources;
pub use reference::reference;
pub use roles::ROLES;

/// The plurals of all kinds, which are the allowed values of log labels.
pub fn resource_names() -> Vec<&'static str> {
    kinds::KINDS.iter().chain(kinds::CONFIG_KINDS).map(|names| names.plural).collect()
}

/// A kind in the terms of the API server. K10 documents no short names and no categories.
fn resource(
    kind: Kind,
    verbs: &'static [Verb],
    columns: &'static [Column],
    subresources: &'static [Subresource],
    schema: Value,
    strategy: Arc<dyn Strategy>,
) -> Resource {
    let Kind { group, names } = kind;
    Resource {
        group,
        version: names::VERSION,
        kind: names.kind,
        plural: names.plural,
        singular: names.singular,
        short_names: &[],
        categories: &[],
        scope: names.scope,
        verbs,
        columns,
        schema: schema.into(),
        subresources,
        selectable_fields: &[],
        omit_bodies: false,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy,
    }
}
