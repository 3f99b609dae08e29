//! The objects of the cluster as they are now, followed by ordinary watches.
//!
//! One follower for each kind and namespace; Secrets are followed one by one, by name, and only
//! those that somebody names. A watch that breaks is begun again with a list; until then what was
//! seen last counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kasten::domain::{AUDIT_CONFIG, CONFIG, Names, PROFILE, VERSION};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::resolve;
use crate::seen::{Keys, Place, Sight};

/// How long one watch lasts.
const WATCH_SECONDS: u32 = 290;
/// A watch that ended sooner is a failure, on whichever side it ended.
const WATCH_TIME_MIN: Duration = Duration::from_secs(5);

/// How clients name a kind of K10's custom resources.
pub fn kind_of(names: Names) -> ApiResource {
    let gvk = GroupVersionKind::gvk(CONFIG, VERSION, names.kind);
    ApiResource::from_gvk_with_plural(&gvk, names.plural)
}

/// How clients name a kind of the core group.
pub fn core_kind(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", kind), plural)
}

/// Everything that is seen.
#[derive(Default)]
struct Objects {
    configs: Sphere<DynamicObject>,
    profiles: Sphere<Value>,
    /// Only those that are followed.
    secrets: BTreeMap<Place, Sight<Keys>>,
}

/// The objects of one kind, by place.
struct Sphere<T> {
    all: BTreeMap<Place, T>,
    /// Namespaces that have been listed; the empty one stands for all.
    listed: BTreeSet<String>,
    /// Namespaces that may not be read at present, and why.
    refused: BTreeMap<String, String>,
}

impl<T> Default for Sphere<T> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), listed: BTreeSet::new(), refused: BTreeMap::new() }
    }
}

/// A live view of the objects.
#[derive(Clone)]
pub struct Mirror {
    objects: Arc<Mutex<Objects>>,
    version: watch::Sender<u64>,
}

impl Default for Mirror {
    fn default() -> Self {
        Self { objects: Arc::default(), version: watch::Sender::new(0) }
    }
}

impl Mirror {
    /// Changes whenever anything seen changes.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Every `AuditConfig` that is known.
    pub fn configs(&self) -> Vec<DynamicObject> {
        self.lock().configs.all.values().cloned().collect()
    }

    /// Namespaces whose `AuditConfigs` were listed, and those where they may not be read or are no kind
    /// of the cluster; the empty one stands for all.
    pub fn looked_at(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let configs = &self.lock().configs;
        let unread = configs.refused.keys().filter(|one| !configs.listed.contains(*one));
        (configs.listed.clone(), unread.cloned().collect())
    }

    /// What came of a write of ours, so that it is not decided anew before the watch tells.
    pub fn learn(&self, config: DynamicObject) {
        self.change(|objects| {
            let place = Place::of(&config);
            let known = objects.configs.all.get_mut(&place);
            if let Some(known) = known.filter(|known| known.metadata.uid == config.metadata.uid)
                && !is_older(&config, known)
            {
                *known = config;
            }
        });
    }

    /// The same for a profile.
    pub fn learn_profile(&self, profile: &DynamicObject) {
        let place = Place::of(profile);
        self.change(|objects| {
            if let Some(known) = objects.profiles.all.get_mut(&place) {
                *known = serde_json::to_value(profile).unwrap_or_default();
            }
        });
    }

    /// One `AuditConfig`.
    pub fn config(&self, place: &Place) -> Option<DynamicObject> {
        self.lock().configs.all.get(place).cloned()
    }

    /// Places of all profiles.
    pub fn profiles(&self) -> Vec<Place> {
        self.lock().profiles.all.keys().cloned().collect()
    }

    /// The whole of a profile.
    pub fn profile(&self, place: &Place) -> Option<Value> {
        self.lock().profiles.all.get(place).cloned()
    }

    /// The spec of a profile.
    pub fn profile_spec(&self, place: &Place) -> Sight<Value> {
        let objects = self.lock();
        if let Some(profile) = objects.profiles.all.get(place) {
            return Sight::There(profile.get("spec").cloned().unwrap_or_default());
        }
        let Sphere { listed, refused, .. } = &objects.profiles;
        match refused.get("").or_else(|| refused.get(&place.namespace)) {
            Some(why) => Sight::Refused(why.clone()),
            None if listed.contains("") || listed.contains(&place.namespace) => Sight::Missing,
            None => Sight::Unknown,
        }
    }

    /// What a Secret holds.
    pub fn secret(&self, place: &Place) -> Sight<Keys> {
        self.lock().secrets.get(place).cloned().unwrap_or_default()
    }

    /// Follows `AuditConfig`s and profiles in a namespace, or in all for an empty one, for ever.
    pub async fn follow(self, client: kube::Client, namespace: String) {
        let api = |names| -> Api<DynamicObject> {
            if namespace.is_empty() {
                Api::all_with(client.clone(), &kind_of(names))
            } else {
                Api::namespaced_with(client.clone(), &namespace, &kind_of(names))
            }
        };
        let configs = follow(api(AUDIT_CONFIG), ListParams::default(), |news| {
            self.change(|objects| {
                // A watch may be behind what we wrote ourselves.
                let is_news = match &news {
                    News::Changed(object) => {
                        let known = objects.configs.all.get(&Place::of(object));
                        known.is_none_or(|known| !is_older(object, known))
                    }
                    _ => true,
                };
                if is_news {
                    objects.configs.take(news, &namespace, |object| object);
                }
            });
        });
        let profiles = follow(api(PROFILE), ListParams::default(), |news| {
            self.change(|objects| {
                objects.profiles.take(news, &namespace, |object| {
                    serde_json::to_value(object).unwrap_or_default()
                });
            });
        });
        tokio::join!(configs, profiles);
    }

