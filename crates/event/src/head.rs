//! The head of a journal record: everything of an event but its bodies, field after field.
//!
//! Each field follows the one before it in the order written down below. A number takes as many
//! bytes as it needs, seven bits in each (LEB128); a text, a list or a map stands behind its length;
//! what may be missing stands behind a 0 or a 1. There are no names and no escapes, so a head is
//! written and read in a fraction of the time that JSON takes, and every reader of the journal reads
//! every head. For the same reason a head is read over the one before it: its texts, lists and maps
//! keep their memory, and what is read a million times does not allocate a million times.
//!
//! Whoever changes a field here changes the version of the [`record`](crate::record).

use std::collections::BTreeMap;

use crate::{
    AuthenticationMetadata, Event, Level, ObjectReference, Stage, Status, StatusCause,
    StatusDetails, Timestamp, UserInfo,
};

/// What can stand in a head.
trait Part {
    fn write(&self, head: &mut Vec<u8>);

    /// Takes one from the front and becomes it; `None` when the bytes are not one, and then it is
    /// anything.
    fn read(&mut self, head: &mut &[u8]) -> Option<()>;
}

/// A thing made of others, in this order.
macro_rules! made_of {
    ($whole:ident: $($field:ident),+) => {
        impl Part for $whole {
            fn write(&self, head: &mut Vec<u8>) {
                $(self.$field.write(head);)+
            }

            fn read(&mut self, head: &mut &[u8]) -> Option<()> {
                $(self.$field.read(head)?;)+
                Some(())
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

/// Reads a head over an event, whose bodies stay as they are; `None` when the bytes are not one head
/// and nothing else.
pub(crate) fn read(mut head: &[u8], event: &mut Event) -> Option<()> {
    let rest = &mut head;
    event.level.read(rest)?;
    event.audit_id.read(rest)?;
    event.stage.read(rest)?;
    event.request_uri.read(rest)?;
    event.verb.read(rest)?;
    event.user.read(rest)?;
    event.impersonated_user.read(rest)?;
    event.authentication_metadata.read(rest)?;
    event.source_ips.read(rest)?;
    event.user_agent.read(rest)?;
    event.object_ref.read(rest)?;
    event.response_status.read(rest)?;
    event.request_received_timestamp.read(rest)?;
    event.stage_timestamp.read(rest)?;
    event.annotations.read(rest)?;
    head.is_empty().then_some(())
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

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        *self = number(head)?;
        Some(())
    }
}

fn number(head: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = head.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
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

impl Part for u32 {
    fn write(&self, head: &mut Vec<u8>) {
        u64::from(*self).write(head);
    }

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        *self = number(head)?.try_into().ok()?;
        Some(())
    }
}

impl Part for u16 {
    fn write(&self, head: &mut Vec<u8>) {
        u64::from(*self).write(head);
    }

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        *self = number(head)?.try_into().ok()?;
        Some(())
    }
}

impl Part for Timestamp {
    fn write(&self, head: &mut Vec<u8>) {
        self.as_micros().cast_unsigned().write(head);
    }

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        *self = Self::from_micros(number(head)?.cast_signed());
        Some(())
    }
}

/// A word of a fixed list: its place there.
fn write_word<T: PartialEq>(all: &[T], word: &T, head: &mut Vec<u8>) {
    let place = all.iter().position(|known| known == word).unwrap_or_default();
    (place as u64).write(head);
}

fn read_word<T: Copy>(all: &[T], head: &mut &[u8]) -> Option<T> {
    all.get(usize::try_from(number(head)?).ok()?).copied()
}

impl Part for Level {
    fn write(&self, head: &mut Vec<u8>) {
        write_word(&Self::ALL, self, head);
    }

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        *self = read_word(&Self::ALL, head)?;
        Some(())
    }
}

impl Part for Stage {
    fn write(&self, head: &mut Vec<u8>) {
        write_word(&Self::ALL, self, head);
    }

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        *self = read_word(&Self::ALL, head)?;
        Some(())
    }
}

impl Part for String {
    fn write(&self, head: &mut Vec<u8>) {
        (self.len() as u64).write(head);
        head.extend_from_slice(self.as_bytes());
    }

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        let text = text(head)?;
        // Often it is the text of the event before, which need not be looked through again.
        if self.as_bytes() != text {
            self.clear();
            self.push_str(std::str::from_utf8(text).ok()?);
        }
        Some(())
    }
}

fn text<'a>(head: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = length(head)?;
    head.split_off(..len)
}

impl<T: Part + Default> Part for Option<T> {
    fn write(&self, head: &mut Vec<u8>) {
        head.push(u8::from(self.is_some()));
        if let Some(part) = self {
            part.write(head);
        }
    }

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        match head.split_off_first()? {
            0 => *self = None,
            1 => self.get_or_insert_default().read(head)?,
            _ => return None,
        }
        Some(())
    }
}

impl<T: Part + Default> Part for Vec<T> {
    fn write(&self, head: &mut Vec<u8>) {
        (self.len() as u64).write(head);
        for part in self {
            part.write(head);
        }
    }

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        let len = length(head)?;
        self.truncate(len);
        for part in &mut *self {
            part.read(head)?;
        }
        while self.len() < len {
            self.push(read_new(head)?);
        }
        Some(())
    }
}

impl<T: Part + Default> Part for BTreeMap<String, T> {
    fn write(&self, head: &mut Vec<u8>) {
        (self.len() as u64).write(head);
        for (key, part) in self {
            key.write(head);
            part.write(head);
        }
    }

    fn read(&mut self, head: &mut &[u8]) -> Option<()> {
        let len = length(head)?;
        let start = *head;
        // Mostly the keys are those of the event before.
        let mut entries = self.iter_mut();
        let is_alike = (0..len).all(|_| {
            entries.next().is_some_and(|(key, part)| {
                text(head) == Some(key.as_bytes()) && part.read(head).is_some()
            })
        });
        if is_alike && entries.next().is_none() {
            return Some(());
        }
        *head = start;
        self.clear();
        for _ in 0..len {
            self.insert(read_new(head)?, read_new(head)?);
        }
        Some(())
    }
}

fn read_new<T: Part + Default>(head: &mut &[u8]) -> Option<T> {
    let mut new = T::default();
    new.read(head)?;
    Some(new)
}

/// A length that the rest can hold: everything takes a byte at least.
fn length(head: &mut &[u8]) -> Option<usize> {
    let len = usize::try_from(number(head)?).ok()?;
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
            assert_eq!(read_new::<u64>(&mut head.as_slice()), Some(number));
            assert_eq!(read_new::<u64>(&mut &head[..head.len() - 1]), None);
        }
        assert_eq!(read_new::<u64>(&mut [0xff; 10].as_slice()), None, "more than 64 bits");
        assert_eq!(read_new::<u16>(&mut [0x80, 0x80, 0x04].as_slice()), None, "more than 16 bits");
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert_eq!(read_new::<String>(&mut [3, b'a', b'b'].as_slice()), None);
        let long = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(read_new::<Vec<String>>(&mut long.as_slice()), None);
        assert_eq!(read_new::<Option<String>>(&mut [2, 0].as_slice()), None);
        assert_eq!(read_new::<String>(&mut [1, 0xff].as_slice()), None, "not UTF-8");
    }
}
