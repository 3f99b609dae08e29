//! The verb `delete`: removes an object immediately, or when its last finalizer is removed.

use apimachinery::ApiError;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

use super::options::{self, DeleteOptions, Propagation};
use super::transaction::RegistryTransaction;
use super::write::{Write, WriteResult};
use super::{ResourceRequest, metadata};
use crate::handler::negotiate::Rendering;
use crate::{AuditContext, Objects, Outcome, Verb};

/// Finalizer that keeps an object until the garbage collector has orphaned its dependents.
const ORPHAN: &str = "orphan";
/// Finalizer that keeps an object until the garbage collector has deleted its dependents.
const FOREGROUND: &str = "foregroundDeletion";

impl ResourceRequest<'_> {
    /// Deletes the object that the URL names.
    pub(super) async fn delete(&self, audit: &mut AuditContext) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let body = if self.request.body.is_empty() {
            None
        } else {
            Some(self.document("DeleteOptions").await?.value)
        };
        if let Some(json) = body.as_ref().and_then(options::recorded) {
            audit.request_object(&json);
        }
        let options = DeleteOptions::parse(self.request, body.as_ref())?;
        let write = self.write(rendering, options.dry_run);
        write.commit(audit, move |write, transaction| remove(write, transaction, &options)).await
    }
}

fn remove(
    write: &mut Write,
    transaction: &mut RegistryTransaction<'_>,
    options: &DeleteOptions,
) -> Result<WriteResult, ApiError> {
    let kind = std::sync::Arc::clone(&write.kind);
    kind.resource.strategy.admit_delete(&write.name, &write.context)?;
    let (object, stored) = transaction
        .read(&kind, &write.namespace, &write.name)?
        .ok_or_else(|| kind.not_found(&write.name))?;
    check_preconditions(write, &object, options)?;
    let mut terminating = object.clone();
    let is_collected = write.shared.has_garbage_collector && kind.supports(Verb::Patch);
    set_finalizers(&mut terminating, options.propagation, is_collected);
    if metadata::finalizers(&terminating).is_empty() {
        let uid = metadata::text(&object, "uid").to_owned();
        remove_for_good(write, transaction, &mut terminating)?;
        return Ok(WriteResult::Deleted { name: write.name.clone(), uid });
    }
    if !metadata::is_terminating(&terminating) {
        metadata::set(&mut terminating, "deletionTimestamp", write.context.now.as_str());
        metadata::set(&mut terminating, "deletionGracePeriodSeconds", 0);
        metadata::bump_generation(&mut terminating);
    }
    let body =
        if terminating == object { stored } else { transaction.store(&kind, &mut terminating)? };
    Ok(WriteResult::Object(StatusCode::OK, body))
}

/// Removes the object from the store, and calls the deletion hook of its strategy.
pub(super) fn remove_for_good(
    write: &Write,
    transaction: &mut RegistryTransaction<'_>,
    object: &mut Map<String, Value>,
) -> Result<Bytes, ApiError> {
    let strategy = &write.kind.resource.strategy;
    strategy.on_delete(object, &mut Objects::new(transaction), &write.context)?;
    transaction.remove(&write.kind, object)
}

fn check_preconditions(
    write: &Write,
    object: &Map<String, Value>,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let (uid, revision) =
        (metadata::text(object, "uid"), metadata::text(object, "resourceVersion"));
    if let Some(expected) = options.uid.as_deref().filter(|expected| *expected != uid) {
        let detail = format!(
            "the UID in the precondition ({expected}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        );
        return Err(write.kind.conflict(&write.name, &detail));
    }
    if let Some(expected) =
        options.resource_version.as_deref().filter(|expected| *expected != revision)
    {
        let detail = format!(
            "the ResourceVersion in the precondition ({expected}) does not match the ResourceVersion in record ({revision}). The object might have been modified"
        );
        return Err(write.kind.conflict(&write.name, &detail));
    }
    Ok(())
}

/// Adds and removes the garbage collector's finalizers for the propagation policy.
///
/// The policy has no effect if no garbage collector handles the kind, either because the server has
/// none or because the collector could never remove its finalizer. Upstream does the same for kinds
/// whose strategy does not support garbage collection.
fn set_finalizers(
    object: &mut Map<String, Value>,
    propagation: Option<Propagation>,
    is_collected: bool,
) {
    let propagation = match propagation {
        _ if !is_collected => Propagation::Background,
        Some(propagation) => propagation,
        None => return,
    };
    let mut finalizers: Vec<Value> = metadata::finalizers(object)
        .into_iter()
        .filter(|entry| !matches!(*entry, ORPHAN | FOREGROUND))
        .map(Value::from)
        .collect();
    match propagation {
        Propagation::Orphan => finalizers.push(ORPHAN.into()),
        Propagation::Foreground => finalizers.push(FOREGROUND.into()),
        Propagation::Background => {}
    }
    let list = if finalizers.is_empty() { Value::Null } else { Value::Array(finalizers) };
    metadata::set(object, "finalizers", list);
}
