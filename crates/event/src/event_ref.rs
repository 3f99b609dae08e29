//! A borrowed event: reads an event from a journal record without copying it.
//!
//! Code that writes lines for a million records copies nothing but the lines, because an
//! [`EventRef`] borrows from the record. [`EventRef::parse`] validates the whole record, so later
//! accesses cannot fail. It can also borrow from an [`Event`], so that each encoding has only one
//! implementation.
//!
//! An [`EventRef`] is immutable; convert it to an [`Event`] to change it.

use std::borrow::Cow;

use bytes::Bytes;

use crate::field_codec::{Field, List, Map, Text};
use crate::record::ReadError;
use crate::record::frame::{self, Frame};
use crate::{
    AuthenticationMetadata, Event, Json, Level, ObjectReference, Stage, Status, StatusCause,
    StatusDetails, Timestamp, UserInfo,
};

/// An event that borrows its texts and bodies.
pub struct EventRef<'a> {
    pub(crate) fields: EventFields<'a>,
    pub(crate) request_object: Option<Cow<'a, [u8]>>,
    pub(crate) response_object: Option<Cow<'a, [u8]>>,
    /// The sequence number in the journal, if the lines should contain it.
    pub(crate) seq: Option<u64>,
}

impl<'a> EventRef<'a> {
    /// Read the event of a record. Only compressed bodies are copied.
    pub fn parse(record: &'a [u8]) -> Result<Self, ReadError> {
        let Frame { fields, request_object, response_object } = frame::split(record)?;
        Ok(Self { request_object, response_object, ..Self::from_fields::<true>(fields)? })
    }

    /// Read the event of a record without its bodies and without validation, for code that scans
    /// many events and reads the relevant ones again. A text that is not UTF-8 is empty here.
    pub fn without_bodies(record: &'a [u8]) -> Result<Self, ReadError> {
        Self::from_fields::<false>(frame::fields(record)?)
    }

    fn from_fields<const CHECKED: bool>(mut rest: &'a [u8]) -> Result<Self, ReadError> {
        match EventFields::read::<CHECKED>(&mut rest) {
            Some(fields) if rest.is_empty() => {
                Ok(Self { fields, request_object: None, response_object: None, seq: None })
            }
            _ => Err(ReadError::Shape("its fields cannot be read")),
        }
    }

    /// Set the sequence number in the journal, which no client can choose.
    #[must_use]
    pub fn with_seq(self, seq: u64) -> Self {
        Self { seq: Some(seq), ..self }
    }

    /// Return another event with the sequence number of this one.
    #[must_use]
    pub fn copy_seq_to<'b>(&self, other: EventRef<'b>) -> EventRef<'b> {
        EventRef { seq: self.seq, ..other }
    }

    /// The bytes of both bodies.
    pub(crate) fn body_bytes(&self) -> usize {
        [&self.request_object, &self.response_object]
            .into_iter()
            .flatten()
            .map(|body| body.len())
            .sum()
    }
}

impl<'a> From<&'a Event> for EventRef<'a> {
    fn from(event: &'a Event) -> Self {
        let body =
            |body: &'a Option<Json>| body.as_ref().map(|body| Cow::Borrowed(body.as_bytes()));
        Self {
            fields: EventFields::from_owned(event),
            request_object: body(&event.request_object),
            response_object: body(&event.response_object),
            seq: None,
        }
    }
}

impl From<&EventRef<'_>> for Event {
    fn from(event: &EventRef<'_>) -> Self {
        let EventRef { fields, request_object, response_object, .. } = event;
        let body = |body: &[u8]| Json::from_normalized(Bytes::copy_from_slice(body));
        Self {
            request_object: request_object.as_deref().map(body),
            response_object: response_object.as_deref().map(body),
            ..fields.to_owned_form()
        }
    }
}

/// Defines a struct of fields of a record: its borrowed and its owned type, and its
/// fields in the order of the encoding. A macro, because no function can name fields; the order is
/// then defined only once.
macro_rules! record_struct {
    ($borrowed:ident of $owned:ident { $($field:ident: $type:ty,)+ } $(without $($body:ident)+)?) => {
        pub(crate) struct $borrowed<'a> {
            $(pub(crate) $field: $type,)+
        }

        impl<'a> Field<'a> for $borrowed<'a> {
            type Owned = $owned;

            fn from_owned(owned: &'a $owned) -> Self {
                Self { $($field: <$type>::from_owned(&owned.$field),)+ }
            }

            fn read<const CHECKED: bool>(encoded: &mut &'a [u8]) -> Option<Self> {
                Some(Self { $($field: <$type>::read::<CHECKED>(encoded)?,)+ })
            }

            fn skip(encoded: &mut &'a [u8]) -> Option<()> {
                $(<$type>::skip(encoded)?;)+
                Some(())
            }

            fn write(owned: &$owned, encoded: &mut Vec<u8>) {
                $(<$type>::write(&owned.$field, encoded);)+
            }

            fn to_owned_form(&self) -> $owned {
                $owned { $($field: self.$field.to_owned_form(),)+ $($($body: None,)+)? }
            }
        }
    };
}

record_struct!(EventFields of Event {
    level: Level,
    audit_id: Text<'a>,
    stage: Stage,
    request_uri: Text<'a>,
    verb: Text<'a>,
    user: UserRef<'a>,
    impersonated_user: Option<UserRef<'a>>,
    authentication_metadata: Option<AuthenticationRef<'a>>,
    source_ips: List<'a, Text<'a>>,
    user_agent: Text<'a>,
    object_ref: Option<ObjectRef<'a>>,
    response_status: Option<StatusRef<'a>>,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
    annotations: Map<'a, Text<'a>>,
} without request_object response_object);

record_struct!(UserRef of UserInfo {
    username: Text<'a>,
    uid: Text<'a>,
    groups: List<'a, Text<'a>>,
    extra: Map<'a, List<'a, Text<'a>>>,
});

record_struct!(AuthenticationRef of AuthenticationMetadata {
    impersonation_constraint: Text<'a>,
});

record_struct!(StatusRef of Status {
    status: Text<'a>,
    message: Text<'a>,
    reason: Text<'a>,
    details: Option<StatusDetailsRef<'a>>,
    code: u16,
});

record_struct!(StatusDetailsRef of StatusDetails {
    name: Text<'a>,
    group: Text<'a>,
    kind: Text<'a>,
    uid: Text<'a>,
    causes: List<'a, StatusCauseRef<'a>>,
    retry_after_seconds: u32,
});

record_struct!(StatusCauseRef of StatusCause {
    reason: Text<'a>,
    message: Text<'a>,
    field: Text<'a>,
});

record_struct!(ObjectRef of ObjectReference {
    resource: Text<'a>,
    namespace: Text<'a>,
    name: Text<'a>,
    uid: Text<'a>,
    api_group: Text<'a>,
    api_version: Text<'a>,
    resource_version: Text<'a>,
    subresource: Text<'a>,
});
