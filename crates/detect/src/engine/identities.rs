//! Deduplication: the identities of the events that were counted.
//!
//! An identity is remembered for a day or until there are too many. The oldest are evicted first,
//! and early evictions are counted.

use std::collections::{BTreeSet, VecDeque};

use super::codec::{CheckpointError, Decoder, Saved};
use super::digest::Digest;
use super::settings::IDENTITY_RETENTION;

/// Identities in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    known: BTreeSet<Digest>,
    by_arrival: VecDeque<(i64, Digest)>,
    /// Number of identities evicted before their time.
    pub(crate) forgotten: u64,
}

impl Identities {
    /// Remembers an event. Returns whether it is new.
    pub(crate) fn insert(&mut self, now: i64, identity: Digest, len_max: usize) -> bool {
        while let Some(&(arrival, oldest)) = self.by_arrival.front() {
            let is_over = arrival <= now - IDENTITY_RETENTION;
            if !is_over && self.known.len() < len_max {
                break;
            }
            self.by_arrival.pop_front();
            self.known.remove(&oldest);
            self.forgotten += u64::from(!is_over);
        }
        let is_new = self.known.insert(identity);
        if is_new {
            self.by_arrival.push_back((now, identity));
        }
        is_new
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

impl Saved for Identities {
    fn save(&self, to: &mut Vec<u8>) {
        self.forgotten.save(to);
        self.by_arrival.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let forgotten = u64::load(from)?;
        let by_arrival = VecDeque::<(i64, Digest)>::load(from)?;
        let known = by_arrival.iter().map(|(_, identity)| *identity).collect();
        Ok(Self { known, by_arrival, forgotten })
    }
}
