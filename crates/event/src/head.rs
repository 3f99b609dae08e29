//! The head of a journal record: the encoding of all fields of an event except its bodies.
//!
//! The fields follow each other without separators. A number is encoded as LEB128, with seven bits
//! per byte. A text, a list or a map follows its length. An optional field is a 0, or a 1 and its
//! value. There are no field names and no escape sequences. Every reader of the journal reads every
//! head, so reading only locates the fields and copies nothing.
//!
//! [`view`](crate::view) defines the fields and their order. A change of the encoding requires a
//! new version of the [`record`](crate::record).

use std::collections::BTreeMap;
use std::iter::from_fn;

use crate::{Level, Stage, Timestamp, escape};

/// A type that can be encoded in a head. It borrows its data from the head.
pub(crate) trait Part<'a>: Sized {
    /// The owned form of the type.
    type Kept: 'a;

    /// Borrow from an owned value.
    fn of(kept: &'a Self::Kept) -> Self;

    /// Read a value from the front of a head; `None` if the bytes are invalid. Unless `CHECKED`,
    /// texts that are not UTF-8 and map keys out of order are not detected.
    fn read<const CHECKED: bool>(head: &mut &'a [u8]) -> Option<Self>;

    /// Skip a value at the front of a head. Accepts at least all bytes that `read` accepts.
    fn skip(head: &mut &'a [u8]) -> Option<()> {
        Self::read::<false>(head).map(drop)
    }

    /// Append a value to a head.
    fn write(kept: &Self::Kept, head: &mut Vec<u8>);

    /// Copy the value to its owned form.
    fn keep(&self) -> Self::Kept;
}

/// UTF-8 text, with a flag whether it needs no escape sequence in a JSON string: a single pass
/// finds out both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    is_plain: bool,
}

impl<'a> Text<'a> {
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The text as a string. The UTF-8 was checked when the head was read.
    pub(crate) fn as_str(self) -> &'a str {
        std::str::from_utf8(self.bytes).unwrap_or_default()
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether no character needs an escape sequence.
    pub(crate) const fn is_plain(self) -> bool {
        self.is_plain
    }

    pub(crate) fn is(self, word: &str) -> bool {
        self.bytes == word.as_bytes()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        Self { bytes, is_plain: escape::is_plain(bytes) }
    }
}

impl<'a> Part<'a> for Text<'a> {
    type Kept = String;

    fn of(kept: &'a String) -> Self {
        Self::from(kept.as_str())
    }

    fn read<const CHECKED: bool>(head: &mut &'a [u8]) -> Option<Self> {
        let len = length(head)?;
        let bytes = head.split_off(..len)?;
        if !CHECKED {
            return Some(Self { bytes, is_plain: false });
        }
        let is_plain = escape::is_plain(bytes);
        (is_plain || std::str::from_utf8(bytes).is_ok()).then_some(Self { bytes, is_plain })
    }

    #[inline]
    fn skip(head: &mut &'a [u8]) -> Option<()> {
        let len = length(head)?;
        *head = head.get(len..)?;
        Some(())
    }

    fn write(kept: &String, head: &mut Vec<u8>) {
        write_number(kept.len() as u64, head);
        head.extend_from_slice(kept.as_bytes());
    }

    fn keep(&self) -> String {
        String::from_utf8_lossy(self.bytes).into_owned()
    }
}

/// A list of values.
pub(crate) enum List<'a, T: Part<'a>> {
    /// Encoded in a head, and already checked.
    Read(&'a [u8]),
    Own(&'a [T::Kept]),
}

impl<'a, T: Part<'a>> List<'a, T> {
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::Read([]) | Self::Own([]))
    }

    pub(crate) fn for_each(&self, take: impl FnMut(T)) {
        match *self {
            Self::Read(mut rest) => from_fn(|| T::read::<true>(&mut rest)).for_each(take),
            Self::Own(kept) => kept.iter().map(T::of).for_each(take),
        }
    }
}

impl<'a, T: Part<'a>> Part<'a> for List<'a, T> {
    type Kept = Vec<T::Kept>;

    fn of(kept: &'a Self::Kept) -> Self {
        Self::Own(kept)
    }

    fn read<const CHECKED: bool>(head: &mut &'a [u8]) -> Option<Self> {
        row(head, |rest| T::read::<CHECKED>(rest).map(drop)).map(Self::Read)
    }

