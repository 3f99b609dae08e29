//! The fields of an event, one by one, as they lie in the record: nothing is copied.
//!
//! For code that asks an event a few questions, such as the detector and the index. Bodies are handed
//! out as JSON text. Deliberately absent: paths and conditions (crate `detect`).

use std::ops::ControlFlow;

use crate::head::{List, Map, Text};
use crate::view::{Outcome, Reference, User};
use crate::{Level, Stage, Timestamp, View};

impl<'a> View<'a> {
    /// How much of the request is recorded.
    pub fn level(&self) -> Level {
        self.head.level
    }

    /// One per request, the same in all its stages.
    pub fn audit_id(&self) -> &'a str {
        self.head.audit_id.as_str()
    }

    /// The point in the request's life at which the event was made.
    pub fn stage(&self) -> Stage {
        self.head.stage
    }

    /// Path and query as the client sent them.
    pub fn request_uri(&self) -> &'a str {
        self.head.request_uri.as_str()
    }

    /// Kubernetes verb of a resource request, HTTP method in lower case otherwise.
    pub fn verb(&self) -> &'a str {
        self.head.verb.as_str()
    }

    /// Who asked.
    pub fn user(&self) -> UserFields<'_, 'a> {
        UserFields(&self.head.user)
    }

    /// Whom the user asked to be taken for.
    pub fn impersonated_user(&self) -> Option<UserFields<'_, 'a>> {
        self.head.impersonated_user.as_ref().map(UserFields)
    }

    /// The constraint under which an impersonation was allowed.
    pub fn impersonation_constraint(&self) -> Option<&'a str> {
        self.head.authentication_metadata.as_ref().map(|it| it.impersonation_constraint.as_str())
    }

    /// Calls `take` with each address that the request came from, in the order of the event, until it
    /// breaks.
    pub fn for_each_source_ip(&self, take: impl FnMut(&'a str) -> ControlFlow<()>) {
        each(&self.head.source_ips, take);
    }

    /// As sent, cut.
    pub fn user_agent(&self) -> &'a str {
        self.head.user_agent.as_str()
    }

    /// What a resource request is about.
    pub fn object_ref(&self) -> Option<ObjectRefFields<'a>> {
        self.head.object_ref.as_ref().map(ObjectRefFields::of)
    }

    /// How the request ended.
    pub fn response_status(&self) -> Option<StatusFields<'_, 'a>> {
        self.head.response_status.as_ref().map(StatusFields)
    }

    /// JSON text of the request's body, if it is recorded.
    pub fn request_object(&self) -> Option<&[u8]> {
        self.request_object.as_deref()
    }

    /// JSON text of the response's body, if it is recorded.
    pub fn response_object(&self) -> Option<&[u8]> {
        self.response_object.as_deref()
    }

    /// When the server first saw the request.
    pub fn request_received_timestamp(&self) -> Timestamp {
        self.head.request_received_timestamp
    }

    /// When the request reached its stage.
    pub fn stage_timestamp(&self) -> Timestamp {
        self.head.stage_timestamp
    }

    /// The annotation of that key.
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        find(&self.head.annotations, key).map(Text::as_str)
    }

    /// Calls `take` with the key and the value of each annotation.
    pub fn for_each_annotation(&self, mut take: impl FnMut(&'a str, &'a str)) {
        self.head.annotations.for_each(|(key, value)| take(key.as_str(), value.as_str()));
    }
}

/// A user of an event.
#[derive(Clone, Copy)]
pub struct UserFields<'v, 'a>(&'v User<'a>);

impl<'a> UserFields<'_, 'a> {
    /// Name, unique among the users of the moment.
    pub fn username(&self) -> &'a str {
        self.0.username.as_str()
    }

    /// Identity that stays when a name is given again.
    pub fn uid(&self) -> &'a str {
        self.0.uid.as_str()
    }

    /// Calls `take` with each group, in the order of the event, until it breaks.
    pub fn for_each_group(&self, take: impl FnMut(&'a str) -> ControlFlow<()>) {
        each(&self.0.groups, take);
    }

    /// Calls `take` with each value of that key of `extra`, until it breaks.
    pub fn for_each_extra(&self, key: &str, take: impl FnMut(&'a str) -> ControlFlow<()>) {
        if let Some(values) = find(&self.0.extra, key) {
            each(&values, take);
        }
    }

    /// Namespace and name, if the user is a service account.
    pub fn service_account(&self) -> Option<(&'a str, &'a str)> {
        self.username().strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// What a request is about; a text that is not there is empty.
#[derive(Clone, Copy, Debug)]
pub struct ObjectRefFields<'a> {
    /// Plural name of the resource.
    pub resource: &'a str,
    /// Empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// Empty for lists.
    pub name: &'a str,
    /// Identity of the object.
    pub uid: &'a str,
    /// Empty for the core group.
    pub api_group: &'a str,
    /// Version without the group.
    pub api_version: &'a str,
    /// Of the object.
    pub resource_version: &'a str,
    /// Such as `status`.
    pub subresource: &'a str,
}

impl<'a> ObjectRefFields<'a> {
    fn of(reference: &Reference<'a>) -> Self {
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

/// How a request ended; a text that is not there is empty.
#[derive(Clone, Copy)]
pub struct StatusFields<'v, 'a>(&'v Outcome<'a>);

impl<'a> StatusFields<'_, 'a> {
    /// HTTP status code; 0 when there is none.
    pub fn code(&self) -> u16 {
        self.0.code
    }

    /// `Success` or `Failure`.
    pub fn status(&self) -> &'a str {
        self.0.status.as_str()
    }

    /// For people.
    pub fn message(&self) -> &'a str {
        self.0.message.as_str()
    }

    /// For programs, such as `NotFound`.
    pub fn reason(&self) -> &'a str {
        self.0.reason.as_str()
    }

    /// Name, group, kind and uid of the object that the details are about.
    pub fn details(&self) -> Option<[&'a str; 4]> {
        let details = self.0.details.as_ref()?;
        Some([details.name, details.group, details.kind, details.uid].map(Text::as_str))
    }

    /// When trying again makes sense, in seconds; 0 when nothing is said.
    pub fn retry_after_seconds(&self) -> u32 {
        self.0.details.as_ref().map_or(0, |details| details.retry_after_seconds)
    }

    /// Calls `take` with reason, message and field of each cause.
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

fn find<'a, T: crate::head::Part<'a>>(map: &Map<'a, T>, key: &str) -> Option<T> {
    let mut found = None;
    map.for_each(|(name, value)| {
        if name.is(key) {
            found = Some(value);
        }
    });
    found
}
