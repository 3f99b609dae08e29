//! The fields of an event, borrowed from the record without copying.
//!
//! For code that needs a few fields of an event, for example the detector and the index. Bodies are
//! returned as JSON text. Deliberately absent: field paths and conditions (crate `detect`).

use std::ops::ControlFlow;

use crate::event_ref::{ObjectRef, StatusRef, UserRef};
use crate::field_codec::{List, Map, Text};
use crate::{EventRef, Level, Stage, Timestamp};

impl<'a> EventRef<'a> {
    /// The level of detail.
    pub fn level(&self) -> Level {
        self.fields.level
    }

    /// The ID of the request, the same in all its stages.
    pub fn audit_id(&self) -> &'a str {
        self.fields.audit_id.as_str()
    }

    /// The stage of the request at which the event was generated.
    pub fn stage(&self) -> Stage {
        self.fields.stage
    }

    /// The path and query as the client sent them.
    pub fn request_uri(&self) -> &'a str {
        self.fields.request_uri.as_str()
    }

    /// The Kubernetes verb of a resource request; otherwise the HTTP method in lower case.
    pub fn verb(&self) -> &'a str {
        self.fields.verb.as_str()
    }

    /// The authenticated user.
    pub fn user(&self) -> UserFields<'_, 'a> {
        UserFields(&self.fields.user)
    }

    /// The impersonated user, if any.
    pub fn impersonated_user(&self) -> Option<UserFields<'_, 'a>> {
        self.fields.impersonated_user.as_ref().map(UserFields)
    }

    /// The constraint under which an impersonation was allowed.
    pub fn impersonation_constraint(&self) -> Option<&'a str> {
        self.fields
            .authentication_metadata
            .as_ref()
            .map(|metadata| metadata.impersonation_constraint.as_str())
    }

    /// Call `take` with each address from which the request came, in the order of the event, until
    /// it breaks.
    pub fn for_each_source_ip(&self, take: impl FnMut(&'a str) -> ControlFlow<()>) {
        each(&self.fields.source_ips, take);
    }

    /// The user agent as the client sent it, possibly truncated.
    pub fn user_agent(&self) -> &'a str {
        self.fields.user_agent.as_str()
    }

    /// The object of a resource request.
    pub fn object_ref(&self) -> Option<ObjectRefFields<'a>> {
        self.fields.object_ref.as_ref().map(ObjectRefFields::from_reference)
    }

    /// The status of the response.
    pub fn response_status(&self) -> Option<StatusFields<'_, 'a>> {
        self.fields.response_status.as_ref().map(StatusFields)
    }

    /// The JSON text of the request body, if it is recorded.
    pub fn request_object(&self) -> Option<&[u8]> {
        self.request_object.as_deref()
    }

    /// The JSON text of the response body, if it is recorded.
    pub fn response_object(&self) -> Option<&[u8]> {
        self.response_object.as_deref()
    }

    /// The time at which the request reached the server.
    pub fn request_received_timestamp(&self) -> Timestamp {
        self.fields.request_received_timestamp
    }

    /// The time at which the request reached its stage.
    pub fn stage_timestamp(&self) -> Timestamp {
        self.fields.stage_timestamp
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        find(&self.fields.annotations, key).map(Text::as_str)
    }

    /// Call `take` with the key and the value of each annotation.
    pub fn for_each_annotation(&self, mut take: impl FnMut(&'a str, &'a str)) {
        self.fields.annotations.for_each(|(key, value)| take(key.as_str(), value.as_str()));
    }
}

/// The fields of a user.
#[derive(Clone, Copy)]
pub struct UserFields<'v, 'a>(&'v UserRef<'a>);