    /// Follows the Secrets that profiles name, for ever.
    pub async fn follow_secrets(self, client: kube::Client, allows: impl Fn(&Place) -> bool) {
        let mut news = self.news();
        let mut tasks = JoinSet::new();
        let mut followed: BTreeMap<Place, AbortHandle> = BTreeMap::new();
        loop {
            let wanted: BTreeSet<Place> = self.wanted().into_iter().filter(&allows).collect();
            for place in &wanted {
                if !followed.contains_key(place) {
                    let task = self.clone().follow_secret(client.clone(), place.clone());
                    followed.insert(place.clone(), tasks.spawn(task));
                }
            }
            followed.retain(|place, task| {
                let is_wanted = wanted.contains(place);
                if !is_wanted {
                    task.abort();
                    self.lock().secrets.remove(place);
                }
                is_wanted
            });
            // The sender is in `self`.
            news.changed().await.ok();
        }
    }

    fn wanted(&self) -> BTreeSet<Place> {
        let objects = self.lock();
        let secret = |(place, profile): (&Place, &Value)| {
            let spec = Sight::There(profile.get("spec").cloned().unwrap_or_default());
            resolve::secret_of(place, &spec)
        };
        objects.profiles.all.iter().filter_map(secret).collect()
    }

    async fn follow_secret(self, client: kube::Client, place: Place) {
        follow_secret(client, place.clone(), |sight| {
            self.change(|objects| drop(objects.secrets.insert(place.clone(), sight)));
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

/// Follows one Secret for ever; `hear` gets each state of it.
pub async fn follow_secret(
    client: kube::Client,
    place: Place,
    mut hear: impl FnMut(Sight<Keys>) + Send,
) {
    let kind = core_kind("Secret", "secrets");
    let api: Api<DynamicObject> = Api::namespaced_with(client, &place.namespace, &kind);
    let named = ListParams::default().fields(&format!("metadata.name={}", place.name));
    follow(api, named, |news| {
        hear(match news {
            News::Listed(list) => match list.iter().find(|one| Place::of(one) == place) {
                Some(object) => Sight::There(Keys::of(object)),
                None => Sight::Missing,
            },
            News::Changed(object) => Sight::There(Keys::of(&object)),
            News::Gone(_) => Sight::Missing,
            News::Refused(why) => Sight::Refused(why),
        });
    })
    .await;
}

impl<T> Sphere<T> {
    fn take(&mut self, news: News, namespace: &str, of: impl Fn(DynamicObject) -> T) {
        match news {
            News::Listed(list) => {
                self.all.retain(|place, _| !namespace.is_empty() && place.namespace != namespace);
                self.all.extend(list.into_iter().map(|object| (Place::of(&object), of(object))));
                self.listed.insert(namespace.to_owned());
                self.refused.remove(namespace);
            }
            News::Changed(object) => drop(self.all.insert(Place::of(&object), of(object))),
            News::Gone(object) => drop(self.all.remove(&Place::of(&object))),
            News::Refused(why) => drop(self.refused.insert(namespace.to_owned(), why)),
        }
    }
}

/// Whether one state of an object comes before another. Versions that are no numbers cannot be
/// compared.
fn is_older(one: &DynamicObject, other: &DynamicObject) -> bool {
    let version = |object: &DynamicObject| -> Option<u64> {
        object.metadata.resource_version.as_ref()?.parse().ok()
    };
    let is_same = one.metadata.uid == other.metadata.uid;
    is_same && version(one).zip(version(other)).is_some_and(|(one, other)| one < other)
}

/// What a follower hears.
enum News {
    /// This is all there is.
    Listed(Vec<DynamicObject>),
    /// New, or changed.
    Changed(DynamicObject),
    /// Not there any more.
    Gone(DynamicObject),
    /// It may not be looked at.
    Refused(String),
}

async fn follow<F: FnMut(News)>(api: Api<DynamicObject>, list: ListParams, mut hear: F) {
    let kind = api.resource_url().to_owned();
    let mut is_refused = false;
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let outcome = round(&api, &list, &mut hear).await;
        let was_refused = std::mem::take(&mut is_refused);
        if began.elapsed() >= WATCH_TIME_MIN {
            backoff.succeeded();
            if outcome.is_ok() {
                continue;
            }
        }
        let wait = backoff.failed();
        match outcome {
            Err(kube::Error::Api(status)) if status.code == 403 => {
                hear(News::Refused("this server has no right to".to_owned()));
                is_refused = true;
                if !was_refused {
                    tracing::warn!(kind, "may not be watched; grant this account list and watch");
                }
            }
            // The definitions may come later.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                hear(News::Refused("its definition is not installed".to_owned()));
            }
            Err(error) => tracing::debug!(kind, %error, ?wait, "a watch breaks"),
            Ok(()) => tracing::debug!(kind, ?wait, "a watch ended at once"),
        }
        tokio::time::sleep(wait).await;
    }
}

async fn round<F: FnMut(News)>(
    api: &Api<DynamicObject>,
    list: &ListParams,
    hear: &mut F,
) -> Result<(), kube::Error> {
    let found = api.list(list).await?;
    let version = found.metadata.resource_version.unwrap_or_default();
    hear(News::Listed(found.items));
    let mut parameters = WatchParams::default().timeout(WATCH_SECONDS);
    parameters.field_selector.clone_from(&list.field_selector);
    let mut events = api.watch(&parameters, &version).await?.boxed();
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => hear(News::Changed(object)),
            WatchEvent::Deleted(object) => hear(News::Gone(object)),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        }
    }
    Ok(())
}
