//! The K10 kinds: schemas, validation, life cycles.
//!
//! Every kind of K10's five aggregated groups is one file that holds its spec and status as types,
//! and the rules that are its own. [`resources`] is the list the binary hands to the API server.
//! To add a kind: its names in `domain.rs`, its file in the folder of its group, its line below.
//!
//! All of it is the same in every installation of K10 but the domain of the groups and K10's own
//! namespace; those are in the [`Installation`].
//!
//! Nothing here carries an action out, opens a connection or reads a clock. K10's custom resources
//! are apart ([`config::resources`]), because in a cluster kube-apiserver serves them.

pub mod actions;
pub mod apps;
mod columns;
pub mod config;
pub mod domain;
pub mod dr;
mod installation;
mod reference;
pub mod repositories;
pub mod roles;
mod rules;
pub mod schema;
#[cfg(test)]
mod tests;
pub mod vault;

use std::sync::Arc;

use apiserver::{Column, Resource, Strategy, Subresource, Verb, fields};
use serde_json::Value;

use installation::Kind;

pub use installation::{Installation, InstallationError};
pub use reference::reference;
pub use roles::ROLES;

/// Every kind of the aggregated groups, ready to be served.
pub fn resources(installation: &Installation) -> Vec<Resource> {
    vec![
        actions::backup_action::resource(installation),
        actions::restore_action::resource(installation),
        actions::export_action::resource(installation),
        actions::import_action::resource(installation),
        actions::run_action::resource(installation),
        actions::retire_action::resource(installation),
        actions::cancel_action::resource(installation),
        actions::backup_cluster_action::resource(installation),
        actions::restore_cluster_action::resource(installation),
        actions::batch_restore_action::resource(installation),
        actions::report_action::resource(installation),
        actions::upgrade_action::resource(installation),
        actions::validate_action::resource(installation),
        actions::stage_action::resource(installation),
        actions::migrate_fcd_action::resource(installation),
        apps::restore_point::resource(installation),
        apps::restore_point_content::resource(installation),
        apps::cluster_restore_point::resource(installation),
        apps::applications::resource(installation),
        repositories::storage_repository::resource(installation),
        vault::passkey::resource(installation),
        dr::review::resource(installation),
        dr::restore::resource(installation),
    ]
}

/// The plurals of all kinds: the words that log labels may be made of.
pub fn resource_names() -> Vec<&'static str> {
    domain::KINDS.iter().chain(&domain::CONFIG_KINDS).map(|names| names.plural).collect()
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
        audit_level_min: event::Level::None,
        read_only: None,
        strategy,
    }
}
