//! Google Kubernetes Engine: entries of Cloud Logging, whose `protoPayload` is mapped to an event.
//!
//! Google's record has no group, UID or extra field of the user, no query of the request, and one
//! time. The level is derived from the bodies that are there. Custom resources have none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use event::{
    Event, EventRef, Json, Level, ObjectReference, Stage, Status, Timestamp, UserInfo, v1,
};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::unwrap::Leaf;

/// The service whose audit records are those of a cluster's API server.
const SERVICE: &str = "k8s.io";
/// The type of a status as the body of a response.
const STATUS_TYPE: &str = "core.k8s.io/v1.Status";
/// The member that names the type of a body.
const TYPE: &str = "@type";
/// Kubernetes' annotation with the decision of the authorizer.
const DECISION: &str = "authorization.k8s.io/decision";
/// Subresources of namespaces, whose paths resemble those of objects in one.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];
/// The number of parts of the method of a request that is not about a resource: `io.k8s.get`.
const NON_RESOURCE_PARTS: usize = 3;

/// gRPC's codes, each with the HTTP status code of Kubernetes.
const CODES: [(i32, u16); 10] = [
    (3, 400),
    (4, 504),
    (5, 404),
    (6, 409),
    (7, 403),
    (8, 429),
    (9, 422),
    (10, 409),
    (13, 500),
    (14, 503),
];
/// gRPC's code of a request without valid credentials.
const UNAUTHENTICATED: (i32, u16) = (16, 401);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    insert_id: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    labels: BTreeMap<String, String>,
    operation: Operation<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Operation<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    first: bool,
    last: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow)]
    service_name: Cow<'a, str>,
    #[serde(borrow)]
    method_name: Cow<'a, str>,
    #[serde(borrow)]
    resource_name: Cow<'a, str>,
    authentication_info: Authentication,
    authorization_info: Vec<Authorization>,
    request_metadata: RequestMetadata,
    status: RpcStatus,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Authentication {
    principal_email: String,
    authority_selector: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Authorization {
    granted: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RequestMetadata {
    caller_ip: String,
    caller_supplied_user_agent: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RpcStatus {
    code: i32,
    message: String,
}

/// The members of a response that is a status.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Response<'a> {
    #[serde(borrow, rename = "@type")]
    kind: Cow<'a, str>,
    code: u16,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

/// The members of an object, in their order.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// What an entry with a `protoPayload` is.
pub(super) fn leaf(text: &[u8], payload: &str) -> Leaf {
    let Ok(payload) = serde_json::from_str::<Payload<'_>>(payload) else {
        return Leaf::Unknown("its protoPayload has members of another type".to_owned());
    };
    if payload.service_name != SERVICE {
        return Leaf::Other;
    }
    let Ok(entry) = serde_json::from_slice::<Entry<'_>>(text) else {
        return Leaf::Unknown("the entry has members of another type".to_owned());
    };
    match event(&entry, &payload) {
        Ok(event) => {
            let mut line = Vec::new();
            v1::write(&EventRef::from(&event), &mut line);
            Leaf::Event(line)
        }
        Err(reason) => Leaf::Unknown(reason.to_owned()),
    }
}

fn event(entry: &Entry<'_>, payload: &Payload<'_>) -> Result<Event, &'static str> {
    let parts: Vec<&str> = payload.method_name.split('.').collect();
    let verb = parts.last().copied().filter(|verb| !verb.is_empty());
    let verb = verb.ok_or("its methodName has no verb")?;
    let time = Timestamp::parse(&entry.timestamp).map_err(|_| "its timestamp is not valid")?;
    let is_resource = parts.len() > NON_RESOURCE_PARTS;
    let Operation { id, first, last } = &entry.operation;
    let stage = if *first && !*last { Stage::ResponseStarted } else { Stage::ResponseComplete };
    let mut event = Event::internal(stage, verb, time);
    event.audit_id = if id.is_empty() { &entry.insert_id } else { id }.clone().into_owned();
    if is_resource {
        let object = object_ref(&payload.resource_name);
        event.object_ref = Some(object.ok_or("its resourceName is not the path of an object")?);
    } else {
        event.request_uri = format!("/{}", payload.resource_name.trim_start_matches('/'));
    }
    let named = |name: &str| UserInfo { username: name.to_owned(), ..UserInfo::default() };
    let Authentication { principal_email, authority_selector } = &payload.authentication_info;
    event.user = named(principal_email);
    event.impersonated_user = (!authority_selector.is_empty()).then(|| named(authority_selector));
    let RequestMetadata { caller_ip, caller_supplied_user_agent } = &payload.request_metadata;
    event.source_ips = Some(caller_ip.clone()).filter(|ip| !ip.is_empty()).into_iter().collect();
    event.user_agent.clone_from(caller_supplied_user_agent);
    event.response_status = Some(status(payload, verb));
    event.request_object = payload.request.and_then(body);
    event.response_object = payload.response.and_then(body);
    event.level = match (&event.request_object, &event.response_object) {
        (_, Some(_)) => Level::RequestResponse,
        (Some(_), None) => Level::Request,
        (None, None) => Level::Metadata,
    };
    event.annotations.clone_from(&entry.labels);
    if !payload.authorization_info.is_empty() {
        let is_granted = payload.authorization_info.iter().all(|info| info.granted);
        let decision = if is_granted { "allow" } else { "forbid" };
        event.annotations.entry(DECISION.to_owned()).or_insert_with(|| decision.to_owned());
    }
    Ok(event)
}