    fn skip(head: &mut &'a [u8]) -> Option<()> {
        row(head, T::skip).map(drop)
    }

    fn write(kept: &Self::Kept, head: &mut Vec<u8>) {
        write_number(kept.len() as u64, head);
        for part in kept {
            T::write(part, head);
        }
    }

    fn keep(&self) -> Self::Kept {
        let mut kept = Vec::new();
        self.for_each(|part| kept.push(part.keep()));
        kept
    }
}

/// A map of values, in the order of their keys.
pub(crate) enum Map<'a, T: Part<'a>> {
    /// Encoded in a head, and already checked.
    Read(&'a [u8]),
    Own(&'a BTreeMap<String, T::Kept>),
}

impl<'a, T: Part<'a>> Map<'a, T> {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Read(bytes) => bytes.is_empty(),
            Self::Own(kept) => kept.is_empty(),
        }
    }

    pub(crate) fn for_each(&self, take: impl FnMut((Text<'a>, T))) {
        match *self {
            Self::Read(mut rest) => from_fn(|| entry::<_, true>(&mut rest)).for_each(take),
            Self::Own(kept) => {
                kept.iter().map(|(name, part)| (Text::of(name), T::of(part))).for_each(take);
            }
        }
    }
}

impl<'a, T: Part<'a>> Part<'a> for Map<'a, T> {
    type Kept = BTreeMap<String, T::Kept>;

    fn of(kept: &'a Self::Kept) -> Self {
        Self::Own(kept)
    }

    /// Repeated or unordered keys mean damage: `write` never produces them.
    fn read<const CHECKED: bool>(head: &mut &'a [u8]) -> Option<Self> {
        let mut last = None;
        let entries = row(head, |rest| {
            let (name, _): (Text<'a>, T) = entry::<T, CHECKED>(rest)?;
            let is_next = last.replace(name.bytes).is_none_or(|last| last < name.bytes);
            (is_next || !CHECKED).then_some(())
        });
        entries.map(Self::Read)
    }

    fn skip(head: &mut &'a [u8]) -> Option<()> {
        row(head, |rest| Text::skip(rest).and_then(|()| T::skip(rest))).map(drop)
    }

    fn write(kept: &Self::Kept, head: &mut Vec<u8>) {
        write_number(kept.len() as u64, head);
        for (name, part) in kept {
            Text::write(name, head);
            T::write(part, head);
        }
    }

    fn keep(&self) -> Self::Kept {
        let mut kept = BTreeMap::new();
        self.for_each(|(name, part)| drop(kept.insert(name.keep(), part.keep())));
        kept
    }
}

fn entry<'a, T: Part<'a>, const CHECKED: bool>(head: &mut &'a [u8]) -> Option<(Text<'a>, T)> {
    Some((Part::read::<CHECKED>(head)?, Part::read::<CHECKED>(head)?))
}

/// Read a length, and return the bytes of that many values. `check` consumes each of them.
fn row<'a>(
    head: &mut &'a [u8],
    mut check: impl FnMut(&mut &'a [u8]) -> Option<()>,
) -> Option<&'a [u8]> {
    let len = length(head)?;
    let start = *head;
    for _ in 0..len {
        check(head)?;
    }
    start.get(..start.len() - head.len())
}

impl<'a, T: Part<'a>> Part<'a> for Option<T> {
    type Kept = Option<T::Kept>;

    fn of(kept: &'a Self::Kept) -> Self {
        kept.as_ref().map(T::of)
    }

    fn read<const CHECKED: bool>(head: &mut &'a [u8]) -> Option<Self> {
        match head.split_off_first()? {
            0 => Some(None),
            1 => T::read::<CHECKED>(head).map(Some),
            _ => None,
        }
    }

    fn skip(head: &mut &'a [u8]) -> Option<()> {
        match head.split_off_first()? {
            0 => Some(()),
            1 => T::skip(head),
            _ => None,
        }
    }

    fn write(kept: &Self::Kept, head: &mut Vec<u8>) {
        head.push(u8::from(kept.is_some()));
        if let Some(part) = kept {
            T::write(part, head);
        }
    }

    fn keep(&self) -> Self::Kept {
        self.as_ref().map(T::keep)
    }
}

