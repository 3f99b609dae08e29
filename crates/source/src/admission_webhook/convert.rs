//! Makes the event of an admission review.
//!
//! The event has the stage `RequestReceived`, because the outcome is not known, and says so in an
//! annotation. Its request body is the object after the change, or the options of a deletion; the
//! object before is an annotation. A review has no path, so one is made from the object's name and
//! the options, by which rules recognize dry runs.

use audit::without_managed_fields;
use bytes::Bytes;
use event::annotations::{ADMISSION, OLD_OBJECT};
use event::limit::cut_body;
use event::{Event, Json, Level, ObjectReference, Stage, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::review::{AdmissionRequest, GroupVersionResource, Operation};
use crate::convert::{finish, withhold_body};
use crate::limits::OLD_OBJECT_BYTES_MAX;
use crate::splitter::Digest;
use crate::status::SourceStatus;

/// What is known of an object that a review is about.
#[derive(Default, Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
}

/// The options that a path shows.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    #[serde(default)]
    dry_run: Vec<String>,
    #[serde(default)]
    field_manager: String,
}

/// The event of a request that arrived at `now`.
pub(super) fn convert(
    request: &AdmissionRequest<'_>,
    operation: Operation,
    (source, digest): (&SourceStatus, Digest),
    now: Timestamp,
) -> Event {
    let options: Options = part(request.options);
    let reference = reference(request);
    let mut event = Event {
        level: Level::Request,
        audit_id: request.uid.clone().into_owned(),
        request_uri: uri(&reference, operation, &options, request.dry_run == Some(true)),
        user: request.user_info.clone(),
        ..Event::internal(Stage::RequestReceived, operation.verb(), now)
    };
    event.object_ref = Some(reference);
    event.request_object = match operation {
        // Rules read from the options of a deletion whether it is a dry run, and otherwise from the
        // path.
        Operation::Delete if request.dry_run == Some(true) && options.dry_run.is_empty() => None,
        Operation::Delete => json(request.options),
        Operation::Create | Operation::Update | Operation::Connect => json(request.object),
    };
    let old = json(request.old_object).map(without_managed_fields);
    let old = old.and_then(|old| withhold_body(&mut event, "oldObject", old));
    let note = "allowed before the outcome was known; reads and refused requests are not sent";
    finish(&mut event, source, digest);
    event.annotations.insert(ADMISSION.to_owned(), note.to_owned());
    if let Some(old) = old {
        let bytes = old.as_bytes();
        let old = if bytes.len() > OLD_OBJECT_BYTES_MAX { cut_body(bytes) } else { old };
        let text = String::from_utf8_lossy(old.as_bytes()).into_owned();
        event.annotations.insert(OLD_OBJECT.to_owned(), text);
    }
    event
}

/// The object of the request, as the client named it.
fn reference(request: &AdmissionRequest<'_>) -> ObjectReference {
    let named = request.request_resource.as_ref().unwrap_or(&request.resource);
    let GroupVersionResource { group, version, resource } = named;
    let subresource = request.request_sub_resource.as_ref().unwrap_or(&request.sub_resource);
    let (new, old): (Object, Object) = (part(request.object), part(request.old_object));
    // The object of a subresource is another kind, for example the options of an exec.
    let (new, old) = (new.metadata, old.metadata);
    let first = |texts: [&str; 3]| {
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned()
    };
    ObjectReference {
        resource: resource.clone().into_owned(),
        namespace: request.namespace.clone().into_owned(),
        // The reviews of a deleted collection have no name.
        name: first([&request.name, &old.name, &new.name]),
        uid: first([&old.uid, &new.uid, ""]),
        api_group: group.clone().into_owned(),
        api_version: version.clone().into_owned(),
        resource_version: first([&old.resource_version, &new.resource_version, ""]),
        subresource: subresource.clone().into_owned(),
    }
}

