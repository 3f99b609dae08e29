//! The status of passkeys: a passkey whose Secret is missing is not valid.
//!
//! The Secrets that passkeys name are watched one by one, by name. The status says nothing about a
//! Secret that this server may not read, and keys in other systems are not checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apiserver::Registry;
use controller::object_cache::watch_secret;
use controller::objects::{Lookup, NamespacedName, SecretData};
use kasten::Installation;
use kasten::kinds::PASSKEY;
use kasten::vault::passkey::{self, KnownSecrets};
use serde_json::{Map, Value};
use store::{ListOptions, Sqlite, Storage as _};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// Time between two updates when no Secret changes.
const UPDATE_PERIOD: Duration = Duration::from_secs(1);

/// The known state of the Secrets.
#[derive(Clone, Default)]
struct SecretCache {
    secrets: Arc<Mutex<KnownSecrets>>,
    changed: Arc<Notify>,
}

/// Updates the status of passkeys forever.
pub(crate) async fn run(
    client: kube::Client,
    store: Sqlite,
    registry: Registry,
    installation: Installation,
) {
    let cache = SecretCache::default();
    let mut tasks = JoinSet::new();
    let mut watched: BTreeMap<NamespacedName, AbortHandle> = BTreeMap::new();
    loop {
        let passkeys = passkeys(&store, installation).await;
        let named = passkeys.iter().filter_map(passkey::secret);
        let needed: BTreeSet<NamespacedName> =
            named.map(|(namespace, name)| NamespacedName { namespace, name }).collect();
        for secret in &needed {
            if !watched.contains_key(secret) {
                let task = cache.clone().run(client.clone(), secret.clone());
                watched.insert(secret.clone(), tasks.spawn(task));
            }
        }
        watched.retain(|secret, task| {
            let is_needed = needed.contains(secret);
            if !is_needed {
                task.abort();
                cache.lock().remove(&(secret.namespace.clone(), secret.name.clone()));
            }
            is_needed
        });
        let known = cache.lock().clone();
        if passkeys.iter().any(|passkey| passkey::status_update(passkey, &known).is_some()) {
            report(&registry, installation, known).await;
        }
        _ = tokio::time::timeout(UPDATE_PERIOD, cache.changed.notified()).await;
    }
}

/// The passkeys as they are stored.
async fn passkeys(store: &Sqlite, installation: Installation) -> Vec<Map<String, Value>> {
    let id = installation.id(PASSKEY);
    let prefix = format!("{}/{}/", id.group, id.plural);
    let page = store.list(&prefix, ListOptions::default()).await;
    let objects = page.map(|page| page.items).unwrap_or_default();
    objects.iter().filter_map(|object| serde_json::from_slice(&object.body).ok()).collect()
}

impl SecretCache {
    async fn run(self, client: kube::Client, secret: NamespacedName) {
        watch_secret(client, secret.clone(), |lookup| {
            if let Some(usable) = usable(&secret, &lookup) {
                let key = (secret.namespace.clone(), secret.name.clone());
                self.lock().insert(key, usable.err());
                self.changed.notify_one();
            }
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, KnownSecrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a passkey can use a Secret, or the reason why not; `None` if that is unknown.
fn usable(secret: &NamespacedName, lookup: &Lookup<SecretData>) -> Option<Result<(), String>> {
    match lookup {
        Lookup::NotSynced => None,
        Lookup::Forbidden(_) => Some(Ok(())),
        Lookup::NotFound => Some(Err(format!("Secret {secret} does not exist"))),
        Lookup::Found(keys) if keys.values.contains_key(passkey::SECRET_KEY) => Some(Ok(())),
        Lookup::Found(_) => {
            Some(Err(format!("Secret {secret} has no key `{}`", passkey::SECRET_KEY)))
        }
    }
}

async fn report(registry: &Registry, installation: Installation, known: KnownSecrets) {
    let done = registry
        .run_as_server(move |objects| passkey::report(&installation, &known, objects))
        .await;
    if let Err(error) = done {
        tracing::warn!(reason = error.status.message, "the status of passkeys cannot be written");
    }
}