/// Implements [`Part`] for a type that is encoded as a number. A macro, because no function can
/// implement a trait.
macro_rules! number {
    ($part:ty: $of_number:expr, $number:expr) => {
        impl<'a> Part<'a> for $part {
            type Kept = Self;

            fn of(kept: &'a Self) -> Self {
                *kept
            }

            fn read<const CHECKED: bool>(head: &mut &'a [u8]) -> Option<Self> {
                number(head).and_then($of_number)
            }

            fn write(kept: &Self, head: &mut Vec<u8>) {
                write_number($number(*kept), head);
            }

            fn keep(&self) -> Self {
                *self
            }
        }
    };
}

number!(u16: |number| number.try_into().ok(), u64::from);
number!(u32: |number| number.try_into().ok(), u64::from);
number!(Timestamp:
    |number| Some(Self::from_micros(number.cast_signed())),
    |time: Self| time.as_micros().cast_unsigned());
number!(Level: |place| word(&Self::ALL, place), |level| place(&Self::ALL, &level));
number!(Stage: |place| word(&Self::ALL, place), |stage| place(&Self::ALL, &stage));

/// The index of a value in a fixed list of names.
fn place<T: PartialEq>(all: &[T], word: &T) -> u64 {
    all.iter().position(|known| known == word).unwrap_or_default() as u64
}

fn word<T: Copy>(all: &[T], place: u64) -> Option<T> {
    all.get(usize::try_from(place).ok()?).copied()
}

/// Read a length. Every value takes at least one byte, so the length cannot exceed the remaining
/// bytes.
#[inline]
fn length(head: &mut &[u8]) -> Option<usize> {
    let len = usize::try_from(number(head)?).ok()?;
    (len <= head.len()).then_some(len)
}

#[inline]
fn number(head: &mut &[u8]) -> Option<u64> {
    match **head {
        // The common case.
        [byte @ ..0x80, ref rest @ ..] => {
            *head = rest;
            Some(u64::from(byte))
        }
        _ => long_number(head),
    }
}

fn long_number(head: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = head.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has only one significant bit.
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

fn write_number(number: u64, head: &mut Vec<u8>) {
    let mut rest = number;
    loop {
        let [low, ..] = rest.to_le_bytes();
        if rest <= 0x7f {
            return head.push(low);
        }
        head.push(low | 0x80);
        rest >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a, T: Part<'a>>(mut head: &'a [u8]) -> Option<T> {
        T::read::<true>(&mut head)
    }

    #[test]
    fn numbers_come_back() {
        for expected in [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 63, u64::MAX] {
            let mut head = Vec::new();
            write_number(expected, &mut head);
            assert_eq!(number(&mut head.as_slice()), Some(expected));
            assert_eq!(number(&mut &head[..head.len() - 1]), None);
        }
        assert_eq!(number(&mut [0xff; 10].as_slice()), None, "more than 64 bits");
        assert_eq!(read::<u16>(&[0x80, 0x80, 0x04]), None, "more than 16 bits");
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert_eq!(read::<Text<'_>>(&[3, b'a', b'b']), None);
        assert!(read::<List<'_, Text<'_>>>(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_none());
        assert!(read::<List<'_, Text<'_>>>(&[2, 1, b'a']).is_none());
        assert_eq!(read::<Option<Text<'_>>>(&[2, 0]), None);
    }

    #[test]
    fn a_text_is_utf8() {
        for bytes in [&b"\xff"[..], b"\xc3", b"abcdefgh\xff", b"abcdefghijklmnop\xc3("] {
            let head = [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
            assert_eq!(read::<Text<'_>>(&head), None, "{bytes:?}");
        }
        assert_eq!(read::<Text<'_>>(&[2, 0xc3, 0xa9]), Some(Text::from("\u{e9}")));
    }

    #[test]
    fn names_in_a_map_ascend() {
        let map = |names: [u8; 2]| [2, 1, names[0], 0, 1, names[1], 0];
        assert!(read::<Map<'_, Text<'_>>>(&map(*b"ab")).is_some());
        assert!(read::<Map<'_, Text<'_>>>(&map(*b"ba")).is_none());
        assert!(read::<Map<'_, Text<'_>>>(&map(*b"aa")).is_none());
    }
}
