//! `Application`: K10's view of a namespace. The server derives applications from the cluster's
//! namespaces; users cannot write them.
//!
//! When a namespace is deleted and restore point contents of it remain, its application moves to
//! K10's namespace with the state Deleted, so that users find it and can restore it. [`reconcile`]
//! does both; the watcher of the namespaces calls it.

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
    pub state: Option<NamespaceState>,
    /// Components, shown by `/details`.
    pub app_details: Option<AppDetails>,
}

/// Whether a namespace exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum NamespaceState {
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
fn for_deleted_namespace(installation: &Installation, namespace: &str) -> Map<String, Value> {
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
    let existing: BTreeSet<&str> =
        namespaces.iter().map(String::as_str).filter(|name| *name != k10).collect();
    let with_contents = namespaces_with_contents(installation, objects);
    let deleted_names =
        with_contents.iter().map(String::as_str).filter(|name| !existing.contains(name));
    let desired: BTreeSet<(&str, &str)> = existing
        .iter()
        .map(|name| (*name, *name))
        .chain(deleted_names.map(|name| (k10, name)))
        .collect();
    let mut current = BTreeSet::new();
    for application in objects.list(id, None) {
        let (namespace, name) = (fields::namespace(&application), fields::name(&application));
        if desired.contains(&(namespace, name)) {
            current.insert((namespace.to_owned(), name.to_owned()));
        } else {
            objects.delete(id, namespace, name)?;
        }
    }
    for (namespace, name) in desired {
        if !current.contains(&(namespace.to_owned(), name.to_owned())) {
            let build = if namespace == name { for_namespace } else { for_deleted_namespace };
            objects.create(id, build(installation, name))?;
        }
    }
    Ok(())
}

/// Deletes the application of a deleted namespace if `content` was its last restore point content.
/// The others are listed only if there is an application to delete.
pub(crate) fn remove_if_last(
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
    let has_other_content = objects.list(contents, None).iter().any(|other| {
        fields::name(other) != fields::name(content)
            && fields::label(other, names::APP_NAMESPACE) == namespace
    });
    if has_other_content {
        return Ok(());
    }
    objects.delete(applications, k10, namespace)
}

/// The namespaces that have restore point contents.
fn namespaces_with_contents(
    installation: &Installation,
    objects: &Objects<'_>,
) -> BTreeSet<String> {
    let excluded = ["", installation.namespace(), names::CLUSTER_APPLICATION];
    objects
        .list(installation.id(RESTORE_POINT_CONTENT), None)
        .iter()
        .map(|content| fields::label(content, names::APP_NAMESPACE).to_owned())
        .filter(|name| !excluded.contains(&name.as_str()))
        .collect()
}

fn application(
    installation: &Installation,
    namespace: &str,
    name: &str,
    state: &str,
) -> Map<String, Value> {
    let mut application = installation.object(APPLICATION, namespace, name);
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
