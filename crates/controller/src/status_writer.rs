//! Writes the status and the finalizer of objects.
//!
//! Writes are merge patches of single fields, so that fields of other writers remain. Whether a
//! `CustomResourceDefinition` has a status subresource is read from the cluster.

use std::time::Duration;

use kasten::config::audit_config::FINALIZER;
use kasten::kinds::AUDIT_CONFIG;
use kasten::names::ResourceNames;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::discovery::Discovery;
use crate::object_cache::kind_of;
use crate::objects::{AuditConfigView, NamespacedName};

/// Time for a request to kube-apiserver.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// Writes the status and the finalizer of objects.
#[derive(Clone)]
pub(crate) struct StatusWriter {
    client: kube::Client,
    discovery: Discovery,
}

impl StatusWriter {
    /// A writer that acts as `client`.
    pub(crate) fn new(client: kube::Client) -> Self {
        Self { discovery: Discovery::new(client.clone()), client }
    }

    /// The client that it uses.
    pub(crate) const fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Writes the status of an object and returns the object.
    ///
    /// # Errors
    ///
    /// Also fails if the API server accepts the write but drops the status.
    pub(crate) async fn status(
        &self,
        names: ResourceNames,
        key: &NamespacedName,
        status: Value,
    ) -> kube::Result<DynamicObject> {
        let expected = status["validation"].clone();
        let patch = Patch::Merge(json!({"status": status}));
        let (api, parameters) = (self.api(names, key), PatchParams::default());
        let written = if self.discovery.has_status(names).await? {
            with_timeout(api.patch_status(&key.name, &parameters, &patch)).await
        } else {
            with_timeout(api.patch(&key.name, &parameters, &patch)).await
        };
        // If the definition has changed since it was read, the path may not exist, or the server
        // may drop the status.
        match written {
            Ok(object) if object.data["status"]["validation"] == expected => Ok(object),
            Ok(_) => {
                self.discovery.invalidate().await;
                Err(kube::Error::Service("the definition drops the status".into()))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.discovery.invalidate().await;
                Err(kube::Error::Api(status))
            }
            Err(error) => Err(error),
        }
    }

    /// Adds or removes this controller's finalizer and returns the object. Other finalizers remain.
    pub(crate) async fn finalizer(
        &self,
        config: &AuditConfigView,
        is_present: bool,
    ) -> kube::Result<DynamicObject> {
        let mut finalizers = config.finalizers.clone();
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        if is_present {
            finalizers.push(FINALIZER.to_owned());
        }
        let patch = Patch::Merge(json!({"metadata": {
            "uid": config.uid,
            "finalizers": finalizers,
        }}));
        let api = self.api(AUDIT_CONFIG, &config.key);
        with_timeout(api.patch(&config.key.name, &PatchParams::default(), &patch)).await
    }

    fn api(&self, names: ResourceNames, key: &NamespacedName) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &key.namespace, &kind_of(names))
    }
}

/// The response of kube-apiserver, or an error if it takes too long.
pub(crate) async fn with_timeout<T>(
    call: impl Future<Output = kube::Result<T>>,
) -> kube::Result<T> {
    let on_timeout = |_| kube::Error::Service("no response in time".into());
    tokio::time::timeout(REQUEST_TIME_MAX, call).await.map_err(on_timeout)?
}
