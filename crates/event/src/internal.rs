//! Internal events: those that Keepwatch generates about itself, without a request.
//!
//! The message of their lines names the verb and the resource, as for requests. No client can forge
//! them: a request has a URI, and kube-apiserver authenticates no client with this user name.

use crate::event_ref::EventFields;
use crate::{Event, EventRef, ObjectReference, Stage, Timestamp, UserInfo};

/// The user name in internal events, and in events of changes that the server makes itself.
pub const USER: &str = "system:keepwatch";
/// The API group of the resources in these events.
const GROUP: &str = "siem.keepwatch.io";
/// The API version of the resources in these events.
const VERSION: &str = "v1alpha1";
/// The resource of events about the journal: heartbeats and gaps.
const JOURNAL: &str = "journal";
/// The resource of events about a reader's cursor.
const CURSORS: &str = "cursors";
/// The resource of events about a source of events.
const SOURCES: &str = "eventsources";

/// The user name prefixes of Kubernetes' own components, and of the controller of a server without a
/// cluster.
const COMPONENTS: [&str; 4] = [
    "system:aggregator",
    "system:kube-",
    "system:serviceaccount:kube-system:",
    "system:serviceaccount:keepwatch:controller",
];
/// K10's own account, which watches actions all the time, also in a server without a cluster.
const K10: &str = "system:serviceaccount:kasten-io:k10-k10";

/// The kind of an internal event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InternalEvent {
    /// The server is alive. The event contains the progress of its destinations.
    Heartbeat,
    /// Records are missing, cannot be read, or were never written.
    Gap,
    /// An operator skipped records for a reader.
    Skip,
    /// An operator moved a reader's cursor back.
    Rewind,
    /// A reader is no longer configured, or has no destination: no records are retained for it.
    Release,
    /// A released reader delivers again.
    Resume,
    /// A source sent text that is not an event. The event contains its beginning.
    Quarantine,
    /// A source delivered events since the last event of this kind.
    Receipt,
}

impl InternalEvent {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Heartbeat,
        Self::Gap,
        Self::Skip,
        Self::Rewind,
        Self::Release,
        Self::Resume,
        Self::Quarantine,
        Self::Receipt,
    ];

    /// The verb of the event.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Gap => "gap",
            Self::Skip => "skip",
            Self::Rewind => "rewind",
            Self::Release => "release",
            Self::Resume => "resume",
            Self::Quarantine => "quarantine",
            Self::Receipt => "receive",
        }
    }

    /// The resource of the event.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Heartbeat | Self::Gap => JOURNAL,
            Self::Skip | Self::Rewind | Self::Release | Self::Resume => CURSORS,
            Self::Quarantine | Self::Receipt => SOURCES,
        }
    }

    /// Create the event, without annotations. `name` is the name of the object, if it has one.
    pub fn event(self, stage: Stage, name: &str, time: Timestamp) -> Event {
        let reference = ObjectReference {
            resource: self.resource().to_owned(),
            name: name.to_owned(),
            api_group: GROUP.to_owned(),
            api_version: VERSION.to_owned(),
            ..ObjectReference::default()
        };
        Event {
            user: UserInfo { username: USER.to_owned(), ..UserInfo::default() },
            // A heartbeat has no object, so that no rule matches it as an activity.
            object_ref: (self != Self::Heartbeat).then_some(reference),
            ..Event::internal(stage, self.verb(), time)
        }
    }

    /// The kind of an event; `None` if it is not an internal event.
    pub(crate) fn from_fields(fields: &EventFields<'_>) -> Option<Self> {
        let (uri, user, verb) = (fields.request_uri, fields.user.username, fields.verb);
        Self::of(uri.as_bytes(), user.as_bytes(), verb.as_bytes())
    }

    fn of(request_uri: &[u8], username: &[u8], verb: &[u8]) -> Option<Self> {
        if !request_uri.is_empty() || username != USER.as_bytes() {
            return None;
        }
        Self::ALL.into_iter().find(|kind| kind.verb().as_bytes() == verb)
    }
}

impl Event {
    /// The kind of the internal event; `None` for events of requests.
    pub fn internal_kind(&self) -> Option<InternalEvent> {
        let username = self.user.username.as_bytes();
        InternalEvent::of(self.request_uri.as_bytes(), username, self.verb.as_bytes())
    }
}

impl EventRef<'_> {
    /// The kind of the internal event; `None` for events of requests.
    pub fn internal(&self) -> Option<InternalEvent> {
        InternalEvent::from_fields(&self.fields)
    }

    /// Whether this is a request that an idle cluster makes continuously: a list or a watch by
    /// Kubernetes' own components, a watch by K10, or a read of discovery, OpenAPI or health. It is
    /// not, if it was refused.
    pub fn is_routine_read(&self) -> bool {
        let EventFields { verb, user, impersonated_user, response_status, .. } = &self.fields;
        let (name, is_watch) = (user.username.as_bytes(), verb.equals("watch"));
        let is_component = COMPONENTS.iter().any(|start| name.starts_with(start.as_bytes()))
            || (is_watch && name == K10.as_bytes());
        let is_collection_read = is_component && (is_watch || verb.equals("list"));
        let is_refused = response_status.as_ref().is_some_and(|status| status.code >= 400);
        (is_collection_read || self.is_discovery()) && impersonated_user.is_none() && !is_refused
    }

    /// Whether this is a read of a path without a resource.
    fn is_discovery(&self) -> bool {
        let EventFields { verb, request_uri, object_ref, .. } = &self.fields;
        verb.equals("get") && object_ref.is_none() && !request_uri.as_bytes().is_empty()
    }

    /// Whether the request deletes objects, successfully or not.
    pub fn is_deletion(&self) -> bool {
        self.fields.verb.equals("delete") || self.fields.verb.equals("deletecollection")
    }
}