/// The path and query of the request, as far as they are known.
fn uri(
    reference: &ObjectReference,
    operation: Operation,
    options: &Options,
    is_dry_run: bool,
) -> String {
    let ObjectReference { resource, namespace, name, api_group, api_version, subresource, .. } =
        reference;
    let mut uri = String::from(if api_group.is_empty() { "/api/" } else { "/apis/" });
    if !api_group.is_empty() {
        uri.extend([api_group, "/"]);
    }
    uri.push_str(api_version);
    let is_namespace = api_group.is_empty() && resource == "namespaces";
    if !namespace.is_empty() && !is_namespace {
        uri.extend(["/namespaces/", namespace]);
    }
    uri.extend(["/", resource]);
    if operation != Operation::Create || !subresource.is_empty() {
        uri.extend(["/", name]);
    }
    if !subresource.is_empty() {
        uri.extend(["/", subresource]);
    }
    let mut separator = '?';
    if is_dry_run {
        uri.push_str("?dryRun=All");
        separator = '&';
    }
    if !options.field_manager.is_empty() {
        uri.push(separator);
        uri.push_str("fieldManager=");
        encode(&options.field_manager, &mut uri);
    }
    uri
}

/// Percent-encodes a value of a query.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            to.push('%');
            to.push_str(&event::limit::hex(&[byte]).to_ascii_uppercase());
        }
    }
}

