//! Decodes an object from a request body: it checks the object against the URL and the schema, and
//! removes and reports unknown fields.

use std::collections::HashSet;

use apimachinery::ApiError;
use apimachinery::serializer::Document;
use http::HeaderValue;
use http::header::WARNING;
use serde_json::{Map, Value};

use super::metadata;
use super::options::FieldValidation;
use super::served_resource::ServedResource;
use crate::{ApiResponse, Subresource};

/// Maximum length of all warnings of a response, in characters. Above it, each warning is
/// truncated, and further ones beyond the limit are dropped.
const WARNINGS_MAX: usize = 4096;
/// Maximum length of a truncated warning, in characters.
const WARNING_CUT: usize = 256;

/// A decoded object of the kind, and the warnings about its body.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) object: Map<String, Value>,
    pub(crate) warnings: Vec<String>,
}

/// Why a document cannot be decoded.
pub(crate) enum DecodeError {
    /// The document has another kind.
    Kind(ApiError),
    /// The content is invalid; the text of Go's decoder.
    Content(String),
}

impl DecodeError {
    /// The error for a whole object.
    pub(crate) fn into_api_error(self, kind: &ServedResource) -> ApiError {
        match self {
            Self::Kind(error) => error,
            Self::Content(why) => undecodable(kind, &why),
        }
    }
}

impl Decoded {
    /// Decodes a document as an object of `kind`.
    pub(crate) fn decode(
        kind: &ServedResource,
        document: Document,
        validation: FieldValidation,
    ) -> Result<Self, DecodeError> {
        let Value::Object(mut object) = document.value else {
            let why = "json: cannot unmarshal a value that is not an object";
            return Err(DecodeError::Content(why.to_owned()));
        };
        check_type(kind, &object).map_err(DecodeError::Kind)?;
        let mut unknown = kind.prune(&mut object);
        metadata::decode(&mut object, &mut unknown).map_err(DecodeError::Content)?;
        let unknown = unknown.into_iter().map(|path| format!("unknown field \"{path}\""));
        let duplicates = &document.duplicates;
        if validation == FieldValidation::Strict {
            let errors: Vec<String> =
                duplicates.strict_errors().into_iter().chain(unknown).collect();
            if !errors.is_empty() {
                let list = errors.join(", ");
                return Err(DecodeError::Content(format!("strict decoding error: {list}")));
            }
            return Ok(Self { object, warnings: Vec::new() });
        }
        let mut warnings = Vec::new();
        if validation == FieldValidation::Warn {
            warnings.extend(duplicates.warnings());
            warnings.extend(unknown);
        }
        Ok(Self { object, warnings })
    }

    /// Checks name and namespace against the URL, and fills them in.
    pub(crate) fn check_identity(&mut self, namespace: &str, name: &str) -> Result<(), ApiError> {
        let in_object = metadata::text(&self.object, "namespace");
        if !in_object.is_empty() && in_object != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        let in_object = metadata::text(&self.object, "name");
        if !name.is_empty() && !in_object.is_empty() && in_object != name {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({in_object}) does not match the name on the URL ({name})"
            )));
        }
        metadata::set(&mut self.object, "namespace", namespace);
        if !name.is_empty() {
            metadata::set(&mut self.object, "name", name);
        }
        Ok(())
    }
}

/// Removes the status if the kind has the subresource `status`, which alone writes it.
pub(crate) fn drop_status(kind: &ServedResource, object: &mut Map<String, Value>) {
    if kind.has(Subresource::Status) {
        object.shift_remove("status");
    }
}

/// Adds warnings as headers.
pub(crate) fn warn(response: &mut ApiResponse, warnings: &[String]) {
    let mut unique = HashSet::new();
    let warnings: Vec<&String> =
        warnings.iter().filter(|warning| !warning.is_empty() && unique.insert(*warning)).collect();
    let len = |warning: &str| warning.chars().count();
    let mut all = 0;
    let first_beyond = warnings.iter().position(|warning| {
        all += len(warning);
        all > WARNINGS_MAX
    });
    let mut written = 0;
    for (at, warning) in warnings.into_iter().enumerate() {
        if first_beyond.is_some_and(|first| at > first) && written >= WARNINGS_MAX {
            break;
        }
        let len_max = if first_beyond.is_some() { WARNING_CUT } else { WARNINGS_MAX };
        written += len(warning).min(len_max);
        let text: String = warning
            .chars()
            .take(len_max)
            .filter(|c| !c.is_control())
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            response.headers.append(WARNING, value);
        }
    }
}

fn check_type(kind: &ServedResource, object: &Map<String, Value>) -> Result<(), ApiError> {
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

fn undecodable(kind: &ServedResource, why: &str) -> ApiError {
    let (name, version) = (kind.resource.kind, kind.resource.version);
    ApiError::bad_request(format!(
        "{name} in version {version:?} cannot be handled as a {name}: {why}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the number and the lengths of the warnings in a response.
    #[track_caller]
    fn check(warnings: &[String], expected: &[usize]) {
        let mut response = ApiResponse::from(ApiError::bad_request(""));
        warn(&mut response, warnings);
        let lens = response.headers.get_all(WARNING).iter().map(|value| {
            let text = std::str::from_utf8(value.as_bytes()).unwrap();
            text.strip_prefix("299 - \"").unwrap().strip_suffix('"').unwrap().chars().count()
        });
        assert_eq!(lens.collect::<Vec<_>>(), expected);
    }

    /// Regression: the response to a body with many unknown fields had 16 KB of headers.
    #[test]
    fn warnings_are_truncated_and_omitted_as_upstream() {
        let many = |count: usize, len: usize| -> Vec<String> {
            (0..count).map(|at| format!("{at:03}{}", "\u{fc}".repeat(len - 3))).collect()
        };
        check(&many(3, 1000), &[1000; 3]);
        check(&[many(4, 1000), many(1, 96)].concat(), &[1000, 1000, 1000, 1000, 96]);
        check(&[many(4, 1000), many(1, 97)].concat(), &[256, 256, 256, 256, 97]);
        check(&many(60, 265), &[256; 16]);
        check(&many(60, 100), &[100; 41]);
        // The warning that exceeds the limit is still sent.
        check(&many(17, 256), &[256; 17]);
        check(&many(18, 256), &[256; 17]);
        check(&many(1, 5000), &[256]);
        check(&[many(1, 10), many(1, 10), vec![String::new()]].concat(), &[10]);
    }
}