/// The object of a path such as `velero.io/v1/namespaces/shop/backups/nightly/status`.
fn object_ref(path: &str) -> Option<ObjectReference> {
    let (group, rest) = path.split_once('/')?;
    let (version, rest) = rest.split_once('/')?;
    let parts: Vec<&str> = rest.split('/').collect();
    let (namespace, resource, rest) = match parts.as_slice() {
        ["namespaces", name, subresource] if NAMESPACE_SUBRESOURCES.contains(subresource) => {
            (*name, "namespaces", vec![*name, *subresource])
        }
        ["namespaces", namespace, resource, rest @ ..] => (*namespace, *resource, rest.to_vec()),
        ["namespaces", name] => (*name, "namespaces", vec![*name]),
        [resource, rest @ ..] => ("", *resource, rest.to_vec()),
        [] => return None,
    };
    let (name, subresource) = rest.split_first().map_or(("", &[] as &[&str]), |(n, s)| (*n, s));
    Some(ObjectReference {
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        api_group: if group == "core" { String::new() } else { group.to_owned() },
        api_version: version.to_owned(),
        subresource: subresource.join("/"),
        ..ObjectReference::default()
    })
}

fn status(payload: &Payload<'_>, verb: &str) -> Status {
    let RpcStatus { code: rpc, message } = &payload.status;
    let response: Response<'_> = payload
        .response
        .and_then(|response| serde_json::from_str(response.get()).ok())
        .filter(|response: &Response<'_>| response.kind == STATUS_TYPE)
        .unwrap_or_default();
    let known = CODES.into_iter().chain([UNAUTHENTICATED]).find(|(code, _)| code == rpc);
    let code = match (response.code, rpc) {
        (0, 0) if verb == "create" => 201,
        (0, 0) => 200,
        // Another error of gRPC.
        (0, _) => known.map_or(500, |(_, code)| code),
        (code, _) => code,
    };
    let status = if code >= 400 { "Failure" } else { "" };
    let (message, reason) = (message.clone(), response.reason.into_owned());
    Status { status: status.to_owned(), message, reason, code, ..Status::default() }
}

/// A body without the member that names its type; `None` for one that is not an object.
fn body(body: &RawValue) -> Option<Json> {
    let Members(members) = serde_json::from_str(body.get()).ok()?;
    let mut text = b"{".to_vec();
    for (key, value) in members.iter().filter(|(key, _)| key != TYPE) {
        if text.len() > 1 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, key).ok()?;
        text.push(b':');
        text.extend_from_slice(value.get().as_bytes());
    }
    text.push(b'}');
    Json::parse(Bytes::from(text)).ok()
}
