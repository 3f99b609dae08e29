//! The encoding of the fields of an event in a journal record; bodies are encoded separately.
//!
//! The fields follow each other without separators. A number is encoded as LEB128, with seven bits
//! per byte. A text, a list or a map follows its length. An optional field is a 0, or a 1 and its
//! value. There are no field names and no escape sequences. Every reader of the journal reads the
//! fields of every record, so reading only locates them and copies nothing.
//!
//! [`event_ref`](crate::event_ref) defines the fields and their order. A change of the encoding
//! requires a new version of the [`record`](crate::record).

use std::collections::BTreeMap;
use std::iter::from_fn;

use crate::{Level, Stage, Timestamp, plain};

/// A type that can be a field of a record. It borrows its data from the encoded bytes.
pub(crate) trait Field<'a>: Sized {
    /// The owned form of the type.
    type Owned: 'a;

    /// Borrow from an owned value.
    fn from_owned(owned: &'a Self::Owned) -> Self;

    /// Read a value from the front of the bytes; `None` if the bytes are invalid. Unless `CHECKED`,
    /// texts that are not UTF-8 and map keys out of order are not detected.
    fn read<const CHECKED: bool>(encoded: &mut &'a [u8]) -> Option<Self>;

    /// Skip a value at the front of the bytes. Accepts at least all bytes that `read` accepts.
    fn skip(encoded: &mut &'a [u8]) -> Option<()> {
        Self::read::<false>(encoded).map(drop)
    }

    /// Encode a value at the end of the bytes.
    fn write(owned: &Self::Owned, encoded: &mut Vec<u8>);

    /// Copy the value to its owned form.
    fn to_owned_form(&self) -> Self::Owned;
}

/// UTF-8 text, with a flag that says whether it needs no escape sequence in a JSON string: a single
/// pass checks both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    is_plain: bool,
}

impl<'a> Text<'a> {
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The text as a string. The UTF-8 was checked when the field was read.
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

    pub(crate) fn equals(self, word: &str) -> bool {
        self.bytes == word.as_bytes()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        Self { bytes, is_plain: plain::is_plain(bytes) }
    }
}

impl<'a> Field<'a> for Text<'a> {
    type Owned = String;

    fn from_owned(owned: &'a String) -> Self {
        Self::from(owned.as_str())
    }

    fn read<const CHECKED: bool>(encoded: &mut &'a [u8]) -> Option<Self> {
        let len = length(encoded)?;
        let bytes = encoded.split_off(..len)?;
        if !CHECKED {
            return Some(Self { bytes, is_plain: false });
        }
        let is_plain = plain::is_plain(bytes);
        (is_plain || std::str::from_utf8(bytes).is_ok()).then_some(Self { bytes, is_plain })
    }

    #[inline]
    fn skip(encoded: &mut &'a [u8]) -> Option<()> {
        let len = length(encoded)?;
        *encoded = encoded.get(len..)?;
        Some(())
    }

    fn write(owned: &String, encoded: &mut Vec<u8>) {
        write_number(owned.len() as u64, encoded);
        encoded.extend_from_slice(owned.as_bytes());
    }

    fn to_owned_form(&self) -> String {
        String::from_utf8_lossy(self.bytes).into_owned()
    }
}

/// A list of values.
pub(crate) enum List<'a, T: Field<'a>> {
    /// Encoded, and already checked.
    Read(&'a [u8]),
    Borrowed(&'a [T::Owned]),
}

impl<'a, T: Field<'a>> List<'a, T> {
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::Read([]) | Self::Borrowed([]))
    }

    pub(crate) fn for_each(&self, take: impl FnMut(T)) {
        match *self {
            Self::Read(mut rest) => from_fn(|| T::read::<true>(&mut rest)).for_each(take),
            Self::Borrowed(owned) => owned.iter().map(T::from_owned).for_each(take),
        }
    }
}

impl<'a, T: Field<'a>> Field<'a> for List<'a, T> {
    type Owned = Vec<T::Owned>;

    fn from_owned(owned: &'a Self::Owned) -> Self {
        Self::Borrowed(owned)
    }

    fn read<const CHECKED: bool>(encoded: &mut &'a [u8]) -> Option<Self> {
        counted(encoded, |rest| T::read::<CHECKED>(rest).map(drop)).map(Self::Read)
    }

