//! What the controller writes into the cluster: statuses, its finalizer, and events for people.
//!
//! Merge patches of single fields, so that nothing anybody else wrote is touched. Whether the
//! definitions have a status subresource is asked of the cluster, not assumed.

use std::time::Duration;

use event::Timestamp;
use kasten::config::audit_config::FINALIZER;
use kasten::domain::{AUDIT_CONFIG, CONFIG, Names, VERSION};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::discovery::Discovery;
use crate::mirror::{core_kind, kind_of};
use crate::seen::{Config, Place};

/// Who speaks in events.
const COMPONENT: &str = "keepwatch";
/// Characters of an event's message.
const MESSAGE_MAX: usize = 1000;
/// A write that hangs is given up.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

/// Writes into the cluster.
#[derive(Clone)]
pub(crate) struct Pen {
    client: kube::Client,
    discovery: Discovery,
}

/// An object that something is told of.
pub(crate) struct About<'a> {
    /// Its kind.
    pub(crate) names: Names,
    /// Where it is.
    pub(crate) place: &'a Place,
    /// Which one of that name.
    pub(crate) uid: &'a str,
}

/// Something that people are told.
pub(crate) struct Saying {
    /// Whether it is a warning.
    pub(crate) is_warning: bool,
    /// One word in camel case.
    pub(crate) reason: &'static str,
    /// A sentence.
    pub(crate) message: String,
}

impl Pen {
    /// A pen that writes as `client`.
    pub(crate) fn new(client: kube::Client) -> Self {
        Self { discovery: Discovery::new(client.clone()), client }
    }

    /// Writes a status; the object as it is then.
    pub(crate) async fn status(
        &self,
        names: Names,
        place: &Place,
        status: Value,
    ) -> kube::Result<DynamicObject> {
        let wanted = status["validation"].clone();
        let patch = Patch::Merge(json!({"status": status}));
        let (api, parameters) = (self.api(names, place), PatchParams::default());
        let written = if self.discovery.has_status(names).await? {
            bounded(api.patch_status(&place.name, &parameters, &patch)).await
        } else {
            bounded(api.patch(&place.name, &parameters, &patch)).await
        };
        // A definition that was changed since then has no such path, or drops the status.
        match written {
            Ok(object) if object.data["status"]["validation"] == wanted => Ok(object),
            Ok(_) => {
                self.discovery.forget().await;
                Err(kube::Error::Service("the definition drops the status".into()))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.discovery.forget().await;
                Err(kube::Error::Api(status))
            }
            Err(error) => Err(error),
        }
    }

    /// Puts our finalizer on an object, or takes it away; those of others stay. The object as it is
    /// then.
    pub(crate) async fn finalizer(
        &self,
        config: &Config,
        is_kept: bool,
    ) -> kube::Result<DynamicObject> {
        let mut finalizers = config.finalizers.clone();
        finalizers.retain(|one| one != FINALIZER);
        if is_kept {
            finalizers.push(FINALIZER.to_owned());
        }
        let patch = Patch::Merge(json!({"metadata": {
            "uid": config.uid,
            "finalizers": finalizers,
        }}));
        let api = self.api(AUDIT_CONFIG, &config.place);
        bounded(api.patch(&config.place.name, &PatchParams::default(), &patch)).await
    }

    /// Tells people. That nobody could be told is logged, and nothing else comes of it.
    pub(crate) async fn tell(&self, about: &About<'_>, saying: &Saying, now: Timestamp) {
        let Saying { is_warning, reason, message } = saying;
        let message: String = message.chars().take(MESSAGE_MAX).collect();
        let (namespace, name) = (&about.place.namespace, &about.place.name);
        let (kind, note) = (about.names.kind, message.as_str());
        if *is_warning {
            tracing::warn!(kind, namespace, name, reason, note, "Kubernetes Event recorded");
        } else {
            tracing::info!(kind, namespace, name, reason, note, "Kubernetes Event recorded");
        }
        let now = now.to_string();
        let now = format!("{}Z", now.get(..19).unwrap_or_default());
        let kind = core_kind("Event", "events");
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let suffix = suffix.get(..16).unwrap_or(&suffix);
        let mut event = DynamicObject::new(&format!("{name}.{suffix}"), &kind);
        event.metadata.namespace = Some(namespace.clone());
        event.data = json!({
            "involvedObject": {
                "apiVersion": format!("{CONFIG}/{VERSION}"),
                "kind": about.names.kind,
                "namespace": namespace,
                "name": name,
                "uid": about.uid,
            },
            "type": if *is_warning { "Warning" } else { "Normal" },
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": COMPONENT,
        });
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        if let Err(error) = bounded(api.create(&PostParams::default(), &event)).await {
            tracing::debug!(%error, "cannot tell people");
        }
    }

    fn api(&self, names: Names, place: &Place) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &place.namespace, &kind_of(names))
    }
}

/// The answer of kube-apiserver, if it comes in time.
pub(crate) async fn bounded<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| kube::Error::Service("no answer in time".into());
    tokio::time::timeout(WRITE_TIME_MAX, call).await.map_err(late)?
}
