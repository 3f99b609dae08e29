//! A registry that keeps its objects in a map and runs the strategies of the kinds, without HTTP, store and audit.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use apimachinery::{ApiError, fields};
use apiserver::objects::ObjectAccess;
use apiserver::{Attributes, Objects, Resource, ResourceId, WriteContext};
use event::UserInfo;
use serde_json::{Map, Value, json};

use crate::Installation;

static DEFAULT_RESOURCES: LazyLock<Vec<Resource>> =
    LazyLock::new(|| crate::resources(&Installation::DEFAULT));

pub(super) const NOW: &str = "2026-11-23T09:30:00Z";

/// All objects, by plural, namespace and name.
pub(super) struct FakeRegistry {
    /// The installation that the account `kasten` belongs to.
    accounts: Installation,
    resources: Vec<Resource>,
    objects: BTreeMap<(String, String, String), Map<String, Value>>,
    /// The further access that the last create required.
    pub(super) access: Mutex<String>,
}

impl Default for FakeRegistry {
    fn default() -> Self {
        Self::with(Installation::DEFAULT, DEFAULT_RESOURCES.clone())
    }
}

impl ObjectAccess for FakeRegistry {
    fn get(&self, kind: ResourceId, namespace: &str, name: &str) -> Option<Map<String, Value>> {
        self.objects.get(&key(kind.plural, namespace, name)).cloned()
    }

    fn list(&self, kind: ResourceId, namespace: Option<&str>) -> Vec<Map<String, Value>> {
        self.objects
            .iter()
            .filter(|((plural, object_namespace, _), _)| {
                plural == kind.plural
                    && namespace.is_none_or(|namespace| namespace == object_namespace)
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
    DEFAULT_RESOURCES.iter().find(|resource| resource.kind == kind).unwrap()
}

/// `kind` or `namespace/name`, as an object with this spec.
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

fn outcome(result: Result<(), ApiError>, success: &str) -> String {
    result.map_or_else(
        |error| format!("{} {}", error.status.code, error.status.message),
        |()| success.to_owned(),
    )
}

impl FakeRegistry {
    /// An empty registry with the kinds of another installation of K10.
    pub(super) fn new(installation: Installation) -> Self {
        Self::with(installation, crate::resources(&installation))
    }

    /// Makes `kasten` an account of another installation.
    pub(super) fn use_accounts_of(&mut self, installation: Installation) {
        self.accounts = installation;
    }

    fn with(accounts: Installation, resources: Vec<Resource>) -> Self {
        Self { accounts, resources, objects: BTreeMap::new(), access: Mutex::default() }
    }

    fn resource(&self, kind: &str) -> Resource {
        self.resources.iter().find(|resource| resource.kind == kind).unwrap().clone()
    }

    /// Context of a write by `kasten`, which is one of K10's own accounts, or by one of the known users.
    fn context(&self, user: &str, subresource: &str) -> WriteContext {
        let demo_user = crate::roles::USERS.iter().find(|demo_user| demo_user.context == user);
        let organizations = demo_user.map_or(&[][..], |demo_user| demo_user.organizations).iter();
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
        let key = key(plural, fields::namespace(&object), fields::name(&object));
        self.objects.insert(key, object);
    }

    /// Creates an object and returns the status code, with the message of an error.
    pub(super) fn create(&mut self, user: &str, kind: &str, path: &str, spec: Value) -> String {
        let object = object(kind, path, spec);
        let result = self.try_create(user, object);
        outcome(result, "201")
    }

    /// [`create`](Self::create) as alice, with the further access that is required.
    pub(super) fn create_as_alice(&mut self, kind: &str, path: &str, spec: Value) -> String {
        let outcome = self.create("alice", kind, path, spec);
        match self.access.lock().unwrap().as_str() {
            "" => outcome,
            access => format!("{outcome}; needs {access}"),
        }
    }

    pub(super) fn try_create(
        &mut self,
        user: &str,
        mut object: Map<String, Value>,
    ) -> Result<(), ApiError> {
        self.access.lock().unwrap().clear();
        let resource = self.resource(fields::text(&object, "kind"));
        let ctx = self.context(user, "");
        let strategy = &resource.strategy;
        strategy.prepare_create(&mut object, &ctx);
        let errors = strategy.validate(&object, None, &ctx);
        if !errors.is_empty() {
            let name = fields::name(&object);
            return Err(ApiError::invalid(resource.group, resource.kind, name, &errors));
        }
        *self.access.lock().unwrap() = access_list(&strategy.required_access(&object));
        strategy.on_create(&mut object, &mut Objects::new(self), &ctx)?;
        if strategy.stored() {
            self.put(resource.plural, object);
        }
        Ok(())
    }

    /// Changes one field of an object by an update of the object or of its status.
    pub(super) fn set(&mut self, kind: &str, path: &str, field: &str, value: Value) -> String {
        let resource = self.resource(kind);
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let old = self.objects[&key(resource.plural, namespace, name)].clone();
        let mut new = old.clone();
        fields::set(&mut new, field, value);
        let ctx = self.context("kasten", if field.starts_with("status") { "status" } else { "" });
        resource.strategy.prepare_update(&mut new, &old, &ctx);
        let errors = resource.strategy.validate(&new, Some(&old), &ctx);
        if !errors.is_empty() {
            let error = ApiError::invalid(resource.group, resource.kind, name, &errors);
            return outcome(Err(error), "");
        }
        let result = resource.strategy.on_update(&mut new, &old, &mut Objects::new(self), &ctx);
        if result.is_ok() {
            self.put(resource.plural, new);
        }
        outcome(result, "200")
    }

    /// Deletes an object, as after its last finalizer.
    pub(super) fn delete(&mut self, kind: &str, path: &str) -> String {
        let resource = self.resource(kind);
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let key = key(resource.plural, namespace, name);
        let old = self.objects[&key].clone();
        let ctx = self.context("mallory", "");
        let result = resource.strategy.on_delete(&old, &mut Objects::new(self), &ctx);
        if result.is_ok() {
            self.objects.remove(&key);
        }
        outcome(result, "200")
    }

    /// The details of an object.
    pub(super) fn details(&mut self, kind: &str, path: &str) -> Value {
        let resource = self.resource(kind);
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let object = self.objects[&key(resource.plural, namespace, name)].clone();
        let detailed = resource.strategy.details(&object, &mut Objects::new(self)).unwrap();
        Value::Object(detailed)
    }

    /// One field of an object, as JSON.
    pub(super) fn field(&self, kind: &str, path: &str, field: &str) -> Value {
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let object = &self.objects[&key(self.resource(kind).plural, namespace, name)];
        fields::value(object, field).cloned().unwrap_or(json!(null))
    }

    /// All objects, one per line: plural, path, state.
    pub(super) fn inventory(&self) -> String {
        let line =
            |((plural, namespace, name), object): (&(String, String, String), &Map<_, _>)| {
                let path =
                    if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
                format!("{plural} {path} {}\n", fields::text(object, "status.state"))
            };
        self.objects.iter().map(line).collect()
    }
}

fn access_list(access: &[Attributes]) -> String {
    access
        .iter()
        .map(|access| {
            let Attributes { verb, resource, group, namespace, name, .. } = access;
            format!("{verb} {resource}.{group} {namespace}/{name}")
        })
        .collect::<Vec<_>>()
        .join("; ")
}
