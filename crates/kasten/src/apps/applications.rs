//! `Application`: a namespace as K10 sees it. The server derives applications from the cluster's
//! namespaces; users cannot write them.
//!
//! When a namespace is deleted and restore point contents of it remain, its application moves to K10's
//! namespace with the state Deleted, so that users find it and can restore it. The watcher of the
//! namespaces calls [`reconcile`], which does both.

use std::collections::BTreeSet;
use std::sync::Arc;

use apimachinery::{ApiError, fields};
use apiserver::{Objects, Resource, Strategy};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::actions::spec::NameOnly;
use crate::kinds::{APPLICATION, RESTORE_POINT_CONTENT};
use crate::names;
use crate::{Installation, columns, schema, verbs};

/// The spec of an application.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct ApplicationSpec {
    /// The namespace.
    pub namespace: Option<NameOnly>,
}

/// Whether its namespace exists.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// Whether its namespace exists.
    pub state: Option<Presence>,
    /// Components, shown by `/details`.
    pub app_details: Option<AppDetails>,
}

/// Whether a namespace exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Presence {
    /// It exists.
    Active,
    /// It was deleted, and restore point contents of it remain.
    Deleted,
}

/// The details of an application.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct AppDetails {
    /// Its components.
    pub components: Option<Components>,
}

/// The components of an application.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct Components {
    /// Configuration.
    pub config: Option<Vec<Value>>,
    /// Services and routes.
    pub network: Option<Vec<Value>>,
    /// Deployments and other workloads.
    pub workloads: Option<Vec<Value>>,
    /// Custom resources.
    pub customresources: Option<Vec<Value>>,
    /// Volumes.
    pub volumes: Option<Vec<Value>>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    Resource {
        selectable_fields: &["status.state"],
        ..crate::resource(
            installation.kind(APPLICATION),
            verbs::READ_ONLY,
            &[columns::AGE, columns::STATE_WIDE],
            &[apiserver::Subresource::Details],
            schema::object::<ApplicationSpec, ApplicationStatus>(
                "Application is a namespace as K10 sees it.",
            ),
            Arc::new(Application),
        )
    }
}

/// The application of an existing namespace.
fn for_namespace(installation: &Installation, namespace: &str) -> Map<String, Value> {
    application(installation, namespace, namespace, "Active")
}

/// The application of a deleted namespace with remaining restore point contents.
fn deleted(installation: &Installation, namespace: &str) -> Map<String, Value> {
    application(installation, installation.namespace(), namespace, "Deleted")
}

/// Creates and deletes applications so that they match `namespaces`, the names of all namespaces.
/// K10's own namespace is not an application.
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

/// Deletes the application of a deleted namespace if `content` was its last restore point content. The
/// others are listed only if there is an application to delete.
pub(crate) fn forget(
    installation: &Installation,
    content: &Map<String, Value>,
    objects: &mut Objects<'_>,
) -> Result<(), ApiError> {
    let namespace = fields::label(content, names::APP_NAMESPACE);
    let (applications, k10) = (installation.id(APPLICATION), installation.namespace());
    if objects.get(applications, k10, namespace).is_none() {
        return Ok(());
    }
    let contents = installation.id(RESTORE_POINT_CONTENT);
    let is_more_kept = objects.list(contents, None).iter().any(|other| {
        fields::name(other) != fields::name(content)
            && fields::label(other, names::APP_NAMESPACE) == namespace
    });
    if is_more_kept {
        return Ok(());
    }
    objects.delete(applications, k10, namespace)
}

/// The namespaces of which there are restore point contents.
fn kept(installation: &Installation, objects: &Objects<'_>) -> BTreeSet<String> {
    let none = ["", installation.namespace(), names::CLUSTER_APPLICATION];
    objects
        .list(installation.id(RESTORE_POINT_CONTENT), None)
        .iter()
        .map(|content| fields::label(content, names::APP_NAMESPACE).to_owned())
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
    fields::fill_label(&mut application, names::APP_NAME, name);
    fields::fill_label(&mut application, names::APP_NAMESPACE, name);
    application
}

struct Application;

impl Strategy for Application {
    /// Only the cluster knows the components of an application, so they are empty here.
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
