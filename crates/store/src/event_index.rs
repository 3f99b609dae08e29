//! The index of events: finds the parts of the journal that may contain events of a user, a verb, a
//! namespace and so on.
//!
//! The journal is divided into segments of [`SEGMENT_RECORDS`] sequence numbers, and a segment into
//! blocks. The index has one file for each complete segment. It contains the postings of each term
//! ([`event::term`]), and the first and last time of each block's events. A segment is written
//! once, when it is complete. Later records are examined one by one, and so are those of a segment
//! that is not in the index.
//!
//! The index is a cache: a file that is lost, damaged or of another layout is rebuilt from the
//! journal. It returns all records that have the terms, and a few others whose hashes collide.
//! Testing those records against the full condition gives exactly the result of a scan of the
//! journal. A segment is used only after [`belongs_to`](StoredSegment::belongs_to) has confirmed
//! that it belongs to this journal, because sequence numbers repeat after an older copy of the
//! store is restored.
//!
//! Two things are deliberately absent: filling the index (crate `delivery`), and the meaning of a
//! selector (crate `siem`).

mod builder;
mod column;
mod file;
mod position_set;
mod posting_lists;

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::term::Term;
use rusqlite::Connection;

use crate::Record;
use builder::{BLOCKS, COLUMNS};
use position_set::{POSITIONS, PositionSet};

pub use builder::SegmentBuilder;
pub use column::{REQUESTS_MAX, VALUES_MAX};

/// The number of sequence numbers in a segment.
pub const SEGMENT_RECORDS: u64 = 1 << 14;
/// The number of sequence numbers in a block, for which times are stored.
pub const BLOCK_RECORDS: u64 = 1 << 10;
/// The maximum number of segments that one call searches. It bounds the wait of a writer to the
/// index.
pub const SEGMENTS_MAX: usize = 64;
/// A call stops searching once it has found this many records.
pub const SELECTED_MIN: u64 = 512;
/// The maximum size of the index per event, in bytes, for any values that clients send.
pub const EVENT_BYTES_MAX: u64 = 32;
/// The number of records in a range that has no index.
const RANGE_RECORDS: u64 = 512;
/// Gaps of up to this many records are read along, because that is faster than a second lookup.
const READ_THROUGH_MAX: u16 = 3;

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The operating system denied an operation.
    #[error("cannot use {}: check that this user may write to it", path.display())]
    Path {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// SQLite failed.
    #[error("the index of events cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// The file has another layout although it was just created.
    #[error("the index of events has another layout: delete the file")]
    Layout,
}

/// The index of a store's events.
pub struct EventIndex {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// `None` until the file is opened again.
    file: Option<Connection>,
    /// The segments that are known to belong to this journal, with the times of their events.
    usable: BTreeMap<u64, Times>,
}

/// The first and the last time of a set of events, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    first: i64,
    last: i64,
}

impl Times {
    /// The times of an empty set.
    const NONE: Self = Self { first: i64::MAX, last: i64::MIN };

    fn overlap(self, since: i64, until: i64) -> bool {
        self.last >= since && self.first < until
    }
}

/// A complete segment, ready to be written.
pub struct Segment {
    number: u64,
    last: LastRecord,
    times: [Option<Times>; BLOCKS],
    columns: Vec<Vec<u8>>,
}

/// Identifies the last record of a segment, because sequence numbers can repeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LastRecord {
    seq: u64,
    time: i64,
    crc: u32,
}

impl From<Option<&Record>> for LastRecord {
    /// A record that cannot be read gets the default, which equals that of no readable record.
    fn from(record: Option<&Record>) -> Self {
        record.map_or_else(Self::default, |record| Self {
            seq: record.seq,
            time: record.time,
            crc: crc32fast::hash(&record.bytes),
        })
    }
}

/// A segment in the file.
#[derive(Clone, Copy, Debug)]
pub struct StoredSegment {
    number: u64,
    last: LastRecord,
    times: Times,
}

impl StoredSegment {
    /// Sequence number of the segment's last record.
    pub fn last_seq(&self) -> u64 {
        last_of(self.number)
    }

    /// Whether the segment was built from the journal in which `record` is the last record of the
    /// segment.
    pub fn belongs_to(&self, record: Option<&Record>) -> bool {
        self.last == record.into()
    }
}

