//! The binary encoding of checkpoints: compact, and decoded with bounds.
//!
//! Numbers are LEB128; texts and lists have a length prefix. Corruption is an error and never a
//! panic: every length is compared with the remaining bytes.
//!
//! Deliberately absent: the contents of the state. Each part declares its encoding beside its
//! fields.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::digest::Digest;

/// Why a checkpoint cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// This version cannot read the format version.
    #[error("the checkpoint has format {0:?}, which this version cannot read: start without it")]
    Version(Option<u8>),
    /// The checkpoint is truncated or corrupt.
    #[error("the checkpoint is damaged: {0}: start without it")]
    Damaged(&'static str),
}

/// The rest of an encoded state.
pub(crate) struct Decoder<'a> {
    pub(crate) rest: &'a [u8],
    /// The format version, for parts that earlier versions encoded in another way.
    pub(crate) version: u8,
}

impl<'a> Decoder<'a> {
    /// Bytes in the current format.
    pub(crate) const fn current(rest: &'a [u8]) -> Self {
        Self { rest, version: VERSION }
    }
}

/// The current format version. Versions 1 to 4 are still read.
pub(crate) const VERSION: u8 = 5;

/// A type with an encoding in checkpoints.
pub(crate) trait Saved: Sized {
    fn save(&self, to: &mut Vec<u8>);
    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError>;
}

const UNEXPECTED_END: CheckpointError = CheckpointError::Damaged("it ends too early");

/// Reads a length prefix and that many bytes.
pub(crate) fn bytes<'a>(from: &mut Decoder<'a>) -> Result<&'a [u8], CheckpointError> {
    let len = length(from)?;
    from.rest.split_off(..len).ok_or(UNEXPECTED_END)
}

pub(crate) fn save_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    (bytes.len() as u64).save(to);
    to.extend_from_slice(bytes);
}

/// Reads a length that the remaining bytes can hold: every element takes at least one byte.
fn length(from: &mut Decoder<'_>) -> Result<usize, CheckpointError> {
    let len = usize::try_from(u64::load(from)?).map_err(|_| UNEXPECTED_END)?;
    if len <= from.rest.len() { Ok(len) } else { Err(UNEXPECTED_END) }
}

