//! A cache of the cluster's objects, kept current by watches.
//!
//! There is one [`watch`] for each kind and namespace. Secrets are watched one by one, by name, and
//! only those that a profile names. While a watch fails, the last known state remains.
//!
//! `kube::runtime` has a store too, `reflector`. It has one writer for each watch, so this
//! controller's own writes could not be applied to it, and it does not report whether objects can
//! be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use kasten::kinds::{AUDIT_CONFIG, PROFILE};
use kasten::names::{CONFIG, ResourceNames, VERSION};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::Value;
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::{AbortHandle, JoinSet};

use crate::objects::{Lookup, NamespacedName, SecretData};
use crate::resolve;
use crate::watch::{Config, Update, watch};

/// A kind of K10's custom resources.
pub fn kind_of(names: ResourceNames) -> ApiResource {
    let gvk = GroupVersionKind::gvk(CONFIG, VERSION, names.kind);
    ApiResource::from_gvk_with_plural(&gvk, names.plural)
}

/// A kind of the core group.
pub fn core_kind(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", kind), plural)
}

/// All cached objects.
#[derive(Default)]
struct Objects {
    configs: KindCache<DynamicObject>,
    profiles: KindCache<Value>,
    /// The Secrets that are watched.
    secrets: BTreeMap<NamespacedName, Lookup<SecretData>>,
}

/// The objects of one kind.
struct KindCache<T> {
    all: BTreeMap<NamespacedName, T>,
    /// Namespaces that have been listed; the empty one means all.
    listed: BTreeSet<String>,
    /// Namespaces that cannot be read at present, and why.
    unavailable: BTreeMap<String, String>,
}

impl<T> Default for KindCache<T> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), listed: BTreeSet::new(), unavailable: BTreeMap::new() }
    }
}

/// A cache of the objects. A clone shares it.
#[derive(Clone)]
pub struct ObjectCache {
    objects: Arc<Mutex<Objects>>,
    version: Sender<u64>,
}

impl Default for ObjectCache {
    fn default() -> Self {
        Self { objects: Arc::default(), version: Sender::new(0) }
    }
}

impl ObjectCache {
    /// Notifies of each change.
    pub fn changes(&self) -> Receiver<u64> {
        self.version.subscribe()
    }

    /// All `AuditConfig`s.
    pub fn configs(&self) -> Vec<DynamicObject> {
        self.lock().configs.all.values().cloned().collect()
    }

    /// Namespaces whose `AuditConfigs` were listed, and those where they cannot be read or are not
    /// defined; the empty one means all.
    pub fn scopes(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let configs = &self.lock().configs;
        let unavailable =
            configs.unavailable.keys().filter(|namespace| !configs.listed.contains(*namespace));
        (configs.listed.clone(), unavailable.cloned().collect())
    }

    /// Applies the result of the controller's own write, so that it does not write again before the
    /// watch reports it.
    pub fn apply_own_write(&self, config: DynamicObject) {
        self.change(|objects| {
            let key = NamespacedName::of_object(&config);
            let cached = objects.configs.all.get_mut(&key);
            if let Some(cached) = cached.filter(|cached| cached.metadata.uid == config.metadata.uid)
                && !is_older(&config, cached)
            {
                *cached = config;
            }
        });
    }

    /// Like [`Self::apply_own_write`], for a profile.
    pub fn apply_own_profile_write(&self, profile: &DynamicObject) {
        let key = NamespacedName::of_object(profile);
        self.change(|objects| {
            let Some(cached) = objects.profiles.all.get_mut(&key) else { return };
            // The watch may already have reported a later change by a user.
            let known_object: Option<DynamicObject> = serde_json::from_value(cached.clone()).ok();
            if known_object.is_some_and(|cached| {
                cached.metadata.uid == profile.metadata.uid && !is_older(profile, &cached)
            }) {
                *cached = serde_json::to_value(profile).unwrap_or_default();
            }
        });
    }

    /// One `AuditConfig`.
    pub fn config(&self, key: &NamespacedName) -> Option<DynamicObject> {
        self.lock().configs.all.get(key).cloned()
    }

    /// Names of all profiles.
    pub fn profiles(&self) -> Vec<NamespacedName> {
        self.lock().profiles.all.keys().cloned().collect()
    }

    /// A profile as JSON.
    pub fn profile(&self, key: &NamespacedName) -> Option<Value> {
        self.lock().profiles.all.get(key).cloned()
    }

    /// The spec of a profile.
    pub fn profile_spec(&self, key: &NamespacedName) -> Lookup<Value> {
        let objects = self.lock();
        if let Some(profile) = objects.profiles.all.get(key) {
            return Lookup::Found(profile.get("spec").cloned().unwrap_or_default());
        }
        let KindCache { listed, unavailable, .. } = &objects.profiles;
        match unavailable.get("").or_else(|| unavailable.get(&key.namespace)) {
            Some(reason) => Lookup::Forbidden(reason.clone()),
            None if listed.contains("") || listed.contains(&key.namespace) => Lookup::NotFound,
            None => Lookup::NotSynced,
        }
    }

    /// The content of a Secret.
    pub fn secret(&self, key: &NamespacedName) -> Lookup<SecretData> {
        self.lock().secrets.get(key).cloned().unwrap_or_default()
    }