/// A query of the index.
#[derive(Clone, Debug)]
pub struct IndexQuery {
    /// The terms, all of which an event must have.
    pub terms: Vec<Term>,
    /// The earliest time of an event, in microseconds since the Unix epoch, inclusive.
    pub since: i64,
    /// The latest time of an event, exclusive.
    pub until: i64,
    /// Whether the newest events are returned first.
    pub newest_first: bool,
}

/// The result of a query: the records to examine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Ranges of sequence numbers, in the requested order. Records between them do not match.
    pub ranges: Vec<RangeInclusive<u64>>,
    /// The range that is not searched yet.
    pub rest: Option<RangeInclusive<u64>>,
}

impl EventIndex {
    /// The index of a store, in a file next to the store's. The file is opened, or created, on
    /// first use, and no segment in it is used before it is [accepted](Self::accept).
    pub fn new(store: &Path) -> Self {
        let path = crate::open::sibling(store, "-events");
        Self { path, state: Mutex::new(State { file: None, usable: BTreeMap::new() }) }
    }

    /// The size of the file in bytes; 0 if it does not exist.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// The segments in the file, in ascending order.
    pub fn stored(&self) -> Result<Vec<StoredSegment>, IndexError> {
        let segments = self.with(|file| file::segments(file))?;
        let stored = |(number, last, times)| StoredSegment { number, last, times };
        Ok(segments.into_iter().map(stored).collect())
    }

    /// Use a segment from now on.
    pub fn accept(&self, segment: &StoredSegment) {
        self.state().usable.insert(segment.number, segment.times);
    }

    /// Delete a segment.
    pub fn reject(&self, segment: &StoredSegment) -> Result<(), IndexError> {
        self.delete(segment.number, segment.number + 1)
    }

    /// Delete all segments before that of the record `seq`.
    pub fn forget_before(&self, seq: u64) -> Result<(), IndexError> {
        let end = segment_of(seq);
        if self.state().usable.first_key_value().is_none_or(|(first, _)| *first >= end) {
            return Ok(());
        }
        self.delete(0, end)
    }

    /// Write a segment and use it from now on.
    pub fn put(&self, segment: &Segment) -> Result<(), IndexError> {
        self.with(|file| file::put(file, segment))?;
        let times = segment.times.iter().flatten();
        let times = times.fold(Times::NONE, |all, block| Times {
            first: all.first.min(block.first),
            last: all.last.max(block.last),
        });
        self.state().usable.insert(segment.number, times);
        Ok(())
    }

    /// The first segment without a usable index, beginning with that of the record `seq`.
    pub fn next_missing(&self, seq: u64) -> u64 {
        let state = self.state();
        let mut next = segment_of(seq);
        for (number, _) in state.usable.range(next..) {
            if *number != next {
                break;
            }
            next += 1;
        }
        next
    }

    /// The records within a range that may match a query.
    pub fn select(&self, query: &IndexQuery, within: RangeInclusive<u64>) -> Selection {
        let (mut first, mut last) = within.into_inner();
        let mut selection = Selection::default();
        let mut count = 0;
        let mut state = self.state();
        for _ in 0..SEGMENTS_MAX {
            if first > last {
                return selection;
            }
            let number = segment_of(if query.newest_first { last } else { first });
            let (mut start, mut end) = (first.max(first_of(number)), last.min(last_of(number)));
            if let Some(positions) = state.find(query, number) {
                count += add_ranges(query, &positions, number, start..=end, &mut selection.ranges);
            } else {
                if query.newest_first {
                    start = start.max(end.saturating_sub(RANGE_RECORDS - 1));
                } else {
                    end = end.min(start + (RANGE_RECORDS - 1));
                }
                count += end - start + 1;
                selection.ranges.push(start..=end);
            }
            if query.newest_first {
                last = start.saturating_sub(1);
            } else {
                first = end + 1;
            }
            if count >= SELECTED_MIN {
                break;
            }
        }
        selection.rest = (first <= last).then_some(first..=last);
        selection
    }

