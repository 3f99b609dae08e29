//! The head of a journal record: everything of an event but its bodies, field after field.
//!
//! Each field follows the one before it in the order written down below. A number takes as many
//! bytes as it needs, seven bits in each (LEB128); a text, a list or a map stands behind its length;
//! what may be missing stands behind a 0 or a 1. There are no names and no escapes, so a head is
//! written and read in a fraction of the time that JSON takes, and every reader of the journal reads
//! every head. Whoever changes a field here changes the version of the [`record`](crate::record).

use std::collections::BTreeMap;

use crate::{
    AuthenticationMetadata, Event, Level, ObjectReference, Stage, Status, StatusCause,
    StatusDetails, Timestamp, UserInfo,
};

/// What can stand in a head.
trait Part: Sized {
    fn write(&self, head: &mut Vec<u8>);

    /// Takes one from the front; `None` when the bytes are not one.
    fn read(head: &mut &[u8]) -> Option<Self>;
}

/// A thing made of others, in this order.
macro_rules! made_of {
    ($whole:ident: $($field:ident),+) => {
        impl Part for $whole {
            fn write(&self, head: &mut Vec<u8>) {
                $(self.$field.write(head);)+
            }

            fn read(head: &mut &[u8]) -> Option<Self> {
                $(let $field = Part::read(head)?;)+
                Some(Self { $($field),+ })
            }
        }
    };
}

made_of!(UserInfo: username, uid, groups, extra);
made_of!(AuthenticationMetadata: impersonation_constraint);
made_of!(Status: status, message, reason, details, code);
made_of!(StatusDetails: name, group, kind, uid, causes, retry_after_seconds);
made_of!(StatusCause: reason, message, field);
made_of!(ObjectReference:
    resource, namespace, name, uid, api_group, api_version, resource_version, subresource);

/// Appends the head of an event.
pub(crate) fn write(event: &Event, head: &mut Vec<u8>) {
    event.level.write(head);
    event.audit_id.write(head);
    event.stage.write(head);
    event.request_uri.write(head);
    event.verb.write(head);
    event.user.write(head);
    event.impersonated_user.write(head);
    event.authentication_metadata.write(head);
    event.source_ips.write(head);
    event.user_agent.write(head);
    event.object_ref.write(head);
    event.response_status.write(head);
    event.request_received_timestamp.write(head);
    event.stage_timestamp.write(head);
    event.annotations.write(head);
}

/// The event without its bodies; `None` when the bytes are not one head and nothing else.
pub(crate) fn read(mut head: &[u8]) -> Option<Event> {
    let rest = &mut head;
    let event = Event {
        level: Part::read(rest)?,
        audit_id: Part::read(rest)?,
        stage: Part::read(rest)?,
        request_uri: Part::read(rest)?,
        verb: Part::read(rest)?,
        user: Part::read(rest)?,
        impersonated_user: Part::read(rest)?,
        authentication_metadata: Part::read(rest)?,
        source_ips: Part::read(rest)?,
        user_agent: Part::read(rest)?,
        object_ref: Part::read(rest)?,
        response_status: Part::read(rest)?,
        request_object: None,
        response_object: None,
        request_received_timestamp: Part::read(rest)?,
        stage_timestamp: Part::read(rest)?,
        annotations: Part::read(rest)?,
    };
    head.is_empty().then_some(event)
}

impl Part for u64 {
    fn write(&self, head: &mut Vec<u8>) {
        let mut rest = *self;
        loop {
            let [low, ..] = rest.to_le_bytes();
            if rest <= 0x7f {
                return head.push(low);
            }
            head.push(low | 0x80);
            rest >>= 7;
        }
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        let mut number = 0;
        for shift in (0..Self::BITS).step_by(7) {
            let byte = head.split_off_first()?;
            let bits = Self::from(byte & 0x7f);
            // The last of ten bytes has room for one bit only.
            if (bits << shift) >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

impl Part for u32 {
    fn write(&self, head: &mut Vec<u8>) {
        u64::from(*self).write(head);
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        u64::read(head)?.try_into().ok()
    }
}

impl Part for u16 {
    fn write(&self, head: &mut Vec<u8>) {
        u64::from(*self).write(head);
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        u64::read(head)?.try_into().ok()
    }
}

impl Part for Timestamp {
    fn write(&self, head: &mut Vec<u8>) {
        self.as_micros().cast_unsigned().write(head);
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        u64::read(head).map(|micros| Self::from_micros(micros.cast_signed()))
    }
}

/// A word of a fixed list: its place there.
fn write_word<T: PartialEq>(all: &[T], word: &T, head: &mut Vec<u8>) {
    let place = all.iter().position(|known| known == word).unwrap_or_default();
    (place as u64).write(head);
}

fn read_word<T: Copy>(all: &[T], head: &mut &[u8]) -> Option<T> {
    all.get(usize::try_from(u64::read(head)?).ok()?).copied()
}

impl Part for Level {
    fn write(&self, head: &mut Vec<u8>) {
        write_word(&Self::ALL, self, head);
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        read_word(&Self::ALL, head)
    }
}

impl Part for Stage {
    fn write(&self, head: &mut Vec<u8>) {
        write_word(&Self::ALL, self, head);
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        read_word(&Self::ALL, head)
    }
}

impl Part for String {
    fn write(&self, head: &mut Vec<u8>) {
        (self.len() as u64).write(head);
        head.extend_from_slice(self.as_bytes());
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        let len = length(head)?;
        let text = head.split_off(..len)?;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}

impl<T: Part> Part for Option<T> {
    fn write(&self, head: &mut Vec<u8>) {
        head.push(u8::from(self.is_some()));
        if let Some(part) = self {
            part.write(head);
        }
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        match head.split_off_first()? {
            0 => Some(None),
            1 => T::read(head).map(Some),
            _ => None,
        }
    }
}

impl<T: Part> Part for Vec<T> {
    fn write(&self, head: &mut Vec<u8>) {
        (self.len() as u64).write(head);
        for part in self {
            part.write(head);
        }
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        let len = length(head)?;
        (0..len).map(|_| T::read(head)).collect()
    }
}

impl<T: Part> Part for BTreeMap<String, T> {
    fn write(&self, head: &mut Vec<u8>) {
        (self.len() as u64).write(head);
        for (key, part) in self {
            key.write(head);
            part.write(head);
        }
    }

    fn read(head: &mut &[u8]) -> Option<Self> {
        let len = length(head)?;
        (0..len).map(|_| Some((String::read(head)?, T::read(head)?))).collect()
    }
}

/// A length that the rest can hold: everything takes a byte at least.
fn length(head: &mut &[u8]) -> Option<usize> {
    let len = usize::try_from(u64::read(head)?).ok()?;
    (len <= head.len()).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 63, u64::MAX] {
            let mut head = Vec::new();
            number.write(&mut head);
            assert_eq!(u64::read(&mut head.as_slice()), Some(number));
            assert_eq!(u64::read(&mut &head[..head.len() - 1]), None);
        }
        assert_eq!(u64::read(&mut [0xff; 10].as_slice()), None, "more than 64 bits");
        assert_eq!(u16::read(&mut [0x80, 0x80, 0x04].as_slice()), None, "more than 16 bits");
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert_eq!(String::read(&mut [3, b'a', b'b'].as_slice()), None);
        assert_eq!(Vec::<String>::read(&mut [0xff, 0xff, 0xff, 0xff, 0x0f].as_slice()), None);
        assert_eq!(Option::<String>::read(&mut [2, 0].as_slice()), None);
        assert_eq!(String::read(&mut [1, 0xff].as_slice()), None, "not UTF-8");
    }
}