    fn skip(encoded: &mut &'a [u8]) -> Option<()> {
        counted(encoded, T::skip).map(drop)
    }

    fn write(owned: &Self::Owned, encoded: &mut Vec<u8>) {
        write_number(owned.len() as u64, encoded);
        for field in owned {
            T::write(field, encoded);
        }
    }

    fn to_owned_form(&self) -> Self::Owned {
        let mut owned = Vec::new();
        self.for_each(|field| owned.push(field.to_owned_form()));
        owned
    }
}

/// A map of values, in the order of their keys.
pub(crate) enum Map<'a, T: Field<'a>> {
    /// Encoded, and already checked.
    Read(&'a [u8]),
    Borrowed(&'a BTreeMap<String, T::Owned>),
}

impl<'a, T: Field<'a>> Map<'a, T> {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Read(bytes) => bytes.is_empty(),
            Self::Borrowed(owned) => owned.is_empty(),
        }
    }

    pub(crate) fn for_each(&self, take: impl FnMut((Text<'a>, T))) {
        match *self {
            Self::Read(mut rest) => from_fn(|| entry::<_, true>(&mut rest)).for_each(take),
            Self::Borrowed(owned) => {
                owned
                    .iter()
                    .map(|(name, field)| (Text::from_owned(name), T::from_owned(field)))
                    .for_each(take);
            }
        }
    }
}

impl<'a, T: Field<'a>> Field<'a> for Map<'a, T> {
    type Owned = BTreeMap<String, T::Owned>;

    fn from_owned(owned: &'a Self::Owned) -> Self {
        Self::Borrowed(owned)
    }

    /// Repeated or unordered keys mean damage: `write` never produces them.
    fn read<const CHECKED: bool>(encoded: &mut &'a [u8]) -> Option<Self> {
        let mut last = None;
        let entries = counted(encoded, |rest| {
            let (name, _): (Text<'a>, T) = entry::<T, CHECKED>(rest)?;
            let is_next = last.replace(name.bytes).is_none_or(|last| last < name.bytes);
            (is_next || !CHECKED).then_some(())
        });
        entries.map(Self::Read)
    }

    fn skip(encoded: &mut &'a [u8]) -> Option<()> {
        counted(encoded, |rest| Text::skip(rest).and_then(|()| T::skip(rest))).map(drop)
    }

    fn write(owned: &Self::Owned, encoded: &mut Vec<u8>) {
        write_number(owned.len() as u64, encoded);
        for (name, field) in owned {
            Text::write(name, encoded);
            T::write(field, encoded);
        }
    }

    fn to_owned_form(&self) -> Self::Owned {
        let mut owned = BTreeMap::new();
        self.for_each(|(name, field)| {
            drop(owned.insert(name.to_owned_form(), field.to_owned_form()));
        });
        owned
    }
}

fn entry<'a, T: Field<'a>, const CHECKED: bool>(encoded: &mut &'a [u8]) -> Option<(Text<'a>, T)> {
    Some((Field::read::<CHECKED>(encoded)?, Field::read::<CHECKED>(encoded)?))
}

/// Read a count, and return the bytes of this many values. `check` consumes each of them.
fn counted<'a>(
    encoded: &mut &'a [u8],
    mut check: impl FnMut(&mut &'a [u8]) -> Option<()>,
) -> Option<&'a [u8]> {
    let len = length(encoded)?;
    let start = *encoded;
    for _ in 0..len {
        check(encoded)?;
    }
    start.get(..start.len() - encoded.len())
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    type Owned = Option<T::Owned>;

    fn from_owned(owned: &'a Self::Owned) -> Self {
        owned.as_ref().map(T::from_owned)
    }

    fn read<const CHECKED: bool>(encoded: &mut &'a [u8]) -> Option<Self> {
        match encoded.split_off_first()? {
            0 => Some(None),
            1 => T::read::<CHECKED>(encoded).map(Some),
            _ => None,
        }
    }

    fn skip(encoded: &mut &'a [u8]) -> Option<()> {
        match encoded.split_off_first()? {
            0 => Some(()),
            1 => T::skip(encoded),
            _ => None,
        }
    }

    fn write(owned: &Self::Owned, encoded: &mut Vec<u8>) {
        encoded.push(u8::from(owned.is_some()));
        if let Some(field) = owned {
            T::write(field, encoded);
        }
    }

    fn to_owned_form(&self) -> Self::Owned {
        self.as_ref().map(T::to_owned_form)
    }
}

/// Implements [`Field`] for a type that is encoded as a number. A macro, because no function can
/// implement a trait.
macro_rules! number {
    ($field:ty: $of_number:expr, $number:expr) => {
        impl<'a> Field<'a> for $field {
            type Owned = Self;

            fn from_owned(owned: &'a Self) -> Self {
                *owned
            }

            fn read<const CHECKED: bool>(encoded: &mut &'a [u8]) -> Option<Self> {
                number(encoded).and_then($of_number)
            }

            fn write(owned: &Self, encoded: &mut Vec<u8>) {
                write_number($number(*owned), encoded);
            }

            fn to_owned_form(&self) -> Self {
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
number!(Level: |index| at_index(&Self::ALL, index), |level| index_of(&Self::ALL, &level));
number!(Stage: |index| at_index(&Self::ALL, index), |stage| index_of(&Self::ALL, &stage));

/// The index of a value in a fixed list of names.
fn index_of<T: PartialEq>(all: &[T], word: &T) -> u64 {
    all.iter().position(|known| known == word).unwrap_or_default() as u64
}

fn at_index<T: Copy>(all: &[T], index: u64) -> Option<T> {
    all.get(usize::try_from(index).ok()?).copied()
}

/// Read a length. Every value takes at least one byte, so the length cannot exceed the remaining
/// bytes.
#[inline]
fn length(encoded: &mut &[u8]) -> Option<usize> {
    let len = usize::try_from(number(encoded)?).ok()?;
    (len <= encoded.len()).then_some(len)
}

#[inline]
fn number(encoded: &mut &[u8]) -> Option<u64> {
    match **encoded {
        // The common case.
        [byte @ ..0x80, ref rest @ ..] => {
            *encoded = rest;
            Some(u64::from(byte))
        }
        _ => long_number(encoded),
    }
}

fn long_number(encoded: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = encoded.split_off_first()?;
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

fn write_number(number: u64, encoded: &mut Vec<u8>) {
    let mut rest = number;
    loop {
        let [low, ..] = rest.to_le_bytes();
        if rest <= 0x7f {
            return encoded.push(low);
        }
        encoded.push(low | 0x80);
        rest >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a, T: Field<'a>>(mut encoded: &'a [u8]) -> Option<T> {
        T::read::<true>(&mut encoded)
    }

    #[test]
    fn numbers_round_trip() {
        for expected in [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 63, u64::MAX] {
            let mut encoded = Vec::new();
            write_number(expected, &mut encoded);
            assert_eq!(number(&mut encoded.as_slice()), Some(expected));
            assert_eq!(number(&mut &encoded[..encoded.len() - 1]), None);
        }
        assert_eq!(number(&mut [0xff; 10].as_slice()), None, "more than 64 bits");
        assert_eq!(read::<u16>(&[0x80, 0x80, 0x04]), None, "more than 16 bits");
    }

    #[test]
    fn a_length_beyond_the_end_is_invalid() {
        assert_eq!(read::<Text<'_>>(&[3, b'a', b'b']), None);
        assert!(read::<List<'_, Text<'_>>>(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_none());
        assert!(read::<List<'_, Text<'_>>>(&[2, 1, b'a']).is_none());
        assert_eq!(read::<Option<Text<'_>>>(&[2, 0]), None);
    }

    #[test]
    fn a_text_must_be_utf8() {
        for bytes in [&b"\xff"[..], b"\xc3", b"abcdefgh\xff", b"abcdefghijklmnop\xc3("] {
            let encoded = [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
            assert_eq!(read::<Text<'_>>(&encoded), None, "{bytes:?}");
        }
        assert_eq!(read::<Text<'_>>(&[2, 0xc3, 0xa9]), Some(Text::from("\u{e9}")));
    }

    #[test]
    fn keys_of_a_map_must_ascend() {
        let map = |names: [u8; 2]| [2, 1, names[0], 0, 1, names[1], 0];
        assert!(read::<Map<'_, Text<'_>>>(&map(*b"ab")).is_some());
        assert!(read::<Map<'_, Text<'_>>>(&map(*b"ba")).is_none());
        assert!(read::<Map<'_, Text<'_>>>(&map(*b"aa")).is_none());
    }
}