    fn delete(&self, first: u64, end: u64) -> Result<(), IndexError> {
        self.state().usable.retain(|number, _| !(first..end).contains(number));
        self.with(|file| file::delete(file, first, end))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Run an operation on the file. A file that turns out to be damaged is deleted and created
    /// again.
    fn with<T>(
        &self,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        let mut state = self.state();
        if let Some(file) = &mut state.file {
            match work(file) {
                Err(error) if file::is_unusable(&error) => {
                    tracing::warn!(%error, "the index of events is damaged; it is created again");
                }
                done => return Ok(done?),
            }
            *state = State { file: None, usable: BTreeMap::new() };
            file::remove(&self.path)?;
        }
        let file = state.file.insert(file::open(&self.path)?);
        Ok(work(file)?)
    }
}

impl State {
    /// The positions in a segment that may match; `None` if the segment has no usable index.
    fn find(&mut self, query: &IndexQuery, number: u64) -> Option<PositionSet> {
        let times = *self.usable.get(&number)?;
        if !times.overlap(query.since, query.until) {
            return Some(PositionSet::none());
        }
        let positions = self.file.as_ref().map(|file| find(file, query, number, times));
        let positions = positions.and_then(|positions| {
            positions.unwrap_or_else(|error| {
                tracing::warn!(%error, "the index of events cannot be read");
                None
            })
        });
        if positions.is_none() {
            // The segment will be rebuilt; until then its records are examined one by one.
            self.usable.remove(&number);
        }
        positions
    }
}

/// Search a segment. `None` if a part of it is damaged.
fn find(
    file: &Connection,
    query: &IndexQuery,
    number: u64,
    times: Times,
) -> rusqlite::Result<Option<PositionSet>> {
    let mut positions = PositionSet::all();
    if times.first < query.since || times.last >= query.until {
        let Some(times) = file::times(file, number)? else { return Ok(None) };
        positions = PositionSet::none();
        for (block, times) in (0..).zip(times) {
            if times.unwrap_or(Times::NONE).overlap(query.since, query.until) {
                positions.insert_range(
                    block * BLOCK_POSITIONS..=block * BLOCK_POSITIONS + (BLOCK_POSITIONS - 1),
                );
            }
        }
    }
    for column in 0..COLUMNS {
        let mut terms =
            query.terms.iter().filter(|term| builder::column_of(term.field) == column).peekable();
        if terms.peek().is_none() {
            continue;
        }
        if positions.is_empty() {
            break;
        }
        let of_terms = file::column(file, number, column, |bytes| match column {
            builder::REQUEST => {
                let fields = terms.filter_map(|term| builder::request_field(term, number));
                column::find_requests(bytes, &fields.collect::<Vec<_>>())
            }
            _ => find_all(bytes, number, terms),
        })?;
        let Some(of_terms) = of_terms else { return Ok(None) };
        positions.retain(&of_terms);
    }
    Ok(Some(positions))
}

/// The positions that may have all of these terms.
fn find_all<'a>(
    bytes: &[u8],
    segment: u64,
    terms: impl Iterator<Item = &'a Term>,
) -> Option<PositionSet> {
    let find = |term: Term| column::find(bytes, builder::salted(term.hash, segment));
    let mut positions = PositionSet::all();
    for term in terms {
        let mut of_term = find(*term)?;
        if let Some(term) = term.alternative() {
            of_term.extend(&find(term)?);
        }
        positions.retain(&of_term);
    }
    Some(positions)
}

/// Append the positions within `part` of a segment as ranges of sequence numbers. Returns the
/// number of records.
fn add_ranges(
    query: &IndexQuery,
    positions: &PositionSet,
    segment: u64,
    part: RangeInclusive<u64>,
    ranges: &mut Vec<RangeInclusive<u64>>,
) -> u64 {
    let (first, last) = part.into_inner();
    let begin = ranges.len();
    let mut count = 0;
    for run in positions.runs(READ_THROUGH_MAX) {
        let seq = |position: u16| first_of(segment) + u64::from(position);
        let (start, end) = (seq(*run.start()).max(first), seq(*run.end()).min(last));
        if start <= end {
            ranges.push(start..=end);
            count += end - start + 1;
        }
    }
    if query.newest_first {
        ranges.get_mut(begin..).unwrap_or_default().reverse();
    }
    count
}

/// The segment of a record.
fn segment_of(seq: u64) -> u64 {
    seq.saturating_sub(1) / SEGMENT_RECORDS
}

/// Sequence number of the first record of a segment.
pub fn first_of(segment: u64) -> u64 {
    segment * SEGMENT_RECORDS + 1
}

/// Sequence number of the last record of a segment.
pub fn last_of(segment: u64) -> u64 {
    (segment + 1) * SEGMENT_RECORDS
}

/// The number of positions in a block.
const BLOCK_POSITIONS: u16 = POSITIONS >> BLOCKS.ilog2();

const _: () = assert!(SEGMENT_RECORDS == POSITIONS as u64 && BLOCKS.is_power_of_two());
