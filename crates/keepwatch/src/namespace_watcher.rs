//! Watches the cluster's namespaces, so that K10's applications match them.
//!
//! The crate `apiserver` checks whether an object may be created in a namespace.

use std::collections::BTreeSet;
use std::time::Duration;

use apiserver::Registry;
use controller::watch::{Config, Update, watch};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kasten::Installation;
use kasten::apps::applications;
use kube::api::Api;

/// Pause after the applications could not be updated.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Watches the namespaces forever, and updates the applications.
pub(crate) async fn run(client: kube::Client, registry: Registry, installation: Installation) {
    let mut updates = watch(&client, Config::default(), Api::<Namespace>::all);
    let (mut names, mut is_current) = (BTreeSet::new(), true);
    loop {
        let has_changed = tokio::select! {
            Some(update) = updates.next() => apply(&mut names, update),
            () = tokio::time::sleep(RETRY_PAUSE), if !is_current => true,
        };
        if has_changed {
            is_current = reconcile(&registry, installation, &names).await;
        }
    }
}

/// Returns whether the names have changed.
fn apply(names: &mut BTreeSet<String>, update: Update<Namespace>) -> bool {
    match update {
        Update::Listed(list) => {
            *names = list.into_iter().filter_map(|namespace| namespace.metadata.name).collect();
            true
        }
        Update::Applied(namespace) => {
            namespace.metadata.name.is_some_and(|name| names.insert(name))
        }
        Update::Deleted(namespace) => {
            namespace.metadata.name.is_some_and(|name| names.remove(&name))
        }
        // The watch logs the reason, once.
        Update::Unavailable(_) => false,
    }
}

/// Updates the applications. Returns whether they match the namespaces now.
async fn reconcile(
    registry: &Registry,
    installation: Installation,
    names: &BTreeSet<String>,
) -> bool {
    let names: Vec<String> = names.iter().cloned().collect();
    let done = registry
        .run_as_server(move |objects| applications::reconcile(&installation, &names, objects))
        .await;
    if let Err(error) = &done {
        tracing::warn!(
            reason = error.status.message,
            "applications do not follow the namespaces; trying again"
        );
    }
    done.is_ok()
}
