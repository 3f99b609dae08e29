//! A cache of the cluster's objects, kept current by ordinary watches.
//!
//! There is one watch for each kind and namespace. Secrets are watched one by one, by name, and only
//! those that a profile names. A watch that breaks is started again with a list; until then the last
//! known state remains.
//!
//! `kube::runtime` has a watcher too. It would add 26 packages to the lock file, and this cache would still
//! have to apply the controller's own writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kasten::kinds::{AUDIT_CONFIG, PROFILE};
use kasten::names::{CONFIG, ResourceNames, VERSION};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::objects::{Lookup, NamespacedName, SecretData};
use crate::resolve;

/// Duration of one watch in seconds. kube-apiserver ends it then.
const WATCH_SECONDS: u32 = 290;
/// A watch that ends sooner counts as a failure, whichever side ended it.
const WATCH_TIME_MIN: Duration = Duration::from_secs(5);

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
    /// Only those that are watched.
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
    version: watch::Sender<u64>,
}

impl Default for ObjectCache {
    fn default() -> Self {
        Self { objects: Arc::default(), version: watch::Sender::new(0) }
    }
}

impl ObjectCache {
    /// Notifies of each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
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
        let unread =
            configs.unavailable.keys().filter(|namespace| !configs.listed.contains(*namespace));
        (configs.listed.clone(), unread.cloned().collect())
    }

    /// Applies the result of the controller's own write, so that it does not write again before the watch
    /// reports it.
    pub fn apply_own_write(&self, config: DynamicObject) {
        self.change(|objects| {
            let place = NamespacedName::of(&config);
            let known = objects.configs.all.get_mut(&place);
            if let Some(known) = known.filter(|known| known.metadata.uid == config.metadata.uid)
                && !is_older(&config, known)
            {
                *known = config;
            }
        });
    }

    /// Does the same for a profile.
    pub fn apply_own_profile_write(&self, profile: &DynamicObject) {
        let place = NamespacedName::of(profile);
        self.change(|objects| {
            if let Some(known) = objects.profiles.all.get_mut(&place) {
                *known = serde_json::to_value(profile).unwrap_or_default();
            }
        });
    }

    /// One `AuditConfig`.
    pub fn config(&self, place: &NamespacedName) -> Option<DynamicObject> {
        self.lock().configs.all.get(place).cloned()
    }

    /// Names of all profiles.
    pub fn profiles(&self) -> Vec<NamespacedName> {
        self.lock().profiles.all.keys().cloned().collect()
    }

    /// A profile as JSON.
    pub fn profile(&self, place: &NamespacedName) -> Option<Value> {
        self.lock().profiles.all.get(place).cloned()
    }

    /// The spec of a profile.
    pub fn profile_spec(&self, place: &NamespacedName) -> Lookup<Value> {
        let objects = self.lock();
        if let Some(profile) = objects.profiles.all.get(place) {
            return Lookup::Found(profile.get("spec").cloned().unwrap_or_default());
        }
        let KindCache { listed, unavailable, .. } = &objects.profiles;
        match unavailable.get("").or_else(|| unavailable.get(&place.namespace)) {
            Some(why) => Lookup::Forbidden(why.clone()),
            None if listed.contains("") || listed.contains(&place.namespace) => Lookup::NotFound,
            None => Lookup::NotSynced,
        }
    }

    /// The content of a Secret.
    pub fn secret(&self, place: &NamespacedName) -> Lookup<SecretData> {
        self.lock().secrets.get(place).cloned().unwrap_or_default()
    }

    /// Watches `AuditConfig`s and profiles in a namespace, or in all if it is empty. Never returns.
    pub async fn watch(self, client: kube::Client, namespace: String) {
        let api = |names| -> Api<DynamicObject> {
            if namespace.is_empty() {
                Api::all_with(client.clone(), &kind_of(names))
            } else {
                Api::namespaced_with(client.clone(), &namespace, &kind_of(names))
            }
        };
        let configs = watch(api(AUDIT_CONFIG), ListParams::default(), |update| {
            self.change(|objects| {
                // The watch may be behind the own writes.
                let is_new = match &update {
                    Update::Applied(object) => {
                        let known = objects.configs.all.get(&NamespacedName::of(object));
                        known.is_none_or(|known| !is_older(object, known))
                    }
                    _ => true,
                };
                if is_new {
                    objects.configs.apply(update, &namespace, |object| object);
                }
            });
        });
        let profiles = watch(api(PROFILE), ListParams::default(), |update| {
            self.change(|objects| {
                objects.profiles.apply(update, &namespace, |object| {
                    serde_json::to_value(object).unwrap_or_default()
                });
            });
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
            let wanted: BTreeSet<NamespacedName> =
                self.wanted().into_iter().filter(&allows).collect();
            for place in &wanted {
                if !watched.contains_key(place) {
                    let task = self.clone().watch_secret(client.clone(), place.clone());
                    watched.insert(place.clone(), tasks.spawn(task));
                }
            }
            watched.retain(|place, task| {
                let is_wanted = wanted.contains(place);
                if !is_wanted {
                    task.abort();
                    self.lock().secrets.remove(place);
                }
                is_wanted
            });
            // The sender is in `self`.
            changes.changed().await.ok();
        }
    }

    fn wanted(&self) -> BTreeSet<NamespacedName> {
        let objects = self.lock();
        let secret = |(place, profile): (&NamespacedName, &Value)| {
            let spec = Lookup::Found(profile.get("spec").cloned().unwrap_or_default());
            resolve::secret_of(place, &spec)
        };
        objects.profiles.all.iter().filter_map(secret).collect()
    }

    async fn watch_secret(self, client: kube::Client, place: NamespacedName) {
        watch_secret(client, place.clone(), |lookup| {
            self.change(|objects| drop(objects.secrets.insert(place.clone(), lookup)));
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
    place: NamespacedName,
    mut on_change: impl FnMut(Lookup<SecretData>) + Send,
) {
    let kind = core_kind("Secret", "secrets");
    let api: Api<DynamicObject> = Api::namespaced_with(client, &place.namespace, &kind);
    let named = ListParams::default().fields(&format!("metadata.name={}", place.name));
    watch(api, named, |update| {
        on_change(match update {
            Update::Listed(list) => {
                match list.iter().find(|object| NamespacedName::of(object) == place) {
                    Some(object) => Lookup::Found(SecretData::of(object)),
                    None => Lookup::NotFound,
                }
            }
            Update::Applied(object) => Lookup::Found(SecretData::of(&object)),
            Update::Deleted(_) => Lookup::NotFound,
            Update::Unavailable(why) => Lookup::Forbidden(why),
        });
    })
    .await;
}

impl<T> KindCache<T> {
    fn apply(&mut self, update: Update, namespace: &str, convert: impl Fn(DynamicObject) -> T) {
        match update {
            Update::Listed(list) => {
                self.all.retain(|place, _| !namespace.is_empty() && place.namespace != namespace);
                self.all.extend(
                    list.into_iter().map(|object| (NamespacedName::of(&object), convert(object))),
                );
                self.listed.insert(namespace.to_owned());
                self.unavailable.remove(namespace);
            }
            Update::Applied(object) => {
                drop(self.all.insert(NamespacedName::of(&object), convert(object)));
            }
            Update::Deleted(object) => drop(self.all.remove(&NamespacedName::of(&object))),
            Update::Unavailable(why) => drop(self.unavailable.insert(namespace.to_owned(), why)),
        }
    }
}

/// Whether one state of an object is older than another. False if the resource versions are not
/// numbers.
fn is_older(left: &DynamicObject, right: &DynamicObject) -> bool {
    let version = |object: &DynamicObject| -> Option<u64> {
        object.metadata.resource_version.as_ref()?.parse().ok()
    };
    let is_same = left.metadata.uid == right.metadata.uid;
    is_same && version(left).zip(version(right)).is_some_and(|(left, right)| left < right)
}

/// What a watch reports.
enum Update {
    /// The complete list.
    Listed(Vec<DynamicObject>),
    /// A new or changed object.
    Applied(DynamicObject),
    /// A deleted object.
    Deleted(DynamicObject),
    /// The objects cannot be read, and why.
    Unavailable(String),
}

async fn watch<F: FnMut(Update)>(api: Api<DynamicObject>, list: ListParams, mut on_update: F) {
    let kind = api.resource_url().to_owned();
    let mut is_forbidden = false;
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let outcome = list_and_watch(&api, &list, &mut on_update).await;
        let was_forbidden = std::mem::take(&mut is_forbidden);
        if began.elapsed() >= WATCH_TIME_MIN {
            backoff.succeeded();
            if outcome.is_ok() {
                continue;
            }
        }
        let wait = backoff.failed();
        match outcome {
            Err(kube::Error::Api(status)) if status.code == 403 => {
                on_update(Update::Unavailable("this server has no right to".to_owned()));
                is_forbidden = true;
                if !was_forbidden {
                    tracing::warn!(
                        kind,
                        "objects cannot be watched; grant this account list and watch"
                    );
                }
            }
            // The definitions may be installed later.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                on_update(Update::Unavailable("its definition is not installed".to_owned()));
            }
            Err(error) => tracing::debug!(kind, %error, ?wait, "a watch failed"),
            Ok(()) => tracing::debug!(kind, ?wait, "a watch ended early"),
        }
        tokio::time::sleep(wait).await;
    }
}

async fn list_and_watch<F: FnMut(Update)>(
    api: &Api<DynamicObject>,
    list: &ListParams,
    on_update: &mut F,
) -> Result<(), kube::Error> {
    let found = api.list(list).await?;
    let version = found.metadata.resource_version.unwrap_or_default();
    on_update(Update::Listed(found.items));
    let mut parameters = WatchParams::default().timeout(WATCH_SECONDS);
    parameters.field_selector.clone_from(&list.field_selector);
    let mut events = api.watch(&parameters, &version).await?.boxed();
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                on_update(Update::Applied(object));
            }
            WatchEvent::Deleted(object) => on_update(Update::Deleted(object)),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        }
    }
    Ok(())
}
