//! Operations: requests on an object that do not change its fields.

use apimachinery::{ApiError, serializer};
use http::StatusCode;
use serde_json::{Map, Value};

use super::create::recorded_body;
use super::options::WriteOptions;
use super::read::read_error;
use super::{ResourceRequest, metadata};
use crate::handler::negotiate::Rendering;
use crate::{ApiResponse, AuditContext, Outcome};

impl ResourceRequest<'_> {
    /// Runs an operation on the object that the URL names, and responds with its result.
    pub(super) async fn operate(&self, audit: &mut AuditContext) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let options = WriteOptions::parse(self.request, "CreateOptions")?;
        // The body has no effect, but the audit event contains it in its parsed form.
        if let Ok(document) = serializer::decode_json(&self.request.body)
            && let Some(json) = recorded_body(&self.request.body, &document)
        {
            audit.request_object(&json);
        }
        let key = self.kind.key(self.namespace(), self.name());
        let stored = self.shared.store.get(&key).await.map_err(|error| read_error(&error))?;
        let stored = stored.ok_or_else(|| self.kind.not_found(self.name()))?;
        let object: Map<String, Value> = serde_json::from_slice(&stored.body)
            .map_err(|error| ApiError::internal(&format!("stored object is damaged: {error}")))?;
        let uid = metadata::text(&object, "uid").to_owned();
        let message = if options.dry_run {
            "dry run: nothing was done".to_owned()
        } else {
            let context = self.write(rendering, false).context;
            self.kind.resource.strategy.operate(object, context).await?
        };
        let status = event::Status {
            status: "Success".to_owned(),
            message,
            details: Some(event::StatusDetails {
                name: self.name().to_owned(),
                group: self.kind.id.group.to_owned(),
                kind: self.kind.id.plural.to_owned(),
                uid,
                ..event::StatusDetails::default()
            }),
            code: StatusCode::OK.as_u16(),
            ..event::Status::default()
        };
        Ok(Outcome::Unlogged(ApiResponse::status(status)))
    }
}
