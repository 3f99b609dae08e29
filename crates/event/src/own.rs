//! Events that Keepwatch records about itself: no request made them.
//!
//! Lines say what they are in the message, as they do of requests. No client can make such an event:
//! a request has a URI, and kube-apiserver authenticates no client under that user's name.

use crate::view::Head;
use crate::{Event, ObjectReference, Stage, Timestamp, UserInfo, View};

/// Who is named in events of our own, and in those of what the server does by itself.
pub const USER: &str = "system:keepwatch";
/// The group of what they are about.
const GROUP: &str = "siem.keepwatch.io";
/// Its version.
const VERSION: &str = "v1alpha1";
/// What became of the journal: a sign of life, or records that are missing.
const JOURNAL: &str = "journal";
/// What became of the place of one of its readers.
const CURSORS: &str = "cursors";

/// How the users of Kubernetes' own components begin.
const COMPONENTS: [&str; 2] = ["system:kube-", "system:serviceaccount:kube-system:"];

/// What such an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnEvent {
    /// The server lives, and its destinations are so far.
    Heartbeat,
    /// Records are missing, cannot be read, or were never made.
    Gap,
    /// An operator discarded records for a reader.
    Skip,
    /// An operator wants records again for a reader.
    Rewind,
    /// A reader is not configured any more, or has nowhere to deliver: nothing is held for it.
    Release,
    /// A reader that was released delivers again.
    Resume,
}

impl OwnEvent {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Heartbeat, Self::Gap, Self::Skip, Self::Rewind, Self::Release, Self::Resume];

    /// The event's verb.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Gap => "gap",
            Self::Skip => "skip",
            Self::Rewind => "rewind",
            Self::Release => "release",
            Self::Resume => "resume",
        }
    }

    /// What it is about, as lines name a resource.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Heartbeat | Self::Gap => JOURNAL,
            Self::Skip | Self::Rewind | Self::Release | Self::Resume => CURSORS,
        }
    }

    /// The event, without the details. `name` is what it is about, if that has a name.
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
            // A heartbeat is about no object, so that no rule takes it for an act.
            object_ref: (self != Self::Heartbeat).then_some(reference),
            ..Event::without_request(stage, self.verb(), time)
        }
    }

    /// Which of them an event is.
    pub(crate) fn of(head: &Head<'_>) -> Option<Self> {
        if !head.request_uri.is_empty() || !head.user.username.is(USER) {
            return None;
        }
        Self::ALL.into_iter().find(|one| head.verb.is(one.verb()))
    }
}

impl View<'_> {
    /// Which event of our own it is, if it is one.
    pub fn own(&self) -> Option<OwnEvent> {
        OwnEvent::of(&self.head)
    }

    /// Whether Kubernetes' own components looked at what there is, as they do all the time.
    pub fn is_routine_read(&self) -> bool {
        let Head { verb, user, impersonated_user, response_status, .. } = &self.head;
        let is_component =
            COMPONENTS.iter().any(|start| user.username.as_bytes().starts_with(start.as_bytes()));
        let is_refused = response_status.as_ref().is_some_and(|status| status.code >= 400);
        (verb.is("list") || verb.is("watch"))
            && is_component
            && impersonated_user.is_none()
            && !is_refused
    }

    /// Whether it removes something, or tries to.
    pub fn is_deletion(&self) -> bool {
        self.head.verb.is("delete") || self.head.verb.is("deletecollection")
    }
}
