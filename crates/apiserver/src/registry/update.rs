//! The verbs `update` and `patch`: one implementation for both, also for `status`.

use std::io;
use std::sync::Arc;

use apimachinery::patch::{DecodedPatch, Patch};
use apimachinery::serializer::{Document, TREE_BYTES_MAX, cost};
use apimachinery::{ApiError, FieldError, RequestInfo, fields};
use event::Json;
use http::StatusCode;
use serde_json::{Map, Value};
use store::Object;

use super::decoded::{DecodeError, Decoded};
use super::delete::remove_for_good;
use super::options::{FieldValidation, WriteOptions};
use super::read::read_error;
use super::served_resource::ServedResource;
use super::transaction::{RegistryTransaction, parsed};
use super::write::{Write, WriteResult};
use super::{ResourceRequest, metadata};
use crate::handler::negotiate::{Rendering, media_type};
use crate::handler::status_errors;
use crate::limits::{BODY_BYTES_MAX, JSON_INLINE_BYTES_MAX, REAPPLIED_BYTES_MAX};
use crate::{Attributes, AuditContext, Objects, Outcome, Subresource};

const STALE: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Maximum memory of a stored object and of a patch together, in bytes.
const PATCH_TREE_BYTES_MAX: usize = TREE_BYTES_MAX + (8 << 20);
/// Maximum length, in characters, of the patched object in an error.
const QUOTED_MAX: usize = 1024;
/// Maximum bytes of a UTF-8 character.
const CHARACTER_BYTES_MAX: usize = 4;

/// The requested change of an object.
enum Change {
    /// Replace the object.
    Replace(Map<String, Value>),
    /// Patch the current object.
    Patch(DecodedPatch, FieldValidation),
}

impl ResourceRequest<'_> {
    /// Replaces the object that the URL names with the body.
    pub(super) async fn update(&self, audit: &mut AuditContext) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let options = WriteOptions::parse(self.request, "UpdateOptions")?;
        let mut incoming = self.decode_body(options, audit).await?;
        incoming.check_identity(self.namespace(), self.name())?;
        let mut write = self.write(rendering, options.dry_run);
        write.warnings = incoming.warnings;
        self.change(write, Change::Replace(incoming.object), audit).await
    }

    /// Patches the object that the URL names.
    pub(super) async fn patch(&self, audit: &mut AuditContext) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let is_core = self.kind.id.group.is_empty();
        let media_type = media_type(&self.request.headers);
        let body = &self.request.body;
        let patch = if body.len() <= JSON_INLINE_BYTES_MAX {
            Patch::decode(&media_type, body, is_core)?
        } else {
            let body = body.clone();
            self.on_blocking_pool(move || Patch::decode(&media_type, &body, is_core)).await?
        };
        let recorded = patch.as_parsed.clone();
        if let Some(json) = recorded.or_else(|| Json::parse(self.request.body.clone()).ok()) {
            audit.request_patch(&json);
        }
        let options = WriteOptions::parse(self.request, "PatchOptions")?;
        let write = self.write(rendering, options.dry_run);
        self.change(write, Change::Patch(patch, options.validation), audit).await
    }

    /// Authorizes the access that the change needs, then commits the change.
    async fn change(
        &self,
        write: Write,
        change: Change,
        audit: &mut AuditContext,
    ) -> Result<Outcome, ApiError> {
        let key = self.kind.key(self.namespace(), self.name());
        let stored = self.shared.store.get(&key).await.map_err(|error| read_error(&error))?;
        let change = Arc::new(change);
        let prepared = match stored {
            None => None,
            Some(stored) => {
                let (kind, change) = (Arc::clone(self.kind), Arc::clone(&change));
                let (namespace, info) = (self.namespace().to_owned(), self.request.info.clone());
                let is_short = stored.body.len() <= JSON_INLINE_BYTES_MAX;
                let prepare = move || Prepared::new(&kind, &namespace, &info, &change, &stored);
                if is_short {
                    prepare()
                } else {
                    self.on_blocking_pool(move || Ok(prepare())).await?
                }
            }
        };
        let granted = prepared.as_ref().map(|prepared| prepared.required.clone());
        let granted = granted.unwrap_or_default();
        self.authorize_all(&granted).await?;
        let work = move |write: &mut Write, transaction: &mut RegistryTransaction<'_>| {
            apply(write, transaction, &change, prepared, &granted)
        };
        write.commit(audit, work).await
    }
}

/// The result of a change, computed before the transaction. Inside it, all writes of all objects
/// would wait.
struct Prepared {
    /// The revision of the object before the change.
    revision: u64,
    old: Map<String, Value>,
    /// The changed object, or the error, which the transaction audits.
    changed: Result<Decoded, ApiError>,
    /// The access that the change requires besides the write itself.
    required: Vec<Attributes>,
}

