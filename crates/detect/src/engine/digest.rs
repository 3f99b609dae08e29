//! Digests of bounded size for keys and values that a client may choose.
//!
//! A truncated SHA-256: a client cannot construct two texts that share a counter, and a key costs
//! the same memory for a text of any length.

use sha2::{Digest as _, Sha256};

/// The first half of a SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(pub(crate) [u8; 16]);

impl Digest {
    /// The digest of a sequence of texts; their boundaries are part of it.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Hasher::default();
        parts.into_iter().for_each(|part| hasher.part(part));
        hasher.finish()
    }

    /// The first `len` characters in an alphabet of 32, all valid in a DNS label.
    pub(crate) fn label(self, len: usize) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut bits = u128::from_be_bytes(self.0);
        let mut label = String::with_capacity(len);
        for _ in 0..len {
            let index = (bits >> 123) as usize;
            label.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'a')));
            bits <<= 5;
        }
        label
    }
}

/// Hashes texts one by one.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn part(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    pub(crate) fn finish(self) -> Digest {
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(self.0.finalize()) {
            *to = from;
        }
        Digest(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundaries_of_parts_change_the_digest() {
        let of = |parts: &[&str]| Digest::of(parts.iter().map(|part| part.as_bytes()));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", ""]), of(&["ab"]));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
    }

    #[test]
    fn a_label_is_valid_in_a_name() {
        let label = Digest([0xff; 16]).label(20);
        assert_eq!(label, "7".repeat(20));
        assert_eq!(Digest([0; 16]).label(20), "a".repeat(20));
    }
}
