//! The verb `create`.

use std::sync::Arc;

use apimachinery::serializer::{self, Document};
use apimachinery::{ApiError, name_generator};
use bytes::Bytes;
use event::Json;
use http::StatusCode;
use serde_json::{Map, Value};

use super::decoded::{Decoded, drop_status};
use super::options::WriteOptions;
use super::transaction::RegistryTransaction;
use super::write::{Write, WriteResult};
use super::{ResourceRequest, metadata};
use crate::handler::negotiate::{Rendering, media_type};
use crate::limits::{JSON_INLINE_BYTES_MAX, OTHER_INLINE_BYTES_MAX};
use crate::{AuditContext, Objects, Outcome, Review};

/// Number of names that a create with `generateName` tries before it fails.
const NAME_TRIES: usize = 8;

impl ResourceRequest<'_> {
    /// Creates an object from the request body.
    pub(super) async fn create(&self, audit: &mut AuditContext) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let options = WriteOptions::parse(self.request, "CreateOptions")?;
        let mut incoming = self.decode_body(options, audit).await?;
        incoming.check_identity(self.namespace(), "")?;
        let mut object = incoming.object;
        if !metadata::text(&object, "resourceVersion").is_empty() {
            return Err(ApiError::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let mut write = self.write(rendering, options.dry_run);
        write.warnings = incoming.warnings;
        if let Some(review) = self.kind.resource.strategy.review(&object, &write.context) {
            return self.answer_review(&object, review, &write).await;
        }
        self.require_namespace(metadata::text(&object, "name")).await?;
        let base = metadata::text(&object, "generateName").to_owned();
        let is_generated = metadata::text(&object, "name").is_empty() && !base.is_empty();
        if is_generated {
            metadata::set(&mut object, "name", name_generator::generate(&base));
        }
        drop_status(self.kind, &mut object);
        metadata::fill_system_fields(&mut object, &write.context.now);
        self.kind.resource.strategy.prepare_create(&mut object, &write.context);
        self.validate_new(&object, &write)?;
        self.authorize_all(&self.kind.resource.strategy.required_access(&object)).await?;
        write
            .commit(audit, move |write, transaction| {
                insert(write, transaction, object, &base, is_generated)
            })
            .await
    }

    /// Decodes the body and adds it to the audit event.
    pub(super) async fn decode_body(
        &self,
        options: WriteOptions,
        audit: &mut AuditContext,
    ) -> Result<Decoded, ApiError> {
        let document = self.document(self.kind.resource.kind).await?;
        if !audit.is_disabled()
            && let Some(json) = recorded_body(&self.request.body, &document)
        {
            audit.request_body(json);
        }
        if let Value::Object(object) = &document.value {
            let text = |key: &str| metadata::text(object, key);
            audit.fill_object_ref(
                text("namespace"),
                text("name"),
                text("uid"),
                text("resourceVersion"),
            );
        }
        let admitted = Decoded::decode(self.kind, document, options.validation);
        admitted.map_err(|error| error.into_api_error(self.kind))
    }

    /// Parses the body. A long body is parsed on the blocking pool, a few at a time, so that it
    /// does not block other requests.
    pub(super) async fn document(&self, kind: &'static str) -> Result<Document, ApiError> {
        let (headers, body) = (&self.request.headers, &self.request.body);
        let media_type = media_type(headers);
        let is_json = matches!(media_type.as_str(), "" | "application/json");
        let len_max = if is_json { JSON_INLINE_BYTES_MAX } else { OTHER_INLINE_BYTES_MAX };
        let api_version = &self.kind.api_version;
        if body.len() <= len_max {
            return serializer::decode(&media_type, body, api_version, kind);
        }
        let (body, api_version) = (body.clone(), api_version.clone());
        self.on_blocking_pool(move || serializer::decode(&media_type, &body, &api_version, kind))
            .await
    }

    /// Runs long work on the blocking pool, so that it does not block other requests. A semaphore
    /// limits the number of concurrent runs.
    pub(super) async fn on_blocking_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.shared.readers).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.unwrap_or_else(|_| Err(ApiError::internal("the body could not be read")))
    }

    /// Responds to the create of a review, which is not stored.
    async fn answer_review(
        &self,
        object: &Map<String, Value>,
        review: Review,
        write: &Write,
    ) -> Result<Outcome, ApiError> {
        let mut errors = self.kind.validate(object);
        if errors.is_empty() {
            errors = self.kind.resource.strategy.validate(object, None, &write.context);
        }
        self.kind.reject_invalid("", &errors)?;
        let mut reviewed = review.await?;
        reviewed.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        let body = metadata::encode(self.kind, &reviewed)?;
        Ok(Outcome::Unlogged(
            write.success_response(WriteResult::Object(StatusCode::CREATED, body)),
        ))
    }

    fn validate_new(&self, object: &Map<String, Value>, write: &Write) -> Result<(), ApiError> {
        let mut errors = metadata::validate(self.kind, object);
        errors.extend(metadata::validate_generate_name(self.kind, object));
        errors.extend(self.kind.validate(object));
        if errors.is_empty() {
            errors = self.kind.resource.strategy.validate(object, None, &write.context);
        }
        self.kind.reject_invalid(metadata::text(object, "name"), &errors)
    }
}

/// The request body for the audit event: the bytes of the client if they are JSON without duplicate
/// keys, otherwise the parsed document. Parsers handle duplicate keys differently: some use the
/// first value.
pub(super) fn recorded_body(body: &Bytes, document: &Document) -> Option<Json> {
    if document.duplicates.is_empty()
        && let Ok(json) = Json::parse(body.clone())
    {
        return Some(json);
    }
    Json::serialize(&document.value).ok()
}

fn insert(
    write: &mut Write,
    transaction: &mut RegistryTransaction<'_>,
    mut object: Map<String, Value>,
    base: &str,
    is_generated: bool,
) -> Result<WriteResult, ApiError> {
    let kind = std::sync::Arc::clone(&write.kind);
    let strategy = &kind.resource.strategy;
    let mut tries = 1;
    while strategy.stored()
        && transaction.is_taken(&kind, &write.namespace, metadata::text(&object, "name"))
    {
        if !is_generated || tries == NAME_TRIES {
            let name = metadata::text(&object, "name");
            return Err(ApiError::already_exists(kind.id.group, kind.id.plural, name));
        }
        metadata::set(&mut object, "name", name_generator::generate(base));
        tries += 1;
    }
    strategy.on_create(&mut object, &mut Objects::new(transaction), &write.context)?;
    metadata::text(&object, "name").clone_into(&mut write.name);
    let body = if strategy.stored() {
        transaction.store(&kind, &mut object)?
    } else {
        metadata::encode(&kind, &object)?
    };
    Ok(WriteResult::Object(StatusCode::CREATED, body))
}
