//! Discovery documents: one per group and version, and aggregated discovery.

use serde_json::{Value, json};

use crate::{Resource, Scope, Subresource, Verb};

/// A group and version with its resources.
pub(crate) struct GroupVersion<'a> {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) resources: Vec<&'a Resource>,
}

impl GroupVersion<'_> {
    /// `group/version`; only the version in the core group.
    pub(crate) fn name(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// URL path without the leading slash.
    pub(crate) fn path(&self) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        format!("{root}/{}", self.name())
    }
}

/// Groups and versions, in the order of their first resources.
pub(crate) fn group_versions(resources: &[Resource]) -> Vec<GroupVersion<'_>> {
    let mut list: Vec<GroupVersion<'_>> = Vec::new();
    for resource in resources {
        let (group, version) = (resource.group, resource.version);
        let existing =
            list.iter_mut().find(|entry| entry.group == group && entry.version == version);
        match existing {
            Some(entry) => entry.resources.push(resource),
            None => list.push(GroupVersion { group, version, resources: vec![resource] }),
        }
    }
    list
}

/// Documents of unaggregated discovery, with their paths.
pub(crate) fn legacy(resources: &[Resource]) -> Vec<(String, Value)> {
    let versions = group_versions(resources);
    let mut pages = Vec::new();
    for version in &versions {
        pages.push((format!("/{}", version.path()), resource_list(version)));
    }
    let core: Vec<&str> =
        versions.iter().filter(|entry| entry.group.is_empty()).map(|entry| entry.version).collect();
    if !core.is_empty() {
        let page = json!({
            "kind": "APIVersions", "versions": core, "serverAddressByClientCIDRs": [],
        });
        pages.push(("/api".to_owned(), page));
    }
    let mut groups = Vec::new();
    for name in group_names(&versions) {
        let group = group(name, &versions);
        let mut page = json!({"kind": "APIGroup", "apiVersion": "v1"});
        if let (Some(page), Some(group)) = (page.as_object_mut(), group.as_object()) {
            page.extend(group.clone());
        }
        pages.push((format!("/apis/{name}"), page));
        groups.push(group);
    }
    let page = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
    pages.push(("/apis".to_owned(), page));
    pages
}

/// Documents of aggregated discovery, with their paths.
pub(crate) fn aggregated(resources: &[Resource]) -> Vec<(String, Value)> {
    let versions = group_versions(resources);
    let list = |names: Vec<&str>| {
        let items: Vec<Value> =
            names.into_iter().map(|name| aggregated_group(name, &versions)).collect();
        json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {}, "items": items,
        })
    };
    let mut pages = vec![("/apis".to_owned(), list(group_names(&versions)))];
    if versions.iter().any(|entry| entry.group.is_empty()) {
        pages.push(("/api".to_owned(), list(vec![""])));
    }
    pages
}

/// Names of all groups except the core group.
fn group_names(versions: &[GroupVersion<'_>]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for version in versions {
        if !version.group.is_empty() && !names.contains(&version.group) {
            names.push(version.group);
        }
    }
    names
}

fn group(name: &str, versions: &[GroupVersion<'_>]) -> Value {
    let list: Vec<Value> = versions
        .iter()
        .filter(|entry| entry.group == name)
        .map(|entry| json!({"groupVersion": entry.name(), "version": entry.version}))
        .collect();
    let preferred = list.first().cloned().unwrap_or_default();
    json!({"name": name, "versions": list, "preferredVersion": preferred})
}

fn resource_list(version: &GroupVersion<'_>) -> Value {
    let mut list = Vec::new();
    for resource in &version.resources {
        let is_namespaced = resource.scope == Scope::Namespaced;
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular,
            "namespaced": is_namespaced, "kind": resource.kind, "verbs": verbs(resource),
        });
        add_names(&mut entry, resource);
        list.push(entry);
        for subresource in resource.subresources {
            list.push(json!({
                "name": format!("{}/{}", resource.plural, subresource.name()),
                "singularName": "", "namespaced": is_namespaced,
                "kind": kind_of_response(resource, *subresource),
                "verbs": words(subresource.verbs()),
            }));
        }
    }
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version.name(),
        "resources": list,
    })
}

fn aggregated_group(name: &str, versions: &[GroupVersion<'_>]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .filter(|entry| entry.group == name)
        .map(|version| {
            let resources: Vec<Value> =
                version.resources.iter().map(|resource| aggregated_resource(resource)).collect();
            json!({"version": version.version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if name.is_empty() { json!({}) } else { json!({"name": name}) };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(resource: &Resource) -> Value {
    let kind = json!({
        "group": resource.group, "version": resource.version, "kind": resource.kind,
    });
    let scope = match resource.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let mut entry = json!({
        "resource": resource.plural, "responseKind": kind, "scope": scope,
        "singularResource": resource.singular, "verbs": verbs(resource),
    });
    add_names(&mut entry, resource);
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|subresource| {
            json!({
                "subresource": subresource.name(), "responseKind": response_kind(resource, *subresource),
                "verbs": words(subresource.verbs()),
            })
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

/// Kind of a subresource's response.
fn kind_of_response(resource: &Resource, subresource: Subresource) -> &'static str {
    match subresource {
        Subresource::Operation { .. } => "Status",
        Subresource::Status | Subresource::Details | Subresource::Field { .. } => resource.kind,
    }
}

fn response_kind(resource: &Resource, subresource: Subresource) -> Value {
    let kind = kind_of_response(resource, subresource);
    let (group, version) =
        if kind == "Status" { ("", "v1") } else { (resource.group, resource.version) };
    json!({"group": group, "version": version, "kind": kind})
}

fn add_names(entry: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
}

fn verbs(resource: &Resource) -> Vec<&'static str> {
    let mut verbs = resource.verbs.to_vec();
    verbs.sort_unstable();
    verbs.dedup();
    words(&verbs)
}

fn words(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.as_str()).collect()
}
