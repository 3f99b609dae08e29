//! The index of events: which parts of the journal are worth a look when somebody asks for events of a
//! user, a verb, a namespace and so on.
//!
//! The journal is cut into segments of [`SEGMENT_RECORDS`] numbers, a segment into blocks. For each
//! segment that is complete the index has, in a file of its own, in which records each term
//! ([`event::term`]) occurs, and the first and last time of each block's events. It is written once,
//! when the segment is complete; records after that are looked at one by one, and so are those of a
//! segment that is not there.
//!
//! Nothing in it is needed: a file that is lost, damaged, or of another layout is made again from the
//! journal. It names every record that has the terms and a few that do not, whose hashes are alike: a look
//! at those, with the condition itself, finds exactly what a look at everything would. A segment is used only once it
//! [`is_of`](StoredSegment::is_of) this journal: the numbers of records repeat after an older copy of
//! the store is restored.
//!
//! Absent on purpose: who fills it (crate `delivery`), and what a selector means (crate `siem`).

mod builder;
mod column;
mod file;
mod lists;
mod places;

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::term::Term;
use rusqlite::Connection;

use crate::Record;
use builder::{BLOCKS, COLUMNS};
use places::{PLACES, Places};

pub use builder::SegmentBuilder;
pub use column::{REQUESTS_MAX, VALUES_MAX};

/// Numbers of a segment.
pub const SEGMENT_RECORDS: u64 = 1 << 14;
/// Numbers of a block, whose times are kept.
pub const BLOCK_RECORDS: u64 = 1 << 10;
/// Segments that one call looks through: a writer to the index waits no longer than that.
pub const SEGMENTS_MAX: usize = 64;
/// Records from which on a call looks no further.
pub const SELECTED_MIN: u64 = 512;
/// Bytes of the index for an event at most, whatever clients send.
pub const EVENT_BYTES_MAX: u64 = 32;
/// Numbers of a range without an index.
const RANGE_RECORDS: u64 = 512;
/// Records between two others that are read with them: that takes less than to find the second one.
const GAP: u16 = 3;

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The operating system refused.
    #[error("cannot use {}: check that this user may write to it", path.display())]
    Path {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// SQLite failed.
    #[error("the index of events cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// The file has another layout although it was just made.
    #[error("the index of events has another layout: delete the file")]
    Layout,
}

/// The index of a store's events.
pub struct EventIndex {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// `None` until it can be opened again.
    file: Option<Connection>,
    /// The segments that are known to be of this journal, and the times of their events.
    usable: BTreeMap<u64, Times>,
}

/// The first and the last time of some events, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    first: i64,
    last: i64,
}

impl Times {
    /// There are no events.
    const NONE: Self = Self { first: i64::MAX, last: i64::MIN };

    fn overlap(self, since: i64, until: i64) -> bool {
        self.last >= since && self.first < until
    }
}

/// A complete segment, to be written.
pub struct Segment {
    number: u64,
    last: LastRecord,
    times: [Option<Times>; BLOCKS],
    columns: Vec<Vec<u8>>,
}

/// What tells the last record of a segment from another one with its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LastRecord {
    seq: u64,
    time: i64,
    crc: u32,
}

impl From<Option<&Record>> for LastRecord {
    /// One that cannot be read is like no other.
    fn from(record: Option<&Record>) -> Self {
        record.map_or_else(Self::default, |record| Self {
            seq: record.seq,
            time: record.time,
            crc: crc32fast::hash(&record.bytes),
        })
    }
}

/// A segment that is in the file.
#[derive(Clone, Copy, Debug)]
pub struct StoredSegment {
    number: u64,
    last: LastRecord,
    times: Times,
}

impl StoredSegment {
    /// The number of its last record.
    pub fn last_seq(&self) -> u64 {
        last_of(self.number)
    }

    /// Whether it was made of the journal that has this record as the last one of the segment.
    pub fn is_of(&self, record: Option<&Record>) -> bool {
        self.last == record.into()
    }
}

/// Which events are wanted.
#[derive(Clone, Debug)]
pub struct IndexQuery {
    /// Terms, all of which they have.
    pub terms: Vec<Term>,
    /// They are of this time or later, in microseconds since 1970.
    pub since: i64,
    /// They are before this time.
    pub until: i64,
    /// Whether the newest come first.
    pub newest_first: bool,
}

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Numbers of records, in the order that was asked for. Records that were passed over are not
    /// wanted.
    pub ranges: Vec<RangeInclusive<u64>>,
    /// What is left to be looked through.
    pub rest: Option<RangeInclusive<u64>>,
}

impl EventIndex {
    /// The index of a store, beside its file. It is opened, or made, when it is first needed, and
    /// nothing in it is used before it is [accepted](Self::accept).
    pub fn new(store: &Path) -> Self {
        let path = crate::file::beside(store, "-events");
        Self { path, state: Mutex::new(State { file: None, usable: BTreeMap::new() }) }
    }

    /// Bytes of its file; 0 if there is none.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// The segments in the file, in order.
    pub fn stored(&self) -> Result<Vec<StoredSegment>, IndexError> {
        let found = self.with(|file| file::segments(file))?;
        let stored = |(number, last, times)| StoredSegment { number, last, times };
        Ok(found.into_iter().map(stored).collect())
    }

    /// Uses a segment from now on.
    pub fn accept(&self, segment: &StoredSegment) {
        self.state().usable.insert(segment.number, segment.times);
    }

