//! The verbs `get` and `list`.
//!
//! Responses contain the stored bytes unchanged. Objects are parsed only if a selector or the
//! format of the response needs it.

use std::sync::Arc;

use apimachinery::selector::Selector;
use apimachinery::selector::field_selector::{FieldSelector, FieldTerm};
use apimachinery::{ApiError, FieldError};
use bytes::Bytes;
use event::Json;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use store::ReadError;

use super::continue_token::ContinueToken;
use super::gather::{CollectedList, ListContent, ListError, Listing};
use super::options::first;
use super::render;
use super::write::WriteResult;
use super::{ResourceRequest, metadata, options, response_cache};
use crate::handler::encoding;
use crate::handler::negotiate::Rendering;
use crate::handler::status_errors::too_large_resource_version;
use crate::{ApiResponse, AuditContext, Objects, Outcome};

/// The selection of a list or watch: label and field selectors.
#[derive(Clone, Debug, Default)]
pub(super) struct SelectionPredicate {
    labels: Selector,
    fields: FieldSelector,
}

impl SelectionPredicate {
    pub(super) fn new(call: &ResourceRequest<'_>) -> Result<Self, ApiError> {
        let request = call.request;
        let labels = first(request, "labelSelector").unwrap_or_default();
        let fields = first(request, "fieldSelector").unwrap_or_default();
        let mut fields = FieldSelector::parse(fields, call.kind.resource.selectable_fields)?;
        // The request is authorized and audited for this name, so it selects no other object.
        if !request.info.name.is_empty() {
            fields.narrow_to_name(&request.info.name)?;
        }
        Ok(Self { labels: Selector::parse(labels).map_err(ApiError::bad_request)?, fields })
    }

    pub(super) fn selects_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the selection includes objects without labels.
    pub(super) fn matches_unlabelled(&self) -> bool {
        self.labels.matches(|_| None)
    }

    /// The requirements of the field selector.
    pub(super) fn terms(&self) -> Vec<FieldTerm> {
        self.fields.terms().to_vec()
    }

    /// Whether the selection includes a stored object. Objects that cannot be parsed are included.
    pub(super) fn matches(&self, body: &[u8]) -> bool {
        if self.selects_all() {
            return true;
        }
        let Ok(object) = serde_json::from_slice::<Map<String, Value>>(body) else { return true };
        let labels = metadata::of(&object).get("labels");
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.labels.matches(label) && self.fields.matches(&object)
    }
}

/// The parameters of a list, without its selectors.
pub(super) struct ListQuery {
    /// The exact revision to read at.
    pub(super) at: Option<u64>,
    /// The minimum revision to read at.
    pub(super) at_least: u64,
    /// The last key of the previous page, relative to the prefix of the list.
    pub(super) after: Option<String>,
    pub(super) limit: usize,
}

