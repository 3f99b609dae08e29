//! The K10 kinds: schemas, validation, life cycles.
//!
//! Every kind of K10's five aggregated groups is one file that holds its spec and status as types,
//! and the rules that are its own. [`resources`] is the list the binary hands to the API server.
//! To add a kind: its names in `domain.rs`, its file in the folder of its group, its line below.
//!
//! Nothing here carries an action out, opens a connection or reads a clock. K10's custom resources
//! are apart ([`config::resources`]), because in a cluster kube-apiserver serves them.

pub mod actions;
pub mod apps;
#[cfg(test)]
mod behaviour;
mod columns;
pub mod config;
pub mod domain;
pub mod dr;
mod fields;
mod reference;
pub mod repositories;
pub mod roles;
mod rules;
pub mod schema;
pub mod vault;

use std::sync::Arc;

use apiserver::{Column, Resource, Strategy, Subresource, Verb};
use serde_json::Value;

pub use reference::reference;
pub use roles::ROLES;

/// Every kind of the aggregated groups, ready to be served.
pub fn resources() -> Vec<Resource> {
    vec![
        actions::backup_action::resource(),
        actions::restore_action::resource(),
        actions::export_action::resource(),
        actions::import_action::resource(),
        actions::run_action::resource(),
        actions::retire_action::resource(),
        actions::cancel_action::resource(),
        actions::backup_cluster_action::resource(),
        actions::restore_cluster_action::resource(),
        actions::batch_restore_action::resource(),
        actions::report_action::resource(),
        actions::upgrade_action::resource(),
        actions::validate_action::resource(),
        actions::stage_action::resource(),
        actions::migrate_fcd_action::resource(),
        apps::restore_point::resource(),
        apps::restore_point_content::resource(),
        apps::cluster_restore_point::resource(),
        apps::applications::resource(),
        repositories::storage_repository::resource(),
        vault::passkey::resource(),
        dr::review::resource(),
        dr::restore::resource(),
    ]
}

/// The plurals of all kinds: the words that log labels may be made of.
pub fn resource_names() -> Vec<&'static str> {
    domain::KINDS.iter().chain(&domain::CONFIG_KINDS).map(|names| names.plural).collect()
}

/// A kind in the terms of the API server. K10 documents no short names and no categories.
fn resource(
    names: domain::Names,
    verbs: &'static [Verb],
    columns: &'static [Column],
    subresources: &'static [Subresource],
    schema: Value,
    strategy: Arc<dyn Strategy>,
) -> Resource {
    Resource {
        group: names.group,
        version: domain::VERSION,
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
        withhold_bodies: false,
        strategy,
    }
}