/// A part of a review; the default if it has another form.
fn part<'a, T: Deserialize<'a> + Default>(value: Option<&'a RawValue>) -> T {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

/// The JSON of an object, or its length and digest if it is nested too deeply; `None` without one.
fn json(value: Option<&RawValue>) -> Option<Json> {
    let text = value?.get();
    if text == "null" {
        return None;
    }
    let parsed = Json::parse(Bytes::copy_from_slice(text.as_bytes()));
    Some(parsed.unwrap_or_else(|_| cut_body(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::super::review::read;
    use super::*;
    use event::annotations::{SOURCE_CLUSTER, WITHHELD};

    fn event(request: &str) -> Event {
        let review = format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{request}}}"#
        );
        let request = read(review.as_bytes()).unwrap();
        let source = SourceStatus::new("admission-webhook-prod", "AdmissionWebhook", "prod");
        let operation = request.operation().unwrap();
        convert(&request, operation, (&source, Digest::default()), Timestamp::from_micros(7))
    }

    fn text(body: Option<&Json>) -> String {
        body.map(|body| String::from_utf8_lossy(body.as_bytes()).into_owned()).unwrap_or_default()
    }

    /// The review of a backup, with these members besides.
    fn backup(members: &str) -> String {
        format!(
            r#"{{"uid":"u-1","resource":{{"group":"velero.io","version":"v1","resource":"backups"}},"namespace":"shop","userInfo":{{"username":"alice","uid":"7","groups":["devs"],"extra":{{"k":["v"]}}}},{members}}}"#
        )
    }

    #[test]
    fn an_event_has_the_user_both_objects_and_the_mark_of_admission() {
        let request = backup(
            r#""operation":"UPDATE","name":"b","object":{"metadata":{"name":"b","uid":"o-1","resourceVersion":"9"},"spec":{"ttl":"1h"}},"oldObject":{"metadata":{"name":"b","uid":"o-1","resourceVersion":"8","managedFields":[{}]},"spec":{"ttl":"9h"}},"dryRun":false,"options":{"kind":"UpdateOptions","fieldManager":"kubectl edit"}"#,
        );
        let event = event(&request);
        assert_eq!((&*event.audit_id, &*event.verb), ("u-1", "update"));
        assert_eq!((event.stage, event.response_status), (Stage::RequestReceived, None));
        assert_eq!(event.response_object, None);
        assert_eq!(event.user.groups, ["devs"]);
        assert_eq!(event.user.extra["k"], ["v"]);
        let expected = "/apis/velero.io/v1/namespaces/shop/backups/b?fieldManager=kubectl%20edit";
        assert_eq!(event.request_uri, expected);
        let reference = event.object_ref.unwrap();
        assert_eq!((&*reference.uid, &*reference.resource_version), ("o-1", "8"));
        assert!(text(event.request_object.as_ref()).contains(r#""ttl":"1h""#));
        let expected =
            r#"{"metadata":{"name":"b","uid":"o-1","resourceVersion":"8"},"spec":{"ttl":"9h"}}"#;
        assert_eq!(event.annotations[OLD_OBJECT], expected);
        assert!(event.annotations.contains_key(ADMISSION));
        assert_eq!(event.annotations[SOURCE_CLUSTER], "prod");
    }

    #[test]
    fn the_request_counts_as_the_client_sent_it() {
        let request = backup(
            r#""operation":"CREATE","name":"b","requestResource":{"group":"velero.io","version":"v2","resource":"backups"},"requestSubResource":"status","subResource":"other","object":null"#,
        );
        let event = event(&request);
        let reference = event.object_ref.unwrap();
        assert_eq!((&*reference.api_version, &*reference.subresource), ("v2", "status"));
        assert_eq!(event.request_uri, "/apis/velero.io/v2/namespaces/shop/backups/b/status");
    }

    #[test]
    fn an_object_of_a_deleted_collection_has_the_name_of_its_last_state() {
        let request = backup(
            r#""operation":"DELETE","object":null,"oldObject":{"metadata":{"name":"b-7"}},"options":{"kind":"DeleteOptions","propagationPolicy":"Orphan"}"#,
        );
        let event = event(&request);
        assert_eq!(event.object_ref.unwrap().name, "b-7");
        assert_eq!(event.request_uri, "/apis/velero.io/v1/namespaces/shop/backups/b-7");
        assert!(text(event.request_object.as_ref()).contains("propagationPolicy"));
    }

    /// Rules read it from the options of a deletion, and from the path of other requests.
    #[test]
    fn a_dry_run_is_marked_where_rules_look_for_it() {
        for (members, in_path, body) in [
            (r#""operation":"CREATE","dryRun":true,"object":{"a":1}"#, true, r#"{"a":1}"#),
            (
                r#""operation":"DELETE","name":"b","dryRun":true,"options":{"dryRun":["All"]}"#,
                true,
                r#"{"dryRun":["All"]}"#,
            ),
            (r#""operation":"DELETE","name":"b","dryRun":true,"options":{}"#, true, ""),
            (r#""operation":"DELETE","name":"b","dryRun":false,"options":{}"#, false, "{}"),
        ] {
            let event = event(&backup(members));
            assert_eq!(event.request_uri.ends_with("?dryRun=All"), in_path, "{members}");
            assert_eq!(text(event.request_object.as_ref()), body, "{members}");
        }
    }

    #[test]
    fn keys_of_both_objects_are_withheld() {
        let secret = r#"{"kind":"Secret","metadata":{"name":"s","annotations":{"a":"HUSH"}},"data":{"key":"HUSH"}}"#;
        let request = format!(
            r#"{{"uid":"u","operation":"UPDATE","resource":{{"group":"","version":"v1","resource":"secrets"}},"namespace":"n","name":"s","object":{secret},"oldObject":{secret},"userInfo":{{}}}}"#
        );
        let event = event(&request);
        assert!(!format!("{event:?}").contains("HUSH"), "{event:?}");
        assert_eq!(event.annotations[OLD_OBJECT], r#"{"kind":"Secret","metadata":{"name":"s"}}"#);
        assert!(event.annotations[WITHHELD].contains("oldObject: "));
        assert_eq!(event.request_uri, "/api/v1/namespaces/n/secrets/s");
    }

    /// Regression: they vanished without a mark.
    #[test]
    fn objects_that_are_nested_too_deeply_are_replaced_by_their_length_and_digest() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
        let named = format!(r#"{{"metadata":{{"name":"b"}},"spec":{deep}}}"#);
        let members = format!(r#""operation":"UPDATE","object":{named},"oldObject":{named}"#);
        let event = event(&backup(&members));
        let expected = text(Some(&cut_body(named.as_bytes())));
        assert!(expected.contains(&format!(r#""bytes":{}"#, named.len())), "{expected}");
        assert_eq!(text(event.request_object.as_ref()), expected);
        assert_eq!(event.annotations[OLD_OBJECT], expected);
        assert_eq!(event.object_ref.unwrap().name, "b");
    }

    #[test]
    fn a_long_object_before_is_replaced_by_its_length_and_digest() {
        let long = "x".repeat(OLD_OBJECT_BYTES_MAX);
        let request = backup(&format!(r#""operation":"DELETE","oldObject":{{"a":"{long}"}}"#));
        let event = event(&request);
        assert!(event.annotations[OLD_OBJECT].starts_with(r#"{"keepwatch.io/cut":{"bytes":"#));
    }
}