impl Saved for u64 {
    fn save(&self, to: &mut Vec<u8>) {
        let mut rest = *self;
        loop {
            let [low, ..] = rest.to_le_bytes();
            if rest <= 0x7f {
                return to.push(low);
            }
            to.push(low | 0x80);
            rest >>= 7;
        }
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let mut number = 0;
        for shift in (0..Self::BITS).step_by(7) {
            let byte = *from.rest.split_off_first().ok_or(UNEXPECTED_END)?;
            let bits = Self::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(CheckpointError::Damaged("a number is too long"))
    }
}

impl Saved for i64 {
    /// Zigzag encoding, so that small negative numbers are short too.
    fn save(&self, to: &mut Vec<u8>) {
        ((self << 1) ^ (self >> 63)).cast_unsigned().save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let number = u64::load(from)?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

/// Encodes a smaller integer as a large one. A function cannot implement a trait for several types.
macro_rules! saved_numbers {
    ($($number:ty)+) => {$(
        impl Saved for $number {
            fn save(&self, to: &mut Vec<u8>) {
                u64::from(*self).save(to);
            }

            fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
                <$number>::try_from(u64::load(from)?)
                    .map_err(|_| CheckpointError::Damaged("a number is out of range"))
            }
        }
    )+};
}

saved_numbers!(u8 u16 u32);

impl Saved for usize {
    fn save(&self, to: &mut Vec<u8>) {
        (*self as u64).save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        Self::try_from(u64::load(from)?)
            .map_err(|_| CheckpointError::Damaged("a number is out of range"))
    }
}

impl Saved for bool {
    fn save(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        match u8::load(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(CheckpointError::Damaged("a boolean is out of range")),
        }
    }
}

impl Saved for Digest {
    fn save(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let (digest, rest) = from.rest.split_first_chunk().ok_or(UNEXPECTED_END)?;
        from.rest = rest;
        Ok(Self(*digest))
    }
}

impl Saved for String {
    fn save(&self, to: &mut Vec<u8>) {
        save_bytes(self.as_bytes(), to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let text = std::str::from_utf8(bytes(from)?);
        text.map(str::to_owned).map_err(|_| CheckpointError::Damaged("a text is not UTF-8"))
    }
}

impl Saved for Arc<str> {
    fn save(&self, to: &mut Vec<u8>) {
        save_bytes(self.as_bytes(), to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        String::load(from).map(Self::from)
    }
}

impl<T: Saved> Saved for Option<T> {
    fn save(&self, to: &mut Vec<u8>) {
        self.is_some().save(to);
        if let Some(part) = self {
            part.save(to);
        }
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        bool::load(from)?.then(|| T::load(from)).transpose()
    }
}

impl<T: Saved> Saved for Box<T> {
    fn save(&self, to: &mut Vec<u8>) {
        T::save(self, to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        T::load(from).map(Self::new)
    }
}

impl<A: Saved, B: Saved> Saved for (A, B) {
    fn save(&self, to: &mut Vec<u8>) {
        self.0.save(to);
        self.1.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        Ok((A::load(from)?, B::load(from)?))
    }
}

impl<A: Saved, B: Saved, C: Saved> Saved for (A, B, C) {
    fn save(&self, to: &mut Vec<u8>) {
        self.0.save(to);
        self.1.save(to);
        self.2.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        Ok((A::load(from)?, B::load(from)?, C::load(from)?))
    }
}

/// Encodes a collection as its length and elements. A function cannot implement a trait for
/// several types.
macro_rules! saved_collections {
    ($($collection:ident<$($part:ident $(: $bound:ident)?),+> of $element:ty;)+) => {$(
        impl<$($part: Saved $(+ $bound)?),+> Saved for $collection<$($part),+> {
            fn save(&self, to: &mut Vec<u8>) {
                (self.len() as u64).save(to);
                for element in self {
                    save_element(element, to);
                }
            }

            fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
                (0..length(from)?).map(|_| <$element>::load(from)).collect()
            }
        }
    )+};
}

saved_collections! {
    Vec<T> of T;
    VecDeque<T> of T;
    BTreeSet<T: Ord> of T;
    BTreeMap<K: Ord, V> of (K, V);
}

fn save_element(element: impl SavedElement, to: &mut Vec<u8>) {
    element.save_element(to);
}

/// The item of a collection's iterator.
trait SavedElement {
    fn save_element(self, to: &mut Vec<u8>);
}

impl<T: Saved> SavedElement for &T {
    fn save_element(self, to: &mut Vec<u8>) {
        self.save(to);
    }
}

impl<K: Saved, V: Saved> SavedElement for (&K, &V) {
    fn save_element(self, to: &mut Vec<u8>) {
        self.0.save(to);
        self.1.save(to);
    }
}

/// Encodes a struct as its fields, in order. Fields behind `since` are absent in checkpoints of
/// earlier format versions. A function cannot name fields.
macro_rules! saved_struct {
    ($name:ty { $($field:ident),+ $(,)? } $(since $version:literal { $($new:ident),+ })*) => {
        impl $crate::engine::codec::Saved for $name {
            fn save(&self, to: &mut Vec<u8>) {
                $($crate::engine::codec::Saved::save(&self.$field, to);)+
                $($($crate::engine::codec::Saved::save(&self.$new, to);)+)*
            }

            fn load(
                from: &mut $crate::engine::codec::Decoder<'_>,
            ) -> Result<Self, $crate::engine::codec::CheckpointError> {
                Ok(Self {
                    $($field: $crate::engine::codec::Saved::load(from)?,)+
                    $($($new: if from.version < $version {
                        Default::default()
                    } else {
                        $crate::engine::codec::Saved::load(from)?
                    },)+)*
                })
            }
        }
    };
}
pub(crate) use saved_struct;

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Saved + PartialEq + std::fmt::Debug>(value: &T) {
        let mut saved = Vec::new();
        value.save(&mut saved);
        assert_eq!(T::load(&mut Decoder::current(&saved)).as_ref(), Ok(value));
        for len in 0..saved.len() {
            assert!(
                T::load(&mut Decoder::current(&saved[..len])).is_err(),
                "{value:?} cut at {len}"
            );
        }
    }

    #[test]
    fn values_survive_a_round_trip_and_truncation_is_an_error() {
        check(&0_u64);
        check(&u64::MAX);
        check(&i64::MIN);
        check(&-1_i64);
        check(&300_u16);
        check(&"text".to_owned());
        check(&vec![Some(1_i64), None]);
        check(&BTreeMap::from([(1_u64, "a".to_owned()), (2, "b".to_owned())]));
        check(&Digest([7; 16]));
    }

    #[test]
    fn a_length_beyond_the_end_is_rejected_before_allocation() {
        let mut saved = Vec::new();
        u64::MAX.save(&mut saved);
        assert!(Vec::<u64>::load(&mut Decoder::current(&saved)).is_err());
        assert!(String::load(&mut Decoder::current(&saved)).is_err());
    }
}
