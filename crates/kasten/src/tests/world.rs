//! A registry over a map, and three users: the part of the API server that the kinds' rules need.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use apiserver::objects::ObjectAccess;
use apiserver::{ApiError, Attributes, Objects, Resource, ResourceId, WriteContext};
use event::UserInfo;
use serde_json::{Map, Value, json};

use crate::{Installation, fields};

static USUAL: LazyLock<Vec<Resource>> = LazyLock::new(|| crate::resources(&Installation::DEFAULT));

pub(super) const NOW: &str = "2026-11-23T09:30:00Z";

/// All objects, by plural, namespace and name.
pub(super) struct World {
    /// The installation whose accounts are K10's own.
    accounts: Installation,
    resources: Vec<Resource>,
    objects: BTreeMap<(String, String, String), Map<String, Value>>,
    /// The access that the last write requires beyond its own object.
    pub(super) access: Mutex<String>,
}

impl Default for World {
    fn default() -> Self {
        Self::with(Installation::DEFAULT, USUAL.clone())
    }
}

impl ObjectAccess for World {
    fn get(&self, kind: ResourceId, namespace: &str, name: &str) -> Option<Map<String, Value>> {
        self.objects.get(&key(kind.plural, namespace, name)).cloned()
    }

    fn list(&self, kind: ResourceId, namespace: Option<&str>) -> Vec<Map<String, Value>> {
        self.objects
            .iter()
            .filter(|((plural, of, _), _)| {
                plural == kind.plural && namespace.is_none_or(|wanted| wanted == of)
            })
            .map(|(_, object)| object.clone())
            .collect()
    }

    fn create(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError> {
        self.put(kind.plural, object);
        Ok(())
    }

    fn update(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError> {
        self.put(kind.plural, object);
        Ok(())
    }

    fn delete(&mut self, kind: ResourceId, namespace: &str, name: &str) -> Result<(), ApiError> {
        self.objects.remove(&key(kind.plural, namespace, name));
        Ok(())
    }
}

fn key(plural: &str, namespace: &str, name: &str) -> (String, String, String) {
    (plural.to_owned(), namespace.to_owned(), name.to_owned())
}

pub(super) fn resource(kind: &str) -> &'static Resource {
    USUAL.iter().find(|resource| resource.kind == kind).unwrap()
}

/// An object with this spec. `path` is a name, or `namespace/name`.
pub(super) fn object(kind: &str, path: &str, spec: Value) -> Map<String, Value> {
    let (namespace, name) = path.split_once('/').unwrap_or(("", path));
    let mut object = Map::new();
    fields::set(&mut object, "kind", kind);
    fields::set(&mut object, "metadata.name", name);
    if !namespace.is_empty() {
        fields::set(&mut object, "metadata.namespace", namespace);
    }
    fields::set(&mut object, "spec", spec);
    object
}

fn said(result: Result<(), ApiError>, good: &str) -> String {
    result.map_or_else(
        |error| format!("{} {}", error.status.code, error.status.message),
        |()| good.to_owned(),
    )
}

impl World {
    /// An empty world for another installation of K10.
    pub(super) fn of(installation: Installation) -> Self {
        Self::with(installation, crate::resources(&installation))
    }

    /// Changes the installation whose accounts are K10's own.
    pub(super) fn accounts_are_those_of(&mut self, installation: Installation) {
        self.accounts = installation;
    }

    fn with(accounts: Installation, resources: Vec<Resource>) -> Self {
        Self { accounts, resources, objects: BTreeMap::new(), access: Mutex::default() }
    }

    fn resource(&self, kind: &str) -> Resource {
        self.resources.iter().find(|resource| resource.kind == kind).unwrap().clone()
    }

    /// The context of a write. The user `kasten` is one of K10's own accounts, the others are the
    /// known users.
    fn occasion(&self, user: &str, subresource: &str) -> WriteContext {
        let known = crate::roles::USERS.iter().find(|known| known.context == user);
        let organizations = known.map_or(&[][..], |known| known.organizations).iter();
        let groups = if user == "kasten" {
            vec![self.accounts.accounts().to_owned()]
        } else {
            organizations.map(|&group| group.to_owned()).collect()
        };
        WriteContext {
            user: Arc::new(UserInfo { username: user.to_owned(), groups, ..UserInfo::default() }),
            now: NOW.to_owned(),
            subresource: subresource.to_owned(),
            suffix: "x7k2mq9d4z".to_owned(),
        }
    }