impl Prepared {
    /// `None` if the object cannot be parsed; the transaction returns the error.
    fn new(
        kind: &ServedResource,
        namespace: &str,
        info: &RequestInfo,
        change: &Change,
        stored: &Object,
    ) -> Option<Self> {
        let old = parsed(stored).ok()?;
        let changed = change.applied(kind, &old, namespace, &info.name);
        let required = changed
            .as_ref()
            .map(|changed| required_access(kind, &info.subresource, &changed.object));
        let required = required.unwrap_or_default();
        Some(Self { revision: stored.revision, old, changed, required })
    }
}

/// The access that the change requires besides the write itself. A write of a subresource requires
/// none: it adds no references, and its user may have no further permissions.
fn required_access(
    kind: &ServedResource,
    subresource: &str,
    object: &Map<String, Value>,
) -> Vec<Attributes> {
    if !subresource.is_empty() {
        return Vec::new();
    }
    kind.resource.strategy.required_access(object)
}

impl Change {
    /// The changed object, with warnings about the body.
    fn applied(
        &self,
        kind: &ServedResource,
        old: &Map<String, Value>,
        namespace: &str,
        name: &str,
    ) -> Result<Decoded, ApiError> {
        match self {
            Self::Replace(object) => Ok(Decoded { object: object.clone(), warnings: Vec::new() }),
            Self::Patch(decoded, validation) => {
                let value = patched(&decoded.patch, &Value::Object(old.clone()))?;
                let document = Document { value, duplicates: decoded.duplicates.clone() };
                let quoted = quoted(kind, &document.value);
                let admitted = Decoded::decode(kind, document, *validation);
                let mut incoming = admitted.map_err(|error| match error {
                    DecodeError::Kind(error) => error,
                    DecodeError::Content(why) => {
                        let error = FieldError::invalid("patch", &quoted.into(), &why);
                        ApiError::invalid("", "", "", &[error])
                    }
                })?;
                // A patch that replaces or removes `metadata` removes the name.
                if metadata::text(&incoming.object, "name").is_empty() {
                    return Err(ApiError::bad_request("name must be provided"));
                }
                incoming.check_identity(namespace, name)?;
                Ok(incoming)
            }
        }
    }
}

/// The object with the patch applied. It fits into the limits of a body, because it could not be
/// replaced otherwise; an object that is already too large may become smaller.
fn patched(patch: &Patch, old: &Value) -> Result<Value, ApiError> {
    let before = cost(old);
    if before + patch.cost() > PATCH_TREE_BYTES_MAX {
        return Err(status_errors::object_too_large());
    }
    let value = patch.apply(old)?;
    let after = cost(&value);
    if after > TREE_BYTES_MAX && after > before {
        return Err(status_errors::object_too_large());
    }
    Ok(value)
}

/// The patched object as quoted in an error, truncated to a readable length. Objects that may
/// contain secrets are not quoted, because the error is audited.
fn quoted(kind: &ServedResource, value: &Value) -> String {
    if kind.resource.omit_bodies {
        return "***".to_owned();
    }
    // Most patches succeed, so only the quoted part is serialized.
    let mut prefix = PrefixWriter::default();
    let is_complete = serde_json::to_writer(&mut prefix, value).is_ok();
    let text = String::from_utf8_lossy(&prefix.0);
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None if is_complete => text.into_owned(),
        None => format!("{text}…"),
    }
}

/// A writer that accepts as many bytes as the quoted characters can have, and then fails.
#[derive(Default)]
struct PrefixWriter(Vec<u8>);

impl io::Write for PrefixWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = QUOTED_MAX * CHARACTER_BYTES_MAX - self.0.len();
        let len = free.min(bytes.len());
        self.0.extend_from_slice(bytes.get(..len).unwrap_or_default());
        // At the limit this is 0, which ends the serialization.
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn apply(
    write: &mut Write,
    transaction: &mut RegistryTransaction<'_>,
    change: &Change,
    prepared: Option<Prepared>,
    granted: &[Attributes],
) -> Result<WriteResult, ApiError> {
    let kind = Arc::clone(&write.kind);
    let stored = transaction
        .stored(&kind, &write.namespace, &write.name)
        .ok_or_else(|| kind.not_found(&write.name))?;
    let (old, incoming) = match prepared {
        Some(prepared) if prepared.revision == stored.revision => (prepared.old, prepared.changed?),
        // Patching again takes too long inside the transaction. Clients retry, as after five failed
        // attempts of kube-apiserver.
        Some(_) if stored.body.len() > REAPPLIED_BYTES_MAX => {
            return Err(kind.conflict(&write.name, STALE));
        }
        _ => {
            let old = parsed(&stored)?;
            let incoming = change.applied(&kind, &old, &write.namespace, &write.name)?;
            (old, incoming)
        }
    };
    write.warnings.extend(incoming.warnings);
    let mut object = incoming.object;
    check_revision(write, &object, &old, matches!(change, Change::Replace(_)))?;
    restore_other_fields(write, &mut object, &old);
    let errors = metadata::validate_deletion_fields(&object, &old);
    metadata::preserve_system_fields(&mut object, &old);
    let strategy = &kind.resource.strategy;
    strategy.prepare_update(&mut object, &old, &write.context);
    metadata::update_generation(&mut object, &old);
    validate(write, &object, &old, errors)?;
    let required = required_access(&kind, &write.context.subresource, &object);
    if required.iter().any(|attributes| !granted.contains(attributes)) {
        return Err(kind.conflict(&write.name, STALE));
    }
    metadata::canonicalize(&kind, &mut object);
    if object == old {
        return Ok(WriteResult::Object(StatusCode::OK, stored.body.clone()));
    }
    strategy.on_update(&mut object, &old, &mut Objects::new(transaction), &write.context)?;
    let is_done = metadata::is_terminating(&object) && metadata::finalizers(&object).is_empty();
    let body = if is_done {
        remove_for_good(write, transaction, &mut object)?
    } else {
        let body = transaction.store(&kind, &mut object)?;
        if body.len() > BODY_BYTES_MAX.max(stored.body.len()) {
            return Err(status_errors::object_too_large());
        }
        body
    };
    Ok(WriteResult::Object(StatusCode::OK, body))
}

