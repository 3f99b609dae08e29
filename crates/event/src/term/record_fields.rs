//! The indexed fields of a record, located without decoding the others.
//!
//! An index reads every record once, so fields that it does not need are skipped by their length.
//! Texts are not validated; a record whose texts are not UTF-8 is rejected when it is read as an
//! event.
//!
//! Deliberately absent: the use of the values (crate `store`).

use std::iter::from_fn;

use crate::event_ref::{AuthenticationRef, StatusDetailsRef};
use crate::field_codec::{Field, List, Map, Text};
use crate::record::frame;
use crate::{Level, Stage, Timestamp};

/// The values that selectors can use, borrowed from a record. Missing fields are empty.
#[derive(Clone, Copy, Debug)]
pub struct RecordFields<'a> {
    /// The audit ID of the request.
    pub audit_id: &'a [u8],
    /// The stage of the request.
    pub stage: Stage,
    /// The verb of the request.
    pub verb: &'a [u8],
    /// The name of the user.
    pub user: &'a [u8],
    /// The name of the impersonated user.
    pub impersonated_user: Option<&'a [u8]>,
    /// The plural name of the resource.
    pub resource: &'a [u8],
    /// The namespace of the object.
    pub namespace: &'a [u8],
    /// The name of the object.
    pub name: &'a [u8],
    /// The API group of the object.
    pub group: &'a [u8],
    /// The subresource of the object.
    pub subresource: &'a [u8],
    /// The HTTP status code; 0 if there is none.
    pub code: u16,
    /// The time at which the request reached the stage.
    pub stage_timestamp: Timestamp,
    /// The encoded list.
    source_ips: &'a [u8],
}

impl<'a> RecordFields<'a> {
    /// Read the fields of a record; `None` if it is not an event.
    #[inline]
    pub fn parse(record: &'a [u8]) -> Option<Self> {
        let encoded = &mut frame::fields(record).ok()?;
        Level::skip(encoded)?;
        let audit_id = text(encoded)?;
        let stage = Stage::read::<false>(encoded)?;
        Text::skip(encoded)?;
        let verb = text(encoded)?;
        let user = username(encoded)?;
        let impersonated_user = if is_present(encoded)? { Some(username(encoded)?) } else { None };
        Option::<AuthenticationRef<'_>>::skip(encoded)?;
        let source_ips = match List::<Text<'_>>::read::<false>(encoded)? {
            List::Read(counted) => counted,
            List::Borrowed(_) => &[],
        };
        Text::skip(encoded)?;
        let [resource, namespace, name, group, subresource] = reference(encoded)?;
        let code = code(encoded)?;
        Timestamp::skip(encoded)?;
        let stage_timestamp = Timestamp::read::<false>(encoded)?;
        Some(Self {
            audit_id,
            stage,
            verb,
            user,
            impersonated_user,
            resource,
            namespace,
            name,
            group,
            subresource,
            code,
            stage_timestamp,
            source_ips,
        })
    }

    /// The addresses from which the request came.
    pub fn source_ips(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.source_ips;
        from_fn(move || text(&mut rest))
    }
}

#[inline]
fn text<'a>(encoded: &mut &'a [u8]) -> Option<&'a [u8]> {
    Text::read::<false>(encoded).map(Text::as_bytes)
}

#[inline]
fn is_present(encoded: &mut &[u8]) -> Option<bool> {
    match encoded.split_off_first()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// The name of a user; the other fields are skipped.
#[inline]
fn username<'a>(encoded: &mut &'a [u8]) -> Option<&'a [u8]> {
    let username = text(encoded)?;
    Text::skip(encoded)?;
    List::<Text<'_>>::skip(encoded)?;
    Map::<List<'_, Text<'_>>>::skip(encoded)?;
    Some(username)
}

/// Resource, namespace, name, group and subresource of the object.
#[inline]
fn reference<'a>(encoded: &mut &'a [u8]) -> Option<[&'a [u8]; 5]> {
    if !is_present(encoded)? {
        return Some([&[]; 5]);
    }
    let [resource, namespace, name] = [text(encoded)?, text(encoded)?, text(encoded)?];
    Text::skip(encoded)?;
    let group = text(encoded)?;
    Text::skip(encoded)?;
    Text::skip(encoded)?;
    Some([resource, namespace, name, group, text(encoded)?])
}

