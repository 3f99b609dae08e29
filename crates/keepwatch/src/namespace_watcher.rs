//! Watches the cluster's namespaces, so that K10's applications match them.
//!
//! The crate `apiserver` checks whether an object may be created in a namespace.

use std::collections::BTreeSet;
use std::time::Duration;

use apiserver::Registry;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kasten::Installation;
use kasten::apps::applications;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};

/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Seconds that one watch lasts; after it, everything is listed again.
const WATCH_SECONDS: u32 = 290;

/// Watches the namespaces forever, and updates the applications.
pub(crate) async fn follow_namespaces(
    client: kube::Client,
    registry: Registry,
    installation: Installation,
) {
    let api = Api::all(client);
    loop {
        if let Err(error) = round(&api, &registry, installation).await {
            tracing::warn!(%error, "cannot follow the namespaces");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// One list and one watch after it.
async fn round(
    api: &Api<Namespace>,
    registry: &Registry,
    installation: Installation,
) -> Result<(), kube::Error> {
    let list = api.list(&ListParams::default()).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    let mut names: BTreeSet<String> =
        list.items.into_iter().filter_map(|namespace| namespace.metadata.name).collect();
    reconcile(registry, installation, &names).await;
    let parameters = WatchParams::default().timeout(WATCH_SECONDS);
    let mut events = api.watch(&parameters, &version).await?.boxed();
    while let Some(event) = events.try_next().await? {
        let has_changed = match event {
            WatchEvent::Added(one) | WatchEvent::Modified(one) => {
                one.metadata.name.is_some_and(|name| names.insert(name))
            }
            WatchEvent::Deleted(one) => one.metadata.name.is_some_and(|name| names.remove(&name)),
            WatchEvent::Bookmark(_) => false,
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        };
        if has_changed {
            reconcile(registry, installation, &names).await;
        }
    }
    Ok(())
}

async fn reconcile(registry: &Registry, installation: Installation, names: &BTreeSet<String>) {
    let names: Vec<String> = names.iter().cloned().collect();
    let done = registry
        .run_as_server(move |objects| applications::reconcile(&installation, &names, objects))
        .await;
    if let Err(error) = done {
        // The next list, or the next change of a namespace, retries it.
        tracing::warn!(reason = error.status.message, "applications do not follow the namespaces");
    }
}
