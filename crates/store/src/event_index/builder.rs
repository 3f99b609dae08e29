//! Gathers the terms of the records of one segment.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use event::View;
use event::term::TermField;

use super::column::{self, Posting, pair};
use super::{BLOCK_RECORDS, GRANULE_RECORDS, SEGMENT_RECORDS, Segment, Times, first_of};
use crate::Record;

/// Columns with few values.
pub(super) const SHARED: usize = 4;
/// All columns.
pub(super) const COLUMNS: usize = SHARED + 2;
/// Blocks of a segment.
pub(super) const BLOCKS: usize = (SEGMENT_RECORDS / BLOCK_RECORDS) as usize;

/// A segment in the making. The next block follows when an event of it is added.
pub struct SegmentBuilder {
    segment: u64,
    block: u8,
    times: [Option<Times>; BLOCKS],
    values: HashMap<Key, Occurrence, BuildHasherDefault<Scrambled>>,
    requests: HashMap<u32, (Request, Occurrence), BuildHasherDefault<Scrambled>>,
    postings: [Vec<Posting>; SHARED],
    pairs: [Vec<u32>; COLUMNS - SHARED],
}

/// Where a value occurs in the present block.
#[derive(Clone, Copy, Default)]
struct Occurrence {
    granules: u16,
    events: u16,
    /// The last record that has it.
    last: u16,
}

impl Occurrence {
    fn add(&mut self, granule: u8, record: u16) {
        self.granules |= 1 << (granule & 15);
        self.events += u16::from(self.last != record);
        self.last = record;
    }
}

/// A column and a hash.
type Key = (u8, u32);

/// The hashes of all terms of [`REQUEST`] that an event has. Few of them differ, so they are counted
/// together.
type Request = [u32; REQUEST_TERMS];

/// The column of verbs, resources, codes and what else has few values.
const REQUEST: usize = 1;
/// Terms of an event in that column.
const REQUEST_TERMS: usize = 8;

impl SegmentBuilder {
    /// Nothing of the segment yet.
    pub fn new(segment: u64) -> Self {
        Self {
            segment,
            block: 0,
            times: [None; BLOCKS],
            values: HashMap::default(),
            requests: HashMap::default(),
            postings: Default::default(),
            pairs: Default::default(),
        }
    }

    /// Adds the event of a record of this segment, which comes after those that are there.
    pub fn add(&mut self, seq: u64, event: &View<'_>) {
        let offset = seq.saturating_sub(first_of(self.segment));
        let granule = u8::try_from(offset / GRANULE_RECORDS).unwrap_or(u8::MAX);
        let block = granule >> 4;
        if block != self.block {
            self.end_block();
            self.block = block;
        }
        let time = event.stage_timestamp().as_micros();
        if let Some(times) = self.times.get_mut(usize::from(block)) {
            let times = times.get_or_insert(Times { first: time, last: time });
            times.first = times.first.min(time);
            times.last = times.last.max(time);
        }
        // Counted from 1, so that a new value has been in none.
        let record = u16::try_from(offset % BLOCK_RECORDS).unwrap_or_default() + 1;
        let (mut request, mut terms) = ([0; REQUEST_TERMS], 0);
        event.for_each_term(|term| {
            let (column, hash) = (column_of(term.field), salted(term.hash, self.segment));
            match request.get_mut(terms).filter(|_| column == REQUEST) {
                Some(place) => {
                    *place = hash;
                    terms += 1;
                }
                None => self.insert(column, hash, granule, record),
            }
        });
        self.insert_request(request, granule, record);
    }

    fn insert(&mut self, column: usize, hash: u32, granule: u8, record: u16) {
        if let Some(pairs) = column.checked_sub(SHARED) {
            if let Some(pairs) = self.pairs.get_mut(pairs) {
                pairs.push(pair(hash, granule));
            }
            return;
        }
        let key = (u8::try_from(column).unwrap_or_default(), hash);
        self.values.entry(key).or_default().add(granule, record);
    }

    fn insert_request(&mut self, request: Request, granule: u8, record: u16) {
        let hash = request.iter().fold(0_u32, |all, hash| all.rotate_left(3) ^ hash);
        let entry = self.requests.entry(hash).or_insert((request, Occurrence::default()));
        if entry.0 == request {
            entry.1.add(granule, record);
        } else {
            // Two different ones with the same hash.
            for hash in request {
                self.insert(REQUEST, hash, granule, record);
            }
        }
    }

    #[expect(clippy::iter_over_hash_type, reason = "postings are sorted in the end")]
    fn end_block(&mut self) {
        for (_, (request, occurrence)) in self.requests.drain() {
            let column = u8::try_from(REQUEST).unwrap_or_default();
            for hash in request {
                let all = self.values.entry((column, hash)).or_default();
                all.granules |= occurrence.granules;
                all.events += occurrence.events;
            }
        }
        for ((column, hash), occurrence) in self.values.drain() {
            let Occurrence { granules, events, .. } = occurrence;
            if let Some(postings) = self.postings.get_mut(usize::from(column)) {
                postings.push(Posting { hash, block: self.block, granules, events });
            }
        }
    }

    /// The segment, whose last record is `last`; `None` if that cannot be read.
    pub fn finish(mut self, last: Option<&Record>) -> Segment {
        self.end_block();
        let shared = self.postings.iter_mut().map(|postings| column::of_postings(postings));
        let mut columns: Vec<Vec<u8>> = shared.collect();
        columns.extend(self.pairs.iter_mut().map(column::of_pairs));
        Segment { number: self.segment, last: last.into(), times: self.times, columns }
    }
}

/// The column that has the terms of a field.
pub(super) fn column_of(field: TermField) -> usize {
    match field {
        TermField::User => 0,
        TermField::Verb
        | TermField::Group
        | TermField::Resource
        | TermField::Subresource
        | TermField::VerbResource
        | TermField::VerbGroupResource
        | TermField::Code
        | TermField::Stage => REQUEST,
        TermField::Namespace => 2,
        TermField::SourceIp | TermField::MoreSourceIps => 3,
        TermField::Name => SHARED,
        TermField::AuditId => SHARED + 1,
    }
}

/// The hash of a term in a segment. Two values that share one do not share it in the next segment.
pub(super) fn salted(hash: u64, segment: u64) -> u32 {
    let mixed = (hash ^ segment).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let [.., a, b, c, d] = mixed.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The hash of a hash.
#[derive(Default)]
struct Scrambled(u64);

impl Hasher for Scrambled {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u32(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