/// Checks the preconditions: `resourceVersion` and `uid` of the body match the stored object.
fn check_revision(
    write: &Write,
    object: &Map<String, Value>,
    old: &Map<String, Value>,
    is_replacement: bool,
) -> Result<(), ApiError> {
    let sent_version = metadata::text(object, "resourceVersion");
    let may_be_empty = write.kind.resource.strategy.updates_unconditionally();
    // 0 is not a revision.
    if matches!(sent_version, "" | "0") && is_replacement && !may_be_empty {
        let error = FieldError {
            reason: "FieldValueInvalid",
            field: "metadata.resourceVersion".to_owned(),
            message: "Invalid value: 0x0: must be specified for an update".to_owned(),
        };
        return write.kind.reject_invalid(&write.name, &[error]);
    }
    if !sent_version.is_empty() && sent_version != metadata::text(old, "resourceVersion") {
        return Err(write.kind.conflict(&write.name, STALE));
    }
    let (uid, stored_uid) = (metadata::text(object, "uid"), metadata::text(old, "uid"));
    if !uid.is_empty() && uid != stored_uid {
        if !is_replacement {
            let error = FieldError::invalid("metadata.uid", &uid.into(), "field is immutable");
            return write.kind.reject_invalid(&write.name, &[error]);
        }
        let detail = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {stored_uid}"
        );
        return Err(write.kind.conflict(&write.name, &detail));
    }
    Ok(())
}

/// Restores every field outside the subresource that the URL names.
fn restore_other_fields(write: &Write, object: &mut Map<String, Value>, old: &Map<String, Value>) {
    let subresource = write.kind.subresource(&write.context.subresource);
    if let Some(Subresource::Field { path, .. }) = subresource {
        let value = fields::lookup_in(object, path).cloned();
        object.clone_from(old);
        match value {
            Some(value) => fields::set(object, path, value),
            None => fields::remove(object, path),
        }
    } else if subresource == Some(Subresource::Status) {
        let status = object.shift_remove("status");
        let labels = metadata::of(object).get("labels").cloned();
        object.clone_from(old);
        metadata::set(object, "labels", labels.unwrap_or_default());
        object.shift_remove("status");
        object.extend(status.map(|status| ("status".to_owned(), status)));
    } else if write.kind.has(Subresource::Status) {
        object.shift_remove("status");
        object.extend(old.get("status").map(|status| ("status".to_owned(), status.clone())));
    }
}

/// Validates the changed object. `errors` are the errors of earlier checks.
fn validate(
    write: &Write,
    object: &Map<String, Value>,
    old: &Map<String, Value>,
    mut errors: Vec<FieldError>,
) -> Result<(), ApiError> {
    errors.extend(metadata::validate(&write.kind, object));
    errors.extend(metadata::validate_finalizers(object, old));
    errors.extend(write.kind.validate(object));
    if errors.is_empty() {
        let strategy = &write.kind.resource.strategy;
        errors = strategy.validate(object, Some(old), &write.context);
    }
    write.kind.reject_invalid(&write.name, &errors)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::kinds;
    use super::*;

    #[test]
    fn a_patch_error_quotes_part_of_an_object_but_never_of_a_secret() {
        let quote = |plural: &str, value: &Value| {
            let resource = kinds::all().into_iter().find(|kind| kind.plural == plural);
            quoted(&ServedResource::new(resource.unwrap()), value)
        };
        assert_eq!(quote("widgets", &json!({"a": 1})), r#"{"a":1}"#);
        let long = quote("widgets", &json!("\u{fc}".repeat(5000)));
        assert_eq!(long.chars().count(), QUOTED_MAX + 1);
        assert_eq!(quote("vaults", &json!({"key": "HUSH"})), "***");
    }
}
