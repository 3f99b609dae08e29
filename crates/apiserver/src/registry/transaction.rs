//! The objects of all kinds inside one transaction: the object of the request, and others that
//! strategies change.
//!
//! Each change of another object is a server action with its own audit event.

use std::sync::Arc;

use apimachinery::{ApiError, name_generator};
use bytes::Bytes;
use event::annotations::CAUSED_BY;
use event::{Event, Json, Level, ObjectReference, Stage, Status, Timestamp};
use http::StatusCode;
use serde_json::{Map, Value};
use store::{Object, Transaction};

use super::served_resource::ServedResource;
use super::{Shared, metadata};
use crate::objects::ObjectAccess;
use crate::{Attributes, ResourceId};

/// A parsed object and its stored bytes.
type Stored = (Map<String, Value>, Bytes);

/// A transaction, with the cause and the time for server actions.
pub(super) struct RegistryTransaction<'tx> {
    tx: &'tx mut dyn Transaction,
    shared: &'tx Shared,
    /// Audit ID of the request; empty if the request is not audited.
    cause: String,
    now: Timestamp,
    /// Whether server actions are audited.
    is_audited: bool,
    /// The transaction is rolled back at its end.
    is_dry_run: bool,
}

impl<'tx> RegistryTransaction<'tx> {
    pub(super) fn new(
        tx: &'tx mut dyn Transaction,
        shared: &'tx Shared,
        cause: String,
        now: Timestamp,
    ) -> Self {
        Self { tx, shared, cause, now, is_audited: true, is_dry_run: false }
    }

    /// Creates the transaction of a dry run, which is rolled back. Objects get no revision.
    pub(super) fn dry(self, is_dry_run: bool) -> Self {
        Self { is_dry_run, ..self }
    }

    /// A transaction whose server actions are not audited.
    pub(super) fn unaudited(
        tx: &'tx mut dyn Transaction,
        shared: &'tx Shared,
        now: Timestamp,
    ) -> Self {
        Self { is_audited: false, ..Self::new(tx, shared, String::new(), now) }
    }

