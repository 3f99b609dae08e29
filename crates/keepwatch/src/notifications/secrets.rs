//! The Secrets that notifiers name, watched one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller::object_cache::watch_secret;
use controller::objects::{Lookup, NamespacedName, SecretData};
use secrecy::SecretString;
use siem::notifier::SecretKey;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Timeout of a test notification for its Secret.
const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// The current state of the Secrets.
pub(super) struct Secrets {
    client: kube::Client,
    namespaces: Vec<String>,
    cache: SecretCache,
    tasks: JoinSet<()>,
    watched: BTreeMap<NamespacedName, AbortHandle>,
}

#[derive(Clone)]
struct SecretCache {
    lookups: Arc<Mutex<BTreeMap<NamespacedName, Lookup<SecretData>>>>,
    version: watch::Sender<u64>,
}

impl Secrets {
    /// Creates an empty set of watches. Secrets outside `namespaces` are never read, unless it is
    /// empty.
    pub(super) fn new(client: kube::Client, namespaces: Vec<String>) -> Self {
        let cache = SecretCache { lookups: Arc::default(), version: watch::Sender::default() };
        Self { client, namespaces, cache, tasks: JoinSet::new(), watched: BTreeMap::new() }
    }

    /// Resolves when a Secret has changed.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.cache.version.subscribe()
    }

    /// Watches exactly the Secrets of these keys.
    pub(super) fn watch_only<'k>(&mut self, keys: impl Iterator<Item = &'k SecretKey>) {
        let needed: BTreeSet<NamespacedName> =
            keys.filter(|key| self.allows(&key.namespace)).map(secret_name).collect();
        for name in &needed {
            if !self.watched.contains_key(name) {
                let (cache, cached_name) = (self.cache.clone(), name.clone());
                let task = watch_secret(self.client.clone(), name.clone(), move |lookup| {
                    cache.change(|lookups| {
                        lookups.insert(cached_name.clone(), lookup);
                    });
                });
                self.watched.insert(name.clone(), self.tasks.spawn(task));
            }
        }
        let cache = &self.cache;
        self.watched.retain(|name, task| {
            let is_needed = needed.contains(name);
            if !is_needed {
                task.abort();
                cache.change(|lookups| {
                    lookups.remove(name);
                });
            }
            is_needed
        });
        while self.tasks.try_join_next().is_some() {}
    }

    /// The value of a key, or the reason why it is unknown.
    pub(super) fn get(&self, key: &SecretKey) -> Result<SecretString, String> {
        let SecretKey { namespace, name, .. } = key;
        if !self.allows(namespace) {
            return Err(format!(
                "Secrets in namespace {namespace} may not be used by notifiers here: move it to {}",
                self.namespaces.join(" or ")
            ));
        }
        let lookup = self.cache.lookup(&secret_name(key));
        value(key, lookup)
            .unwrap_or_else(|| Err(format!("Secret {namespace}/{name} is being read")))
    }

    /// Watches the Secrets of these keys, and waits until they have been read.
    pub(super) async fn wait_for(&mut self, keys: &[SecretKey]) {
        self.watch_only(keys.iter());
        let mut changes = self.changes();
        let is_read = |key: &SecretKey| {
            !self.allows(&key.namespace)
                || !matches!(self.cache.lookup(&secret_name(key)), Lookup::NotSynced)
        };
        let all_read = async {
            while !keys.iter().all(is_read) {
                // The sender is in `self`.
                _ = changes.changed().await;
            }
        };
        // After a timeout, `get` reports the missing Secrets.
        _ = tokio::time::timeout(READ_TIME_MAX, all_read).await;
    }

    fn allows(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|allowed| allowed == namespace)
    }
}

impl SecretCache {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<NamespacedName, Lookup<SecretData>>)) {
        change(&mut self.lookups.lock().unwrap_or_else(PoisonError::into_inner));
        self.version.send_modify(|version| *version += 1);
    }

    fn lookup(&self, name: &NamespacedName) -> Lookup<SecretData> {
        let lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        lookups.get(name).cloned().unwrap_or_default()
    }
}

fn secret_name(key: &SecretKey) -> NamespacedName {
    NamespacedName { namespace: key.namespace.clone(), name: key.name.clone() }
}

/// The value of a key; `None` while its Secret has not been read.
fn value(key: &SecretKey, lookup: Lookup<SecretData>) -> Option<Result<SecretString, String>> {
    let SecretKey { namespace, name, key } = key;
    Some(match lookup {
        Lookup::NotSynced => return None,
        Lookup::NotFound => Err(format!("Secret {namespace}/{name} does not exist")),
        Lookup::Forbidden(why) => Err(format!("Secret {namespace}/{name} cannot be read: {why}")),
        Lookup::Found(keys) => match keys.values.get(key) {
            None => Err(format!("Secret {namespace}/{name} has no key {key}")),
            Some(None) => Err(format!("key {key} of Secret {namespace}/{name} is not text")),
            Some(Some(value)) => Ok(value.clone()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unavailable_key_has_its_own_error() {
        let values = BTreeMap::from([
            ("token".to_owned(), Some(SecretString::from("canary"))),
            ("binary".to_owned(), None),
        ]);
        let existing = Lookup::Found(SecretData { kind: "Opaque".to_owned(), values });
        for (key, lookup, expected) in [
            ("token", &existing, Some(None)),
            ("binary", &existing, Some(Some("key binary of Secret ns/team is not text"))),
            ("odd", &existing, Some(Some("Secret ns/team has no key odd"))),
            ("token", &Lookup::NotFound, Some(Some("Secret ns/team does not exist"))),
            ("token", &Lookup::NotSynced, None),
            (
                "token",
                &Lookup::Forbidden("no right".to_owned()),
                Some(Some("Secret ns/team cannot be read: no right")),
            ),
        ] {
            let key = SecretKey {
                namespace: "ns".to_owned(),
                name: "team".to_owned(),
                key: key.to_owned(),
            };
            let error = value(&key, lookup.clone()).map(Result::err);
            assert_eq!(error.as_ref().map(Option::as_deref), expected);
        }
    }
}
