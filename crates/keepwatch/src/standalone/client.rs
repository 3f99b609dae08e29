//! An API client for the components of a standalone server.

use std::future::Future;
use std::time::Duration;

use apiserver::{Resource, Scope};
use controller::watch::{Config, Update, watch};
use futures::StreamExt as _;
use kasten::names::{ResourceNames, VERSION};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, Status};
use serde_json::Value;

use super::INSTALLATION;

/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A kind of K10, as an `ApiResource` of kube-rs.
pub(crate) fn kind_of(names: ResourceNames) -> ApiResource {
    let gvk = GroupVersionKind::gvk(INSTALLATION.group(names.group), VERSION, names.kind);
    ApiResource::from_gvk_with_plural(&gvk, names.plural)
}

/// A served kind, as an `ApiResource` of kube-rs.
pub(crate) fn kind(resource: &Resource) -> ApiResource {
    let gvk = GroupVersionKind::gvk(resource.group, resource.version, resource.kind);
    ApiResource::from_gvk_with_plural(&gvk, resource.plural)
}

/// The objects of a kind of K10, in a namespace or, if it is empty, in cluster scope.
pub(crate) fn api(
    client: &kube::Client,
    names: ResourceNames,
    namespace: &str,
) -> Api<DynamicObject> {
    let kind = kind_of(names);
    if names.scope == Scope::Cluster {
        Api::all_with(client.clone(), &kind)
    } else {
        Api::namespaced_with(client.clone(), namespace, &kind)
    }
}

/// A string in an object's data, for example `status.state`; empty if it is missing.
pub(crate) fn text<'o>(object: &'o DynamicObject, path: &[&str]) -> &'o str {
    let value = path.iter().try_fold(&object.data, |parent, key| parent.get(key));
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Calls `on_object` with every existing, new and changed object of a kind, in all namespaces,
/// forever.
pub(crate) async fn follow(
    client: &kube::Client,
    kind: &ApiResource,
    mut on_object: impl FnMut(DynamicObject),
) {
    let mut updates =
        watch(client, Config::default(), |client| Api::<DynamicObject>::all_with(client, kind));
    while let Some(update) = updates.next().await {
        match update {
            Update::Listed(objects) => objects.into_iter().for_each(&mut on_object),
            Update::Applied(object) => on_object(object),
            Update::Deleted(_) | Update::Unavailable(_) => {}
        }
    }
}

/// Retries until it succeeds; `None` if the server rejects the request.
pub(crate) async fn retry<T, F>(attempt: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    retry_transient(attempt).await.ok()
}

/// Retries until it succeeds or the server rejects the request. The error is the server's response.
pub(crate) async fn retry_transient<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Box<Status>>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                tracing::debug!(code = status.code, reason = status.reason, "refused");
                return Err(status);
            }
            Err(error) => {
                tracing::debug!(%error, "a request fails");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}