    /// A parsed object and its stored bytes.
    pub(super) fn read(
        &self,
        kind: &ServedResource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Stored>, ApiError> {
        let Some(stored) = self.stored(kind, namespace, name) else { return Ok(None) };
        Ok(Some((parsed(&stored)?, stored.body.clone())))
    }

    /// An object as stored.
    pub(super) fn stored(
        &self,
        kind: &ServedResource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Object>> {
        self.tx.get(&kind.key(namespace, name))
    }

    pub(super) fn is_taken(&self, kind: &ServedResource, namespace: &str, name: &str) -> bool {
        self.tx.get(&kind.key(namespace, name)).is_some()
    }

    /// Writes an object under the next revision.
    pub(super) fn store(
        &mut self,
        kind: &ServedResource,
        object: &mut Map<String, Value>,
    ) -> Result<Bytes, ApiError> {
        let (key, revision, body) = self.next(kind, object)?;
        self.tx.put(&key, revision, body.clone());
        Ok(body)
    }

    /// Deletes an object; its last state has the revision of the deletion.
    pub(super) fn remove(
        &mut self,
        kind: &ServedResource,
        object: &mut Map<String, Value>,
    ) -> Result<Bytes, ApiError> {
        let (key, revision, body) = self.next(kind, object)?;
        self.tx.delete(&key, revision, body.clone());
        Ok(body)
    }

    /// The key of an object, its next revision, and its serialization at that revision.
    fn next(
        &mut self,
        kind: &ServedResource,
        object: &mut Map<String, Value>,
    ) -> Result<(String, u64, Bytes), ApiError> {
        let revision = self.tx.next_revision();
        if !self.is_dry_run {
            metadata::set(object, "resourceVersion", revision.to_string());
        }
        let key = kind.key(metadata::text(object, "namespace"), metadata::text(object, "name"));
        Ok((key, revision, metadata::encode(kind, object)?))
    }

    fn kind(&self, id: ResourceId) -> Result<&'tx ServedResource, ApiError> {
        let shared: &'tx Shared = self.shared;
        shared
            .kind_of(id.group, id.plural)
            .map(|kind| &**kind)
            .ok_or_else(|| ApiError::internal(&format!("no kind {} in {:?}", id.plural, id.group)))
    }

    /// Logs the audit event of a server action.
    fn audit_action(&mut self, kind: &ServedResource, action: ServerAction<'_>) {
        if !self.is_audited {
            return;
        }
        let attributes = Attributes {
            user: Arc::clone(&self.shared.server_user),
            verb: action.verb.to_owned(),
            group: kind.id.group.to_owned(),
            version: kind.resource.version.to_owned(),
            resource: kind.id.plural.to_owned(),
            namespace: action.namespace.to_owned(),
            name: action.name.to_owned(),
            ..Attributes::default()
        };
        let mut level = self.shared.policy.load().decide(&attributes.as_audited()).level;
        if kind.resource.omit_bodies {
            level = level.min(Level::Metadata);
        }
        if level == Level::None {
            return;
        }
        let record = event::record::write(&self.event(kind, &attributes, level, action));
        self.tx.append(record);
    }

    fn event(
        &self,
        kind: &ServedResource,
        attributes: &Attributes,
        level: Level,
        action: ServerAction<'_>,
    ) -> Event {
        let code = if action.verb == "create" { StatusCode::CREATED } else { StatusCode::OK };
        let annotations = [
            ("authorization.k8s.io/decision", "allow"),
            ("authorization.k8s.io/reason", "an act of the server itself"),
            (CAUSED_BY, self.cause.as_str()),
        ];
        Event {
            level,
            audit_id: uuid::Uuid::new_v4().to_string(),
            stage: Stage::ResponseComplete,
            request_uri: path(kind, &action),
            verb: action.verb.to_owned(),
            user: (*attributes.user).clone(),
            impersonated_user: None,
            authentication_metadata: None,
            source_ips: Vec::new(),
            user_agent: String::new(),
            object_ref: Some(ObjectReference {
                resource: kind.id.plural.to_owned(),
                namespace: action.namespace.to_owned(),
                name: action.name.to_owned(),
                uid: action.uid.to_owned(),
                api_group: kind.id.group.to_owned(),
                api_version: kind.resource.version.to_owned(),
                ..ObjectReference::default()
            }),
            response_status: Some(Status { code: code.as_u16(), ..Status::default() }),
            request_object: (level >= Level::Request && action.verb != "delete")
                .then(|| Json::from_normalized(action.body.clone())),
            response_object: (level >= Level::RequestResponse)
                .then(|| Json::from_normalized(action.body.clone())),
            request_received_timestamp: self.now,
            stage_timestamp: self.now,
            annotations: annotations
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

/// Parses a stored object.
pub(super) fn parsed(stored: &Object) -> Result<Map<String, Value>, ApiError> {
    serde_json::from_slice(&stored.body)
        .map_err(|error| ApiError::internal(&format!("stored object is damaged: {error}")))
}

/// A change that the server makes itself.
#[derive(Clone, Copy)]
struct ServerAction<'a> {
    verb: &'static str,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    body: &'a Bytes,
}

impl ObjectAccess for RegistryTransaction<'_> {
    fn get(&self, kind: ResourceId, namespace: &str, name: &str) -> Option<Map<String, Value>> {
        let kind = self.kind(kind).ok()?;
        self.read(kind, namespace, name).ok()?.map(|(object, _)| object)
    }

    fn list(&self, kind: ResourceId, namespace: Option<&str>) -> Vec<Map<String, Value>> {
        let Ok(kind) = self.kind(kind) else { return Vec::new() };
        let stored = self.tx.scan(&kind.prefix(namespace.unwrap_or_default()));
        stored.iter().filter_map(|object| serde_json::from_slice(&object.body).ok()).collect()
    }

    fn create(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError> {
        let kind = self.kind(kind)?;
        let mut object = object;
        if metadata::text(&object, "name").is_empty() {
            let name = name_generator::generate(metadata::text(&object, "generateName"));
            metadata::set(&mut object, "name", name);
        }
        metadata::fill_system_fields(&mut object, &self.now.to_rfc3339_seconds());
        let name = metadata::text(&object, "name").to_owned();
        kind.reject_invalid(&name, &metadata::validate(kind, &object))?;
        let namespace = metadata::text(&object, "namespace").to_owned();
        if self.is_taken(kind, &namespace, &name) {
            return Err(ApiError::already_exists(kind.id.group, kind.id.plural, &name));
        }
        let body = self.store(kind, &mut object)?;
        let uid = metadata::text(&object, "uid");
        self.audit_action(
            kind,
            ServerAction { verb: "create", namespace: &namespace, name: &name, uid, body: &body },
        );
        Ok(())
    }

    fn update(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError> {
        let kind = self.kind(kind)?;
        let mut object = object;
        let namespace = metadata::text(&object, "namespace").to_owned();
        let name = metadata::text(&object, "name").to_owned();
        let (old, _) = self.read(kind, &namespace, &name)?.ok_or_else(|| kind.not_found(&name))?;
        metadata::preserve_system_fields(&mut object, &old);
        metadata::update_generation(&mut object, &old);
        if object == old {
            return Ok(());
        }
        let body = self.store(kind, &mut object)?;
        let uid = metadata::text(&object, "uid");
        self.audit_action(
            kind,
            ServerAction { verb: "update", namespace: &namespace, name: &name, uid, body: &body },
        );
        Ok(())
    }

    fn delete(&mut self, kind: ResourceId, namespace: &str, name: &str) -> Result<(), ApiError> {
        let kind = self.kind(kind)?;
        let (mut object, _) =
            self.read(kind, namespace, name)?.ok_or_else(|| kind.not_found(name))?;
        let body = self.remove(kind, &mut object)?;
        let uid = metadata::text(&object, "uid");
        self.audit_action(kind, ServerAction { verb: "delete", namespace, name, uid, body: &body });
        Ok(())
    }
}

fn path(kind: &ServedResource, action: &ServerAction<'_>) -> String {
    let root = if kind.id.group.is_empty() { "/api" } else { "/apis" };
    let namespace = if action.namespace.is_empty() {
        String::new()
    } else {
        format!("/namespaces/{}", action.namespace)
    };
    let name = if action.verb == "create" { String::new() } else { format!("/{}", action.name) };
    format!("{root}/{}{namespace}/{}{name}", kind.api_version, kind.id.plural)
}
