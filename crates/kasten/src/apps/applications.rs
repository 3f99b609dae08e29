//! `Application`: a namespace as K10 sees it. Follows the cluster's namespaces; nobody writes it.
//!
//! When a namespace goes and something of it is kept, its application moves to K10's namespace
//! with the state Deleted, so that it can be found and brought back. [`reconcile`] does both, and
//! is called by whoever watches the namespaces.

use std::collections::BTreeSet;
use std::sync::Arc;

use apiserver::{ApiError, Objects, Resource, Strategy};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::actions::spec::NameOnly;
use crate::domain::{self, APPLICATION, RESTORE_POINT_CONTENT};
use crate::{Installation, columns, fields, schema};

/// What it is made of.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct ApplicationSpec {
    /// The namespace.
    pub namespace: Option<NameOnly>,
}

/// Whether its namespace is there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// Whether its namespace is there.
    pub state: Option<Presence>,
    /// What it consists of; shown by `/details`.
    pub app_details: Option<AppDetails>,
}

/// Whether a namespace is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Presence {
    /// It is.
    Active,
    /// It is gone, and something of it is kept.
    Deleted,
}

/// What an application consists of.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct AppDetails {
    /// Its parts.
    pub components: Option<Components>,
}

/// The parts of an application.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Components {
    /// Configuration.
    pub config: Option<Vec<Value>>,
    /// Services and routes.
    pub network: Option<Vec<Value>>,
    /// Deployments and the like.
    pub workloads: Option<Vec<Value>>,
    /// Custom resources.
    pub customresources: Option<Vec<Value>>,
    /// Volumes.
    pub volumes: Option<Vec<Value>>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    Resource {
        selectable_fields: &["status.state"],
        ..crate::resource(
            installation.kind(APPLICATION),
            columns::READ_ONLY,
            &[columns::AGE, columns::STATE_WIDE],
            &[apiserver::Subresource::Details],
            schema::object::<ApplicationSpec, ApplicationStatus>(
                "Application is a namespace as K10 sees it.",
            ),
            Arc::new(Application),
        )
    }
}

/// The application of a namespace that is there.
fn for_namespace(installation: &Installation, namespace: &str) -> Map<String, Value> {
    application(installation, namespace, namespace, "Active")
}

/// The application of a namespace that is gone while something of it is kept.
fn deleted(installation: &Installation, namespace: &str) -> Map<String, Value> {
    application(installation, installation.namespace(), namespace, "Deleted")
}

/// Makes the applications follow the namespaces that are there: all of them, by name. K10's own
/// is no application.
pub fn reconcile(
    installation: &Installation,
    namespaces: &[String],
    objects: &mut Objects<'_>,
) -> Result<(), ApiError> {
    let (id, k10) = (installation.id(APPLICATION), installation.namespace());
    let there: BTreeSet<&str> =
        namespaces.iter().map(String::as_str).filter(|name| *name != k10).collect();
    let kept = kept(installation, objects);
    let gone = kept.iter().map(String::as_str).filter(|name| !there.contains(name));
    let wanted: BTreeSet<(&str, &str)> =
        there.iter().map(|name| (*name, *name)).chain(gone.map(|name| (k10, name))).collect();
    let mut found = BTreeSet::new();
    for application in objects.list(id, None) {
        let (namespace, name) = (fields::namespace(&application), fields::name(&application));
        if wanted.contains(&(namespace, name)) {
            found.insert((namespace.to_owned(), name.to_owned()));
        } else {
            objects.delete(id, namespace, name)?;
        }
    }
    for (namespace, name) in wanted {
        if !found.contains(&(namespace.to_owned(), name.to_owned())) {
            let make = if namespace == name { for_namespace } else { deleted };
            objects.create(id, make(installation, name))?;
        }
    }
    Ok(())
}

/// Drops the application of a namespace that is gone when `content` was the last that was kept of
/// it. Others are looked through only if there is such an application.
pub(crate) fn forget(
    installation: &Installation,
    content: &Map<String, Value>,
    objects: &mut Objects<'_>,
) -> Result<(), ApiError> {
    let namespace = fields::label(content, domain::APP_NAMESPACE);
    let (applications, k10) = (installation.id(APPLICATION), installation.namespace());
    if objects.get(applications, k10, namespace).is_none() {
        return Ok(());
    }
    let contents = installation.id(RESTORE_POINT_CONTENT);
    let is_more_kept = objects.list(contents, None).iter().any(|other| {
        fields::name(other) != fields::name(content)
            && fields::label(other, domain::APP_NAMESPACE) == namespace
    });
    if is_more_kept {
        return Ok(());
    }
    objects.delete(applications, k10, namespace)
}

/// The namespaces of which something is kept.
fn kept(installation: &Installation, objects: &Objects<'_>) -> BTreeSet<String> {
    let none = ["", installation.namespace(), domain::CLUSTER_APPLICATION];
    objects
        .list(installation.id(RESTORE_POINT_CONTENT), None)
        .iter()
        .map(|content| fields::label(content, domain::APP_NAMESPACE).to_owned())
        .filter(|name| !none.contains(&name.as_str()))
        .collect()
}

fn application(
    installation: &Installation,
    lives_in: &str,
    name: &str,
    state: &str,
) -> Map<String, Value> {
    let mut application = installation.object(APPLICATION, lives_in, name);
    fields::set(&mut application, "spec", json!({"namespace": {"name": name}}));
    fields::set(&mut application, "status", json!({"state": state}));
    fields::fill_label(&mut application, domain::APP_NAME, name);
    fields::fill_label(&mut application, domain::APP_NAMESPACE, name);
    application
}

struct Application;

impl Strategy for Application {
    /// What an application consists of is known to the cluster, not to this server.
    fn details(
        &self,
        application: &Map<String, Value>,
        _objects: &mut Objects<'_>,
    ) -> Result<Map<String, Value>, ApiError> {
        let path = "status.appDetails";
        let mut detailed = application.clone();
        if fields::value(application, path).is_none() {
            let components = json!({
                "config": [], "network": [], "workloads": [], "customresources": [], "volumes": [],
            });
            fields::set(&mut detailed, path, json!({"components": components}));
        }
        Ok(detailed)
    }
}