impl<'a> UserFields<'_, 'a> {
    /// The name, unique among all active users.
    pub fn username(&self) -> &'a str {
        self.0.username.as_str()
    }

    /// An identifier that stays unique over time, even if a name is reused.
    pub fn uid(&self) -> &'a str {
        self.0.uid.as_str()
    }

    /// Call `take` with each group, in the order of the event, until it breaks.
    pub fn for_each_group(&self, take: impl FnMut(&'a str) -> ControlFlow<()>) {
        each(&self.0.groups, take);
    }

    /// Call `take` with each value of a key of `extra`, until it breaks.
    pub fn for_each_extra(&self, key: &str, take: impl FnMut(&'a str) -> ControlFlow<()>) {
        if let Some(values) = find(&self.0.extra, key) {
            each(&values, take);
        }
    }

    /// The namespace and name of the service account, if the user is one.
    pub fn service_account(&self) -> Option<(&'a str, &'a str)> {
        service_account(self.username())
    }
}

/// The namespace and name of the service account that a user name denotes; `None` if it denotes none. As in
/// `SplitUsername` of k8s.io/apiserver/pkg/authentication/serviceaccount, both must be valid names.
pub fn service_account(username: &str) -> Option<(&str, &str)> {
    const NAMESPACE_LEN_MAX: usize = 63;
    const NAME_LEN_MAX: usize = 253;
    let is_label = |text: &str| {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !text.is_empty()
            && text.chars().all(is_inner)
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let is_valid = namespace.len() <= NAMESPACE_LEN_MAX
        && is_label(namespace)
        && name.len() <= NAME_LEN_MAX
        && name.split('.').all(is_label);
    is_valid.then_some((namespace, name))
}

/// The object of a request. Missing fields are empty.
#[derive(Clone, Copy, Debug)]
pub struct ObjectRefFields<'a> {
    /// The plural name of the resource.
    pub resource: &'a str,
    /// The namespace; empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// The name; empty for lists.
    pub name: &'a str,
    /// The UID of the object.
    pub uid: &'a str,
    /// The API group; empty for the core group.
    pub api_group: &'a str,
    /// The API version, without the group.
    pub api_version: &'a str,
    /// The resource version of the object.
    pub resource_version: &'a str,
    /// The subresource, for example `status`.
    pub subresource: &'a str,
}

impl<'a> ObjectRefFields<'a> {
    fn from_reference(reference: &ObjectRef<'a>) -> Self {
        Self {
            resource: reference.resource.as_str(),
            namespace: reference.namespace.as_str(),
            name: reference.name.as_str(),
            uid: reference.uid.as_str(),
            api_group: reference.api_group.as_str(),
            api_version: reference.api_version.as_str(),
            resource_version: reference.resource_version.as_str(),
            subresource: reference.subresource.as_str(),
        }
    }
}

/// The status of a response. Missing fields are empty.
#[derive(Clone, Copy)]
pub struct StatusFields<'v, 'a>(&'v StatusRef<'a>);

impl<'a> StatusFields<'_, 'a> {
    /// The HTTP status code; 0 if there is none.
    pub fn code(&self) -> u16 {
        self.0.code
    }

    /// The outcome: `Success` or `Failure`; empty in events of ordinary successes.
    pub fn status(&self) -> &'a str {
        self.0.status.as_str()
    }

    /// The message, meant for people.
    pub fn message(&self) -> &'a str {
        self.0.message.as_str()
    }

    /// The reason, meant for programs, for example `NotFound`.
    pub fn reason(&self) -> &'a str {
        self.0.reason.as_str()
    }

    /// Name, group, kind and UID of the object that the details describe.
    pub fn details(&self) -> Option<[&'a str; 4]> {
        let details = self.0.details.as_ref()?;
        Some([details.name, details.group, details.kind, details.uid].map(Text::as_str))
    }

    /// The delay after which a retry makes sense, in seconds; 0 if it is not set.
    pub fn retry_after_seconds(&self) -> u32 {
        self.0.details.as_ref().map_or(0, |details| details.retry_after_seconds)
    }

    /// Call `take` with the reason, message and field of each cause.
    pub fn for_each_cause(&self, mut take: impl FnMut([&'a str; 3])) {
        if let Some(details) = &self.0.details {
            details.causes.for_each(|cause| {
                take([cause.reason, cause.message, cause.field].map(Text::as_str));
            });
        }
    }
}

fn each<'a>(list: &List<'a, Text<'a>>, mut take: impl FnMut(&'a str) -> ControlFlow<()>) {
    let mut is_over = false;
    list.for_each(|text| is_over = is_over || take(text.as_str()).is_break());
}

pub(crate) fn find<'a, T: crate::field_codec::Field<'a>>(map: &Map<'a, T>, key: &str) -> Option<T> {
    let mut last = None;
    map.for_each(|(name, value)| {
        if name.equals(key) {
            last = Some(value);
        }
    });
    last
}
