//! An object as a client sent it, on its way to being one of the kind: checked against the URL and
//! the schema, with what the kind does not know taken away and reported.

use http::HeaderValue;
use http::header::WARNING;
use serde_json::{Map, Value};

use super::decode::Document;
use super::kind::Kind;
use super::metadata;
use super::options::FieldValidation;
use crate::{Answer, ApiError, Subresource};

/// Bytes of all warnings of an answer; beyond it, each is cut.
const WARNINGS_MAX: usize = 4096;
/// What a warning is cut to when there are too many.
const WARNING_CUT: usize = 256;

/// An object of the kind, and what was wrong with how it was sent.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) object: Map<String, Value>,
    pub(crate) warnings: Vec<String>,
}

impl Incoming {
    /// Checks a document that claims to be of `kind`.
    pub(crate) fn admit(
        kind: &Kind,
        document: Document,
        validation: FieldValidation,
    ) -> Result<Self, ApiError> {
        let Value::Object(mut object) = document.value else {
            return Err(undecodable(kind, "json: cannot unmarshal a value that is not an object"));
        };
        check_type(kind, &object)?;
        let mut unknown = kind.prune(&mut object);
        metadata::read(&mut object, &mut unknown).map_err(|error| undecodable(kind, &error))?;
        let unknown = unknown.into_iter().map(|path| format!("unknown field \"{path}\""));
        let duplicates =
            document.duplicates.into_iter().map(|path| format!("duplicate field \"{path}\""));
        let warnings: Vec<String> = unknown.chain(duplicates).collect();
        match validation {
            FieldValidation::Strict if !warnings.is_empty() => {
                let list = warnings.join(", ");
                Err(undecodable(kind, &format!("strict decoding error: {list}")))
            }
            FieldValidation::Ignore => Ok(Self { object, warnings: Vec::new() }),
            FieldValidation::Strict | FieldValidation::Warn => Ok(Self { object, warnings }),
        }
    }

    /// Checks name and namespace against those of the URL, and fills them in.
    pub(crate) fn place(&mut self, namespace: &str, name: &str) -> Result<(), ApiError> {
        let own = metadata::text(&self.object, "namespace");
        if !own.is_empty() && own != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        let own = metadata::text(&self.object, "name");
        if !name.is_empty() && !own.is_empty() && own != name {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({own}) does not match the name on the URL ({name})"
            )));
        }
        metadata::set(&mut self.object, "namespace", namespace);
        if !name.is_empty() {
            metadata::set(&mut self.object, "name", name);
        }
        Ok(())
    }
}

/// Removes what only `…/status` may write, from an object that has it.
pub(crate) fn drop_status(kind: &Kind, object: &mut Map<String, Value>) {
    if kind.has(Subresource::Status) {
        object.shift_remove("status");
    }
}

/// Adds warnings as headers.
pub(crate) fn warn(answer: &mut Answer, warnings: &[String]) {
    let bytes: usize = warnings.iter().map(String::len).sum();
    for warning in warnings {
        let text: String = warning
            .chars()
            .filter(|c| !c.is_control())
            .take(if bytes > WARNINGS_MAX { WARNING_CUT } else { WARNINGS_MAX })
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            answer.headers.append(WARNING, value);
        }
    }
}

fn check_type(kind: &Kind, object: &Map<String, Value>) -> Result<(), ApiError> {
    let text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Some(""),
        Some(value) => value.as_str(),
    };
    let (Some(api_version), Some(name)) = (text("apiVersion"), text("kind")) else {
        return Err(undecodable(kind, "json: apiVersion and kind must be strings"));
    };
    if !api_version.is_empty() && api_version != kind.api_version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            kind.api_version
        )));
    }
    if !name.is_empty() && name != kind.resource.kind {
        return Err(ApiError::bad_request(format!(
            "{name} in version {:?} cannot be handled as a {}: no kind {name:?} is registered for it",
            kind.resource.version, kind.resource.kind
        )));
    }
    Ok(())
}

fn undecodable(kind: &Kind, why: &str) -> ApiError {
    let (name, version) = (kind.resource.kind, kind.resource.version);
    ApiError::bad_request(format!(
        "{name} in version {version:?} cannot be handled as a {name}: {why}"
    ))
}