/// The status code of the response; 0 if there is none.
#[inline]
fn code(encoded: &mut &[u8]) -> Option<u16> {
    if !is_present(encoded)? {
        return Some(0);
    }
    Text::skip(encoded)?;
    Text::skip(encoded)?;
    Text::skip(encoded)?;
    Option::<StatusDetailsRef<'_>>::skip(encoded)?;
    u16::read::<false>(encoded)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::{
        AuthenticationMetadata, Event, EventRef, StatusCause, StatusDetails, UserInfo, record, v1,
    };

    /// Events with all fields that can precede an indexed one, and with none.
    fn events() -> Vec<Event> {
        let lines = include_str!("../../tests/data/events.ndjson").lines();
        let mut events: Vec<Event> = lines.map(|line| v1::read(line.as_bytes()).unwrap()).collect();
        for mut event in events.clone() {
            event.impersonated_user = Some(UserInfo {
                username: "impersonated".to_owned(),
                groups: vec!["one".to_owned(), "x".repeat(300)],
                extra: [("key".to_owned(), vec!["a".to_owned(), String::new()])].into(),
                ..event.user.clone()
            });
            event.authentication_metadata =
                Some(AuthenticationMetadata { impersonation_constraint: "some".to_owned() });
            event.source_ips = (0..9).map(|at| format!("10.0.0.{at}")).collect();
            if let Some(status) = &mut event.response_status {
                let cause = StatusCause { reason: "r".to_owned(), ..StatusCause::default() };
                let details = StatusDetails { causes: vec![cause; 3], ..StatusDetails::default() };
                status.details = Some(details);
            }
            events.push(event.clone());
            events.push(Event { object_ref: None, response_status: None, ..event });
        }
        events
    }

    fn check(record: &[u8]) -> bool {
        let (Ok(view), fields) = (EventRef::parse(record), RecordFields::parse(record)) else {
            return false;
        };
        let fields = fields.expect("a record that can be read is indexed");
        let object = view.object_ref();
        let object = |text: fn(&crate::fields::ObjectRefFields<'_>) -> String| {
            object.as_ref().map(text).unwrap_or_default().into_bytes()
        };
        assert_eq!(fields.audit_id, view.audit_id().as_bytes());
        assert_eq!(fields.stage, view.stage());
        assert_eq!(fields.verb, view.verb().as_bytes());
        assert_eq!(fields.user, view.user().username().as_bytes());
        let impersonated = view.impersonated_user().map(|user| user.username().to_owned());
        assert_eq!(fields.impersonated_user, impersonated.as_deref().map(str::as_bytes));
        assert_eq!(fields.resource, object(|reference| reference.resource.to_owned()));
        assert_eq!(fields.namespace, object(|reference| reference.namespace.to_owned()));
        assert_eq!(fields.name, object(|reference| reference.name.to_owned()));
        assert_eq!(fields.group, object(|reference| reference.api_group.to_owned()));
        assert_eq!(fields.subresource, object(|reference| reference.subresource.to_owned()));
        assert_eq!(fields.code, view.response_status().map_or(0, |status| status.code()));
        assert_eq!(fields.stage_timestamp, view.stage_timestamp());
        let mut addresses = Vec::new();
        view.for_each_source_ip(|address| {
            addresses.push(address.as_bytes().to_owned());
            ControlFlow::Continue(())
        });
        assert_eq!(fields.source_ips().collect::<Vec<_>>(), addresses);
        true
    }

    #[test]
    fn indexed_fields_are_those_of_the_event() {
        let events = events();
        assert!(events.len() > 20);
        assert!(events.iter().all(|event| check(&record::write(event))));
    }

    #[test]
    fn a_damaged_record_is_indexed_as_it_is_read() {
        for event in &events()[..6] {
            let record = record::write(event).to_vec();
            for at in 0..record.len() {
                check(&record[..at]);
                for change in [1, 0x80] {
                    let mut damaged = record.clone();
                    damaged[at] ^= change;
                    check(&damaged);
                }
            }
        }
    }
}
