//! Renders stored objects as a response in the format that the client accepts, as compact JSON.

use apimachinery::fields;
use audit::Layer;
use bytes::Bytes;
use event::{Json, Status, StatusDetails, Timestamp};
use http::StatusCode;
use serde_json::Value;

use super::served_resource::ServedResource;
use crate::handler::negotiate::{Form, MetaVersion, Rendering};
use crate::{ApiResponse, table};

/// The metadata of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct ListMeta {
    pub(super) revision: u64,
    /// Omits the revision: the list shows an object of a dry run.
    pub(super) has_no_revision: bool,
    /// The `continue` token; empty on the last page.
    pub(super) next: String,
    pub(super) remaining: Option<usize>,
}

/// Renders one stored object.
pub(super) fn object(
    rendering: Rendering,
    kind: &ServedResource,
    code: StatusCode,
    body: &Bytes,
    now: Timestamp,
) -> ApiResponse {
    let json = match rendering.form {
        Form::Plain => body.clone(),
        Form::Partial(version) => Bytes::from(table::partial(body, version)),
        Form::Table(include, version) => {
            let revision = revision_of(body);
            let has_no_revision = revision == 0;
            let head = ListMeta { revision, has_no_revision, ..ListMeta::default() };
            let mut out = table_start(kind, &head, version, true);
            out.extend_from_slice(&table::row(&kind.resource, body, (include, version), now));
            out.extend_from_slice(b"]}");
            Bytes::from(out)
        }
    };
    ApiResponse::json(code, Json::from_normalized(json))
}

/// The part of a stored object that a list in this rendering needs: its metadata, or the whole
/// body.
pub(super) fn part(rendering: Rendering, body: &Bytes) -> Bytes {
    match rendering.form {
        Form::Partial(version) => Bytes::from(table::partial(body, version)),
        Form::Plain | Form::Table(..) => body.clone(),
    }
}

/// Renders a list of objects. Each of `parts` is the result of [`part`].
pub(super) fn list<'a>(
    rendering: Rendering,
    kind: &ServedResource,
    head: &ListMeta,
    parts: impl Iterator<Item = &'a Bytes> + Clone,
    now: Timestamp,
) -> ApiResponse {
    let mut out = match rendering.form {
        Form::Plain => list_start(&format!("{}List", kind.resource.kind), &kind.api_version, head),
        Form::Partial(version) => {
            list_start("PartialObjectMetadataList", version.api_version(), head)
        }
        Form::Table(_, version) => table_start(kind, head, version, true),
    };
    if matches!(rendering.form, Form::Plain | Form::Partial(_)) {
        out.reserve(parts.clone().map(|part| part.len() + 1).sum::<usize>() + 2);
    }
    for (at, part) in parts.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match rendering.form {
            Form::Plain | Form::Partial(_) => out.extend_from_slice(part),
            Form::Table(include, version) => {
                out.extend_from_slice(&table::row(&kind.resource, part, (include, version), now));
            }
        }
    }
    out.extend_from_slice(b"]}");
    ApiResponse::json(StatusCode::OK, Json::from_normalized(Bytes::from(out)))
}

/// The latency layer of rendering, for the audit event's annotations.
pub(super) const fn layer(rendering: Rendering) -> Layer {
    match rendering.form {
        Form::Plain => Layer::Serialization,
        Form::Partial(_) | Form::Table(..) => Layer::Transformation,
    }
}

/// The response of a delete that has removed the object.
pub(super) fn deleted(kind: &ServedResource, name: &str, uid: &str) -> ApiResponse {
    let status = Status {
        status: "Success".to_owned(),
        details: Some(StatusDetails {
            name: name.to_owned(),
            group: kind.id.group.to_owned(),
            kind: kind.id.plural.to_owned(),
            uid: uid.to_owned(),
            ..StatusDetails::default()
        }),
        code: StatusCode::OK.as_u16(),
        ..Status::default()
    };
    ApiResponse::status(status)
}

/// Writes a table up to its first row.
pub(super) fn table_start(
    kind: &ServedResource,
    head: &ListMeta,
    version: MetaVersion,
    with_columns: bool,
) -> Vec<u8> {
    let columns =
        if with_columns { table::column_definitions(&kind.resource) } else { Value::Null };
    let (head, version) = (list_metadata(head), version.api_version());
    format!(
        r#"{{"kind":"Table","apiVersion":"{version}","metadata":{head},"columnDefinitions":{columns},"rows":["#
    )
    .into_bytes()
}

fn list_start(kind: &str, api_version: &str, head: &ListMeta) -> Vec<u8> {
    let head = list_metadata(head);
    format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{head},"items":["#)
        .into_bytes()
}

fn list_metadata(head: &ListMeta) -> String {
    let mut out = if head.has_no_revision {
        r#"{"resourceVersion":"""#.to_owned()
    } else {
        format!(r#"{{"resourceVersion":"{}""#, head.revision)
    };
    if !head.next.is_empty() {
        // A token is base64url, so it needs no escaping.
        out.push_str(r#","continue":""#);
        out.push_str(&head.next);
        out.push('"');
    }
    if let Some(remaining) = head.remaining {
        out.push_str(r#","remainingItemCount":"#);
        out.push_str(&remaining.to_string());
    }
    out.push('}');
    out
}

/// The revision of a stored object; 0 if the object cannot be parsed.
pub(super) fn revision_of(body: &[u8]) -> u64 {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = fields::lookup(&object, "metadata.resourceVersion").and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
