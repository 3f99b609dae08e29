//! Writes Kubernetes Events about objects, which `kubectl describe` shows.
//!
//! An Event that cannot be written is only logged.
//!
//! `kube::runtime::events::Recorder` is not used. It counts a repeated reason and drops its new
//! message, although that message describes the current failure. It also needs the permission to
//! patch Events, reads the clock itself, and uses `events.k8s.io`, which the standalone server does
//! not serve.

use event::Timestamp;
use kasten::names::{CONFIG, ResourceNames, VERSION};
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::json;

use crate::object_cache::core_kind;
use crate::objects::NamespacedName;
use crate::status_writer::with_timeout;

/// The reporting component of Events.
const COMPONENT: &str = "keepwatch";
/// Maximum length of an Event's message, in characters.
const MESSAGE_MAX: usize = 1000;

/// Writes Events.
#[derive(Clone)]
pub(crate) struct EventRecorder {
    client: kube::Client,
}

/// The object that an Event is about.
pub(crate) struct ObjectReference<'a> {
    /// Its kind.
    pub(crate) names: ResourceNames,
    /// Its namespace and name.
    pub(crate) key: &'a NamespacedName,
    /// Its UID.
    pub(crate) uid: &'a str,
}

/// The content of an Event.
pub(crate) struct EventNote {
    /// Whether the type is `Warning` instead of `Normal`.
    pub(crate) is_warning: bool,
    /// The reason: one word in camel case.
    pub(crate) reason: &'static str,
    /// The message: a sentence.
    pub(crate) message: String,
}

impl EventRecorder {
    /// A recorder that writes as `client`.
    pub(crate) fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// Logs and writes an Event.
    pub(crate) async fn record(
        &self,
        object: &ObjectReference<'_>,
        note: &EventNote,
        now: Timestamp,
    ) {
        let EventNote { is_warning, reason, message } = note;
        let message: String = message.chars().take(MESSAGE_MAX).collect();
        let (namespace, name) = (&object.key.namespace, &object.key.name);
        let (kind, text) = (object.names.kind, message.as_str());
        if *is_warning {
            tracing::warn!(kind, namespace, name, reason, text, "Kubernetes Event recorded");
        } else {
            tracing::info!(kind, namespace, name, reason, text, "Kubernetes Event recorded");
        }
        let now = now.to_rfc3339_seconds();
        let kind = core_kind("Event", "events");
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let suffix = suffix.get(..16).unwrap_or(&suffix);
        let mut event = DynamicObject::new(&format!("{name}.{suffix}"), &kind);
        event.metadata.namespace = Some(namespace.clone());
        event.data = json!({
            "involvedObject": {
                "apiVersion": format!("{CONFIG}/{VERSION}"),
                "kind": object.names.kind,
                "namespace": namespace,
                "name": name,
                "uid": object.uid,
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
        if let Err(error) = with_timeout(api.create(&PostParams::default(), &event)).await {
            tracing::debug!(%error, "cannot write a Kubernetes Event");
        }
    }
}
