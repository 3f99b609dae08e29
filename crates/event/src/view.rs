//! A borrowed event: reads an event from a journal record without copying it.
//!
//! Code that writes lines for a million records copies nothing but the lines, because a [`View`]
//! borrows from the record. [`View::of`] validates the whole record, so later accesses cannot fail.
//! A view can also borrow from an [`Event`], so that each encoding has only one implementation.
//!
//! A view is immutable; convert it to an [`Event`] to change it.

use std::borrow::Cow;

use bytes::Bytes;

use crate::head::{List, Map, Part, Text};
use crate::record::{self, Parts, ReadError};
use crate::{
    AuthenticationMetadata, Event, Json, Level, ObjectReference, Stage, Status, StatusCause,
    StatusDetails, Timestamp, UserInfo,
};

/// An event that borrows its texts and bodies.
pub struct View<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) request_object: Option<Cow<'a, [u8]>>,
    pub(crate) response_object: Option<Cow<'a, [u8]>>,
    /// The sequence number in the journal, if the lines should contain it.
    pub(crate) seq: Option<u64>,
}

impl<'a> View<'a> {
    /// Read the event of a record. Only compressed bodies are copied.
    pub fn of(record: &'a [u8]) -> Result<Self, ReadError> {
        let Parts { head, request_object, response_object } = record::parts(record)?;
        Ok(Self { request_object, response_object, ..Self::of_head::<true>(head)? })
    }

    /// Read the event of a record without its bodies and without validation, for code that scans
    /// many events and reads the relevant ones again. A text that is not UTF-8 is empty here.
    pub fn without_bodies(record: &'a [u8]) -> Result<Self, ReadError> {
        Self::of_head::<false>(record::head(record)?)
    }

    fn of_head<const CHECKED: bool>(mut rest: &'a [u8]) -> Result<Self, ReadError> {
        match Head::read::<CHECKED>(&mut rest) {
            Some(head) if rest.is_empty() => {
                Ok(Self { head, request_object: None, response_object: None, seq: None })
            }
            _ => Err(ReadError::Shape("its head cannot be read")),
        }
    }

    /// Set the sequence number in the journal, which no client can choose.
    #[must_use]
    pub fn numbered(self, seq: u64) -> Self {
        Self { seq: Some(seq), ..self }
    }

    /// Set the sequence number of this view on another one.
    #[must_use]
    pub fn numbering<'b>(&self, other: View<'b>) -> View<'b> {
        View { seq: self.seq, ..other }
    }

    /// The bytes of both bodies.
    pub(crate) fn body_bytes(&self) -> usize {
        [&self.request_object, &self.response_object].into_iter().flatten().map(|it| it.len()).sum()
    }
}

impl<'a> From<&'a Event> for View<'a> {
    fn from(event: &'a Event) -> Self {
        let body = |body: &'a Option<Json>| body.as_ref().map(|it| Cow::Borrowed(it.as_bytes()));
        Self {
            head: Head::of(event),
            request_object: body(&event.request_object),
            response_object: body(&event.response_object),
            seq: None,
        }
    }
}

impl From<&View<'_>> for Event {
    fn from(view: &View<'_>) -> Self {
        let View { head, request_object, response_object, .. } = view;
        let body = |body: &[u8]| Json::of_clean(Bytes::copy_from_slice(body));
        Self {
            request_object: request_object.as_deref().map(body),
            response_object: response_object.as_deref().map(body),
            ..head.keep()
        }
    }
}

/// Defines a struct of fields that occurs in a head: its borrowed and its owned type, and its
/// fields in the order of the encoding. A macro, because no function can name fields; the order is
/// then defined only once.
macro_rules! made_of {
    ($view:ident of $whole:ident { $($field:ident: $part:ty,)+ } $(beside $($beside:ident)+)?) => {
        pub(crate) struct $view<'a> {
            $(pub(crate) $field: $part,)+
        }

        impl<'a> Part<'a> for $view<'a> {
            type Kept = $whole;

            fn of(kept: &'a $whole) -> Self {
                Self { $($field: <$part>::of(&kept.$field),)+ }
            }

            fn read<const CHECKED: bool>(head: &mut &'a [u8]) -> Option<Self> {
                Some(Self { $($field: <$part>::read::<CHECKED>(head)?,)+ })
            }

            fn skip(head: &mut &'a [u8]) -> Option<()> {
                $(<$part>::skip(head)?;)+
                Some(())
            }

            fn write(kept: &$whole, head: &mut Vec<u8>) {
                $(<$part>::write(&kept.$field, head);)+
            }

            fn keep(&self) -> $whole {
                $whole { $($field: self.$field.keep(),)+ $($($beside: None,)+)? }
            }
        }
    };
}

made_of!(Head of Event {
    level: Level,
    audit_id: Text<'a>,
    stage: Stage,
    request_uri: Text<'a>,
    verb: Text<'a>,
    user: User<'a>,
    impersonated_user: Option<User<'a>>,
    authentication_metadata: Option<Authentication<'a>>,
    source_ips: List<'a, Text<'a>>,
    user_agent: Text<'a>,
    object_ref: Option<Reference<'a>>,
    response_status: Option<Outcome<'a>>,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
    annotations: Map<'a, Text<'a>>,
} beside request_object response_object);

made_of!(User of UserInfo {
    username: Text<'a>,
    uid: Text<'a>,
    groups: List<'a, Text<'a>>,
    extra: Map<'a, List<'a, Text<'a>>>,
});

made_of!(Authentication of AuthenticationMetadata {
    impersonation_constraint: Text<'a>,
});

made_of!(Outcome of Status {
    status: Text<'a>,
    message: Text<'a>,
    reason: Text<'a>,
    details: Option<Details<'a>>,
    code: u16,
});

made_of!(Details of StatusDetails {
    name: Text<'a>,
    group: Text<'a>,
    kind: Text<'a>,
    uid: Text<'a>,
    causes: List<'a, Cause<'a>>,
    retry_after_seconds: u32,
});

made_of!(Cause of StatusCause {
    reason: Text<'a>,
    message: Text<'a>,
    field: Text<'a>,
});

made_of!(Reference of ObjectReference {
    resource: Text<'a>,
    namespace: Text<'a>,
    name: Text<'a>,
    uid: Text<'a>,
    api_group: Text<'a>,
    api_version: Text<'a>,
    resource_version: Text<'a>,
    subresource: Text<'a>,
});