    fn put(&mut self, plural: &str, object: Map<String, Value>) {
        let place = key(plural, fields::namespace(&object), fields::name(&object));
        self.objects.insert(place, object);
    }

    /// Creates an object as the registry does, and returns the result.
    pub(super) fn create(&mut self, user: &str, kind: &str, path: &str, spec: Value) -> String {
        let object = object(kind, path, spec);
        let result = self.try_create(user, object);
        said(result, "201")
    }

    /// Creates an object as alice. Returns the result and the access that it requires.
    pub(super) fn ask_alice(&mut self, kind: &str, path: &str, spec: Value) -> String {
        let said = self.create("alice", kind, path, spec);
        match self.access.lock().unwrap().as_str() {
            "" => said,
            access => format!("{said}; needs {access}"),
        }
    }

    pub(super) fn try_create(
        &mut self,
        user: &str,
        mut object: Map<String, Value>,
    ) -> Result<(), ApiError> {
        self.access.lock().unwrap().clear();
        let resource = self.resource(fields::text(&object, "kind"));
        let at = self.occasion(user, "");
        let strategy = &resource.strategy;
        strategy.prepare_create(&mut object, &at);
        let errors = strategy.validate(&object, None, &at);
        if !errors.is_empty() {
            let name = fields::name(&object);
            return Err(ApiError::invalid(resource.group, resource.kind, name, &errors));
        }
        *self.access.lock().unwrap() = asked(&strategy.required_access(&object));
        strategy.on_create(&mut object, &mut Objects::new(self), &at)?;
        if strategy.stored() {
            self.put(resource.plural, object);
        }
        Ok(())
    }

    /// Changes a field of an object, with an update of the object or of its status.
    pub(super) fn set(&mut self, kind: &str, path: &str, field: &str, value: Value) -> String {
        let resource = self.resource(kind);
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let old = self.objects[&key(resource.plural, namespace, name)].clone();
        let mut new = old.clone();
        fields::set(&mut new, field, value);
        let at = self.occasion("kasten", if field.starts_with("status") { "status" } else { "" });
        resource.strategy.prepare_update(&mut new, &old, &at);
        let errors = resource.strategy.validate(&new, Some(&old), &at);
        if !errors.is_empty() {
            let error = ApiError::invalid(resource.group, resource.kind, name, &errors);
            return said(Err(error), "");
        }
        let result = resource.strategy.on_update(&mut new, &old, &mut Objects::new(self), &at);
        if result.is_ok() {
            self.put(resource.plural, new);
        }
        said(result, "200")
    }

    /// Removes an object.
    pub(super) fn delete(&mut self, kind: &str, path: &str) -> String {
        let resource = self.resource(kind);
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let place = key(resource.plural, namespace, name);
        let old = self.objects[&place].clone();
        let at = self.occasion("mallory", "");
        let result = resource.strategy.on_delete(&old, &mut Objects::new(self), &at);
        if result.is_ok() {
            self.objects.remove(&place);
        }
        said(result, "200")
    }

    /// The details subresource of an object.
    pub(super) fn details(&mut self, kind: &str, path: &str) -> Value {
        let resource = self.resource(kind);
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let object = self.objects[&key(resource.plural, namespace, name)].clone();
        let detailed = resource.strategy.details(&object, &mut Objects::new(self)).unwrap();
        Value::Object(detailed)
    }

    /// A field of an object, as JSON.
    pub(super) fn field(&self, kind: &str, path: &str, field: &str) -> Value {
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let object = &self.objects[&key(self.resource(kind).plural, namespace, name)];
        fields::value(object, field).cloned().unwrap_or(json!(null))
    }

    /// All objects, one per line: plural, path, state.
    pub(super) fn inventory(&self) -> String {
        let line =
            |((plural, namespace, name), object): (&(String, String, String), &Map<_, _>)| {
                let place =
                    if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
                format!("{plural} {place} {}\n", fields::text(object, "status.state"))
            };
        self.objects.iter().map(line).collect()
    }
}

fn asked(access: &[Attributes]) -> String {
    access
        .iter()
        .map(|one| {
            format!("{} {}.{} {}/{}", one.verb, one.resource, one.group, one.namespace, one.name)
        })
        .collect::<Vec<_>>()
        .join("; ")
}