    /// Deletes a segment.
    pub fn reject(&self, segment: &StoredSegment) -> Result<(), IndexError> {
        self.delete(segment.number, segment.number + 1)
    }

    /// Deletes what is before a record.
    pub fn forget_before(&self, seq: u64) -> Result<(), IndexError> {
        let end = segment_of(seq);
        if self.state().usable.first_key_value().is_none_or(|(first, _)| *first >= end) {
            return Ok(());
        }
        self.delete(0, end)
    }

    /// Writes a segment and uses it from now on.
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

    /// The first segment that cannot be used, from that of the record `seq` on.
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

    /// Where records may be wanted within some numbers.
    pub fn select(&self, query: &IndexQuery, within: RangeInclusive<u64>) -> Selection {
        let (mut first, mut last) = within.into_inner();
        let mut selection = Selection::default();
        let mut found = 0;
        let mut state = self.state();
        for _ in 0..SEGMENTS_MAX {
            if first > last {
                return selection;
            }
            let number = segment_of(if query.newest_first { last } else { first });
            let (mut start, mut end) = (first.max(first_of(number)), last.min(last_of(number)));
            if let Some(places) = state.find(query, number) {
                found += add_ranges(query, &places, number, start..=end, &mut selection.ranges);
            } else {
                if query.newest_first {
                    start = start.max(end.saturating_sub(RANGE_RECORDS - 1));
                } else {
                    end = end.min(start + (RANGE_RECORDS - 1));
                }
                found += end - start + 1;
                selection.ranges.push(start..=end);
            }
            if query.newest_first {
                last = start.saturating_sub(1);
            } else {
                first = end + 1;
            }
            if found >= SELECTED_MIN {
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

    /// Works with the file. One that turns out to be damaged is begun anew.
    fn with<T>(
        &self,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        let mut state = self.state();
        if let Some(file) = &mut state.file {
            match work(file) {
                Err(error) if file::is_unusable(&error) => {
                    tracing::warn!(%error, "the index of events is damaged; it is made again");
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
    /// The places in a segment that may have what is wanted; `None` if that is not known.
    fn find(&mut self, query: &IndexQuery, number: u64) -> Option<Places> {
        let times = *self.usable.get(&number)?;
        if !times.overlap(query.since, query.until) {
            return Some(Places::none());
        }
        let found = self.file.as_ref().map(|file| find(file, query, number, times));
        let found = found.and_then(|found| {
            found.unwrap_or_else(|error| {
                tracing::warn!(%error, "the index of events cannot be read");
                None
            })
        });
        if found.is_none() {
            // It is made again; until then its records are looked at one by one.
            self.usable.remove(&number);
        }
        found
    }
}

/// `None` if a part of the segment is not as it was written.
fn find(
    file: &Connection,
    query: &IndexQuery,
    number: u64,
    times: Times,
) -> rusqlite::Result<Option<Places>> {
    let mut found = Places::all();
    if times.first < query.since || times.last >= query.until {
        let Some(times) = file::times(file, number)? else { return Ok(None) };
        found = Places::none();
        for (block, times) in (0..).zip(times) {
            if times.unwrap_or(Times::NONE).overlap(query.since, query.until) {
                found
                    .insert_range(block * BLOCK_PLACES..=block * BLOCK_PLACES + (BLOCK_PLACES - 1));
            }
        }
    }
    for column in 0..COLUMNS {
        let mut terms =
            query.terms.iter().filter(|term| builder::column_of(term.field) == column).peekable();
        if terms.peek().is_none() {
            continue;
        }
        if found.is_empty() {
            break;
        }
        let of_terms = file::column(file, number, column, |bytes| match column {
            builder::REQUEST => {
                let wanted = terms.filter_map(|term| builder::request_field(term, number));
                column::find_requests(bytes, &wanted.collect::<Vec<_>>())
            }
            _ => find_all(bytes, number, terms),
        })?;
        let Some(of_terms) = of_terms else { return Ok(None) };
        found.retain(&of_terms);
    }
    Ok(Some(found))
}

/// Places that may have all of these terms.
fn find_all<'a>(
    bytes: &[u8],
    segment: u64,
    terms: impl Iterator<Item = &'a Term>,
) -> Option<Places> {
    let find = |term: Term| column::find(bytes, builder::salted(term.hash, segment));
    let mut found = Places::all();
    for term in terms {
        let mut of_term = find(*term)?;
        if let Some(term) = term.alternative() {
            of_term.extend(&find(term)?);
        }
        found.retain(&of_term);
    }
    Some(found)
}

/// Adds places in `part` of a segment as numbers of records; how many.
fn add_ranges(
    query: &IndexQuery,
    places: &Places,
    segment: u64,
    part: RangeInclusive<u64>,
    ranges: &mut Vec<RangeInclusive<u64>>,
) -> u64 {
    let (first, last) = part.into_inner();
    let begin = ranges.len();
    let mut count = 0;
    for run in places.runs(GAP) {
        let seq = |place: u16| first_of(segment) + u64::from(place);
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

/// The number of the first record of a segment.
pub fn first_of(segment: u64) -> u64 {
    segment * SEGMENT_RECORDS + 1
}

/// The number of the last record of a segment.
pub fn last_of(segment: u64) -> u64 {
    (segment + 1) * SEGMENT_RECORDS
}

/// Places of a block.
const BLOCK_PLACES: u16 = PLACES >> BLOCKS.ilog2();

const _: () = assert!(SEGMENT_RECORDS == PLACES as u64 && BLOCKS.is_power_of_two());