impl ResourceRequest<'_> {
    /// Responds with the stored object that the URL names.
    pub(super) async fn get(&self, _audit: &mut AuditContext) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        if let Some(at_least) = revision(self.request)? {
            self.wait_for(at_least).await?;
        }
        let key = self.kind.key(self.namespace(), self.name());
        let stored = self.shared.store.get(&key).await.map_err(|error| read_error(&error))?;
        let stored = stored.ok_or_else(|| self.kind.not_found(self.name()))?;
        let now = self.shared.clock.now();
        let key = response_cache::key(self.request, stored.revision, rendering, now);
        let (bytes, kind) = (stored.body.len(), Arc::clone(self.kind));
        let render = move || {
            let response = render::object(rendering, &kind, StatusCode::OK, &stored.body, now);
            encoding::finish(rendering, response)
        };
        let responses = &self.shared.response_cache;
        responses.shared(key, bytes, None, render).await.map(Outcome::Unlogged)
    }

    /// Responds with an object and the details that its kind computes, from one snapshot.
    pub(super) async fn details(&self, audit: &mut AuditContext) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        // A transaction without writes: it reads the details from other objects.
        let write = self.write(rendering, true);
        let work =
            move |write: &mut super::write::Write,
                  transaction: &mut super::transaction::RegistryTransaction<'_>| {
                let kind = Arc::clone(&write.kind);
                let (object, _) = transaction
                    .read(&kind, &write.namespace, &write.name)?
                    .ok_or_else(|| kind.not_found(&write.name))?;
                let object =
                    kind.resource.strategy.details(&object, &mut Objects::new(transaction))?;
                Ok(WriteResult::Object(StatusCode::OK, metadata::encode(&kind, &object)?))
            };
        write.commit(audit, work).await
    }

    /// Responds with the selected objects as stored.
    pub(super) async fn list(&self, audit: &mut AuditContext) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let filter = SelectionPredicate::new(self)?;
        let query = self.list_query()?;
        self.wait_for(query.at_least.max(query.at.unwrap_or_default())).await?;
        let prefix = self.kind.prefix(self.namespace());
        // The permit covers reading and rendering: it limits how many long lists are in memory at
        // once.
        let permit = self.shared.response_cache.render_permit().await;
        let now = self.shared.clock.now();
        let listing = Listing { prefix: &prefix, filter: &filter, query: &query, rendering, now };
        let CollectedList { items, head, bytes, reservation } =
            match self.gather(&listing, audit).await {
                Ok(ListContent::New(gathered)) => gathered,
                Ok(ListContent::Cached(response)) => return Ok(Outcome::Unlogged(*response)),
                Err(ListError::Read(ReadError::Compacted { .. })) => {
                    return Ok(Outcome::Unlogged(expired(&query)));
                }
                Err(ListError::Read(error)) => return Err(read_error(&error)),
                Err(ListError::Rejected(error)) => return Err(error),
            };
        let start = self.shared.clock.now();
        let key = response_cache::key(self.request, head.revision, rendering, now);
        let kind = Arc::clone(self.kind);
        let render = move || {
            let parts = items.iter().map(|object| &object.body);
            encoding::finish(rendering, render::list(rendering, &kind, &head, parts, now))
        };
        let response = self.shared.response_cache.shared(key, bytes, reservation, render).await?;
        drop(permit);
        audit.track_since(render::layer(rendering), start);
        Ok(Outcome::Unlogged(response))
    }

    /// Checks the parameters of a list.
    pub(super) fn list_query(&self) -> Result<ListQuery, ApiError> {
        let request = self.request;
        check_match(self)?;
        if first(request, "sendInitialEvents").is_some() {
            let detail = "sendInitialEvents is forbidden for list";
            let error = FieldError::forbidden("sendInitialEvents", detail);
            return Err(options::reject_invalid("ListOptions", &[error])
                .err()
                .unwrap_or_else(|| ApiError::bad_request(detail)));
        }
        let limit = match first(request, "limit").unwrap_or_default() {
            "" => 0,
            text => text.parse::<i64>().map_err(|_| {
                ApiError::bad_request(format!("limit: Invalid value: {text:?}: must be a number"))
            })?,
        };
        let limit = usize::try_from(limit).unwrap_or(0);
        let since = revision(request)?;
        let token = first(request, "continue").unwrap_or_default();
        if !token.is_empty() {
            if since.is_some_and(|revision| revision != 0) {
                return Err(ApiError::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let token = ContinueToken::decode(token)?;
            return Ok(ListQuery {
                at: token.revision,
                at_least: 0,
                after: Some(token.after),
                limit,
            });
        }
        let matching = first(request, "resourceVersionMatch").unwrap_or_default();
        let since = since.unwrap_or(0);
        let is_exact = matching == "Exact" || (matching.is_empty() && limit > 0 && since > 0);
        Ok(if is_exact {
            ListQuery { at: Some(since), at_least: 0, after: None, limit }
        } else {
            ListQuery { at: None, at_least: since, after: None, limit }
        })
    }

    /// Waits a short time for a revision that is not committed yet.
    pub(super) async fn wait_for(&self, revision: u64) -> Result<(), ApiError> {
        if revision <= self.shared.store.observed_revision() {
            return Ok(());
        }
        let reached = self.shared.store.wait_for_revision(revision).await;
        reached.map_err(|error| read_error(&error))
    }
}

/// The `resourceVersion` of a read; `None` if it is absent.
pub(super) fn revision(request: &crate::Request) -> Result<Option<u64>, ApiError> {
    match first(request, "resourceVersion").unwrap_or_default() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            ApiError::bad_request(format!("invalid resource version: {text:?}: not a number"))
        }),
    }
}

/// Checks `resourceVersionMatch` by upstream's rules.
fn check_match(call: &ResourceRequest<'_>) -> Result<(), ApiError> {
    let request = call.request;
    let parameter = |key: &str| first(request, key).unwrap_or_default();
    let matching = parameter("resourceVersionMatch");
    if matching.is_empty() {
        return Ok(());
    }
    let field = "resourceVersionMatch";
    let mut errors = Vec::new();
    if parameter("resourceVersion").is_empty() {
        let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        errors.push(FieldError::forbidden(field, detail));
    }
    if !parameter("continue").is_empty() {
        let detail = "resourceVersionMatch is forbidden when continue is provided";
        errors.push(FieldError::forbidden(field, detail));
    }
    match matching {
        "NotOlderThan" => {}
        "Exact" => {
            if parameter("resourceVersion") == "0" {
                let detail =
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                errors.push(FieldError::forbidden(field, detail));
            }
        }
        value => {
            let supported = ["Exact", "NotOlderThan", ""];
            errors.push(FieldError::not_supported(field, &value.into(), &supported));
        }
    }
    options::reject_invalid("ListOptions", &errors)
}

/// The error for a failed read of the store.
pub(super) fn read_error(error: &ReadError) -> ApiError {
    match error {
        ReadError::Compacted { revision, oldest } => {
            gone(&format!("too old resource version: {revision} ({oldest})"))
        }
        ReadError::TooLarge { revision, current } => {
            too_large_resource_version(*revision, *current)
        }
        ReadError::Closed => ApiError::unavailable("the server is shutting down", 1),
        ReadError::Unavailable { .. } => ApiError::unavailable(error.to_string(), 5),
        _ => ApiError::internal(&error.to_string()),
    }
}

/// 410 Gone, for a revision that is compacted.
fn gone(message: &str) -> ApiError {
    ApiError::new(StatusCode::GONE, "Expired", message)
}

/// The error for an expired `continue` token. It contains a token that continues the list at the
/// newest revision.
fn expired(query: &ListQuery) -> ApiResponse {
    #[derive(Deserialize)]
    struct Document(Map<String, Value>);

    let Some(after) = &query.after else {
        let at = query.at.unwrap_or_default();
        return gone(&format!("The resourceVersion for the provided list is too old: {at}")).into();
    };
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    let mut response: ApiResponse = gone(message).into();
    let token = ContinueToken { revision: None, after: after.clone() }.encode();
    if let Ok(Document(mut map)) = serde_json::from_slice(&response.body) {
        map.insert("metadata".to_owned(), serde_json::json!({ "continue": token }));
        if let Ok(json) = Json::serialize(&map) {
            response.body = Bytes::clone(&json.clone().into_bytes());
            response.object = Some(json);
        }
    }
    response
}