    /// Watches `AuditConfig`s and profiles in a namespace, or in all if it is empty. Never returns.
    pub async fn watch(self, client: kube::Client, namespace: String) {
        let watch_kind = |names| {
            let kind = kind_of(names);
            watch(&client, Config::default(), |client| -> Api<DynamicObject> {
                if namespace.is_empty() {
                    Api::all_with(client, &kind)
                } else {
                    Api::namespaced_with(client, &namespace, &kind)
                }
            })
        };
        let configs = watch_kind(AUDIT_CONFIG).for_each(|update| {
            self.change(|objects| objects.apply_config(update, &namespace));
            std::future::ready(())
        });
        let profiles = watch_kind(PROFILE).for_each(|update| {
            self.change(|objects| {
                objects.profiles.apply(update, &namespace, |object| {
                    serde_json::to_value(object).unwrap_or_default()
                });
            });
            std::future::ready(())
        });
        tokio::join!(configs, profiles);
    }

    /// Watches the Secrets that profiles name. Never returns.
    pub async fn watch_secrets(
        self,
        client: kube::Client,
        allows: impl Fn(&NamespacedName) -> bool,
    ) {
        let mut changes = self.changes();
        let mut tasks = JoinSet::new();
        let mut watched: BTreeMap<NamespacedName, AbortHandle> = BTreeMap::new();
        loop {
            let referenced_secrets: BTreeSet<NamespacedName> =
                self.referenced_secrets().into_iter().filter(&allows).collect();
            for key in &referenced_secrets {
                if !watched.contains_key(key) {
                    let task = self.clone().watch_secret(client.clone(), key.clone());
                    watched.insert(key.clone(), tasks.spawn(task));
                }
            }
            watched.retain(|key, task| {
                let is_referenced = referenced_secrets.contains(key);
                if !is_referenced {
                    task.abort();
                    self.lock().secrets.remove(key);
                }
                is_referenced
            });
            // It cannot fail: the sender is in `self`.
            _ = changes.changed().await;
        }
    }

    fn referenced_secrets(&self) -> BTreeSet<NamespacedName> {
        let objects = self.lock();
        let secret = |(key, profile): (&NamespacedName, &Value)| {
            let spec = Lookup::Found(profile.get("spec").cloned().unwrap_or_default());
            resolve::referenced_secret(key, &spec)
        };
        objects.profiles.all.iter().filter_map(secret).collect()
    }

    async fn watch_secret(self, client: kube::Client, key: NamespacedName) {
        watch_secret(client, key.clone(), |lookup| {
            self.change(|objects| {
                objects.secrets.insert(key.clone(), lookup);
            });
        })
        .await;
    }

    fn change(&self, change: impl FnOnce(&mut Objects)) {
        change(&mut self.lock());
        self.version.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches one Secret and passes each state of it to `on_change`. Never returns.
pub async fn watch_secret(
    client: kube::Client,
    key: NamespacedName,
    mut on_change: impl FnMut(Lookup<SecretData>) + Send,
) {
    let kind = core_kind("Secret", "secrets");
    let named = Config::default().fields(&format!("metadata.name={}", key.name));
    let mut updates = watch(&client, named, |client| -> Api<DynamicObject> {
        Api::namespaced_with(client, &key.namespace, &kind)
    });
    while let Some(update) = updates.next().await {
        on_change(match update {
            Update::Listed(list) => {
                match list.iter().find(|object| NamespacedName::of_object(object) == key) {
                    Some(object) => Lookup::Found(SecretData::from_object(object)),
                    None => Lookup::NotFound,
                }
            }
            Update::Applied(object) => Lookup::Found(SecretData::from_object(&object)),
            Update::Deleted(_) => Lookup::NotFound,
            Update::Unavailable(reason) => Lookup::Forbidden(reason),
        });
    }
}

impl Objects {
    /// Applies an update of the watch, which may be behind this controller's own writes.
    fn apply_config(&mut self, update: Update<DynamicObject>, namespace: &str) {
        if let Update::Applied(object) = &update
            && let Some(cached) = self.configs.all.get(&NamespacedName::of_object(object))
            && is_older(object, cached)
        {
            return;
        }
        self.configs.apply(update, namespace, |object| object);
    }
}

impl<T> KindCache<T> {
    fn apply(
        &mut self,
        update: Update<DynamicObject>,
        namespace: &str,
        convert: impl Fn(DynamicObject) -> T,
    ) {
        match update {
            Update::Listed(list) => {
                self.all.retain(|key, _| !namespace.is_empty() && key.namespace != namespace);
                self.all.extend(
                    list.into_iter()
                        .map(|object| (NamespacedName::of_object(&object), convert(object))),
                );
                self.listed.insert(namespace.to_owned());
                self.unavailable.remove(namespace);
            }
            Update::Applied(object) => {
                self.all.insert(NamespacedName::of_object(&object), convert(object));
            }
            Update::Deleted(object) => {
                self.all.remove(&NamespacedName::of_object(&object));
            }
            Update::Unavailable(reason) => {
                self.unavailable.insert(namespace.to_owned(), reason);
            }
        }
    }
}

/// Whether one state of an object is older than another. False if the resource versions are not
/// numbers.
fn is_older(left: &DynamicObject, right: &DynamicObject) -> bool {
    let version = |object: &DynamicObject| -> Option<u64> {
        object.metadata.resource_version.as_ref()?.parse().ok()
    };
    let is_same_object = left.metadata.uid == right.metadata.uid;
    is_same_object && version(left).zip(version(right)).is_some_and(|(left, right)| left < right)
}
