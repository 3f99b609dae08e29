//! Merges streams of events by time.
//!
//! A stream is opened when the merge reaches the time of its first event, so that a thousand files
//! of one log need one open file. The lines of a stream keep their order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Result;
use event::line::{self, Encoding};
use event::{Event, Timestamp};

use super::bytes::Meter;
use super::lines::{Line, Lines};
use super::locations::{self, Part, Stream};
use super::record::{self, Record};
use crate::args::input::InputArgs;
use crate::terminal::eprint_line;

/// Maximum number of streams that are open at a time; others wait until one has ended.
const OPEN_MAX: usize = 256;
/// Lines that are not events and are reported on stderr; further ones are only counted.
const REPORTED_MAX: u64 = 10;
/// If the time of a stream jumps ahead by more than this and the next event is as far behind, the
/// timestamp is wrong, and the stream does not wait until the others reach it. Microseconds.
const JUMP_MAX: i64 = 5 * 60 * 1_000_000;

/// All inputs of a command.
pub(crate) struct Inputs {
    /// Streams that are not open yet, the earliest last.
    waiting: Vec<(Timestamp, Reader)>,
    /// Streams that are open, by slot.
    open: Vec<Option<Reader>>,
    /// The next event of each open stream: time, slot.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    tally: Tally,
    bytes: u64,
    cluster: Arc<str>,
}

/// An event and its source.
pub(crate) struct Next {
    pub(crate) event: Event,
    pub(crate) cluster: Arc<str>,
    pub(crate) source: Arc<str>,
}

/// Counts of the records that were read so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) events: u64,
    /// Signals of Keepwatch between the events.
    pub(crate) signals: u64,
    /// Lines that are neither events nor signals.
    pub(crate) others: u64,
    /// Inputs that could not be read to their end.
    pub(crate) failures: u64,
    meter: Meter,
}

impl Inputs {
    /// Finds all inputs of the command line, and reads the first event of each stream.
    pub(crate) fn open(args: &InputArgs) -> Result<Self> {
        let streams = locations::find(args)?;
        let mut tally = Tally::default();
        for failure in &streams.failures {
            tally.fail(failure);
        }
        let cluster: Arc<str> = args.cluster_name.as_str().into();
        let is_single = streams.list.len() == 1;
        let mut waiting = Vec::new();
        for stream in streams.list {
            let first = if is_single { Timestamp::UNSET } else { first_time(&stream) };
            waiting.push((first, Reader::new(stream)));
        }
        waiting.sort_by_key(|(first, _)| Reverse(*first));
        let heads = BinaryHeap::new();
        Ok(Self { waiting, open: Vec::new(), heads, tally, bytes: streams.bytes, cluster })
    }

    /// The next event; `None` at the end of all inputs.
    pub(crate) fn next(&mut self) -> Option<Next> {
        while self.open_next() {}
        let Reverse((_, slot)) = self.heads.pop()?;
        let reader = self.open.get_mut(slot)?.as_mut()?;
        let StreamEvent { event, encoding, cluster } = reader.head.take()?;
        let source = Arc::clone(match encoding {
            Encoding::V1 => &reader.name,
            Encoding::Kasten => &reader.kasten_name,
        });
        match reader.advance(&mut self.tally) {
            Some(time) => self.heads.push(Reverse((time, slot))),
            None => self.close(slot),
        }
        self.tally.events += 1;
        let cluster = cluster.unwrap_or_else(|| Arc::clone(&self.cluster));
        Some(Next { event, cluster, source })
    }

    /// Counts of the records that were read so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Bytes that were read, and the total, if it is known.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.tally.meter.load(Ordering::Relaxed), self.bytes)
    }

    /// Opens the next stream if its first event is due.
    fn open_next(&mut self) -> bool {
        let Some((first, _)) = self.waiting.last() else { return false };
        let is_due = self.heads.peek().is_none_or(|Reverse((time, _))| first <= time);
        let has_capacity = self.heads.len() < OPEN_MAX;
        if !(is_due && has_capacity) {
            return false;
        }
        let Some((_, mut reader)) = self.waiting.pop() else { return false };
        if let Some(time) = reader.advance(&mut self.tally) {
            let free = self.open.iter().position(Option::is_none);
            let slot = free.unwrap_or(self.open.len());
            if free.is_none() {
                self.open.push(None);
            }
            if let Some(entry) = self.open.get_mut(slot) {
                *entry = Some(reader);
            }
            self.heads.push(Reverse((time, slot)));
        }
        true
    }

    fn close(&mut self, slot: usize) {
        if let Some(entry) = self.open.get_mut(slot) {
            *entry = None;
        }
    }
}

impl Tally {
    /// Reports an input that cannot be read to its end.
    fn fail(&mut self, why: &str) {
        self.failures += 1;
        eprint_line(&format!("error: {why}"));
    }

    fn skip(&mut self, part: &str, number: u64, why: &str) {
        self.others += 1;
        if self.others <= REPORTED_MAX {
            eprint_line(&format!("{part}, line {number}: {why}"));
        }
    }
}

fn is_jump(before: Timestamp, stamp: Timestamp) -> bool {
    stamp.as_micros().saturating_sub(before.as_micros()) > JUMP_MAX
}

/// The time of a stream's first event; if it is unknown, the stream is opened early.
fn first_time(stream: &Stream) -> Timestamp {
    let Some(part) = stream.parts.front().filter(|part| part.is_repeatable()) else {
        return Timestamp::UNSET;
    };
    let stream = Stream { name: String::new(), parts: [part.clone()].into() };
    let mut tally = Tally { others: REPORTED_MAX, ..Tally::default() };
    Reader { is_silent: true, ..Reader::new(stream) }
        .advance(&mut tally)
        .unwrap_or(Timestamp::UNSET)
}

/// One stream, with its next event.
struct Reader {
    name: Arc<str>,
    /// The source name of events in K10's encoding. In a collected log, another server has written
    /// them than those in kube-apiserver's encoding, and both can be about the same requests.
    kasten_name: Arc<str>,
    parts: VecDeque<Part>,
    lines: Option<(String, Lines)>,
    /// The rest of a batch.
    batch: VecDeque<(Event, Encoding)>,
    head: Option<StreamEvent>,
    /// The event after the head, if it was read to check the time of the head.
    following: Option<StreamEvent>,
    /// Time of the last event with a valid timestamp.
    last: Option<Timestamp>,
    cluster: Option<Arc<str>>,
    is_silent: bool,
}

/// An event of a stream.
struct StreamEvent {
    event: Event,
    encoding: Encoding,
    cluster: Option<Arc<str>>,
}

impl Reader {
    fn new(stream: Stream) -> Self {
        Self {
            kasten_name: format!("{} (K10)", stream.name).into(),
            name: stream.name.into(),
            parts: stream.parts,
            lines: None,
            batch: VecDeque::new(),
            head: None,
            following: None,
            last: None,
            cluster: None,
            is_silent: false,
        }
    }

    /// Reads the next event. Returns its time in the merge.
    fn advance(&mut self, tally: &mut Tally) -> Option<Timestamp> {
        let next = match self.following.take() {
            Some(following) => following,
            None => self.read(tally)?,
        };
        let timestamp = time_of(&next.event);
        self.head = Some(next);
        if self.last.is_some_and(|last| !is_jump(last, timestamp)) {
            self.last = Some(timestamp);
            return Some(timestamp);
        }
        self.following = self.read(tally);
        let following = self.following.as_ref().map(|following| time_of(&following.event));
        let time = match following.filter(|following| is_jump(*following, timestamp)) {
            Some(following) => self.last.unwrap_or(following),
            None => timestamp,
        };
        self.last = Some(time);
        Some(time)
    }

    fn read(&mut self, tally: &mut Tally) -> Option<StreamEvent> {
        loop {
            if let Some((event, encoding)) = self.batch.pop_front() {
                return Some(StreamEvent { event, encoding, cluster: None });
            }
            let Some((part, lines)) = &mut self.lines else {
                self.open_part(tally)?;
                continue;
            };
            let line = match lines.next() {
                Ok(Some(Line::Complete(line))) => record::read(line),
                Ok(Some(Line::TooLong)) => {
                    Record::Other(format!("it is longer than {} bytes", super::LINE_BYTES_MAX))
                }
                Ok(None) => {
                    self.lines = None;
                    continue;
                }
                Err(error) => {
                    let why = read_error(part, &error);
                    self.lines = None;
                    if !self.is_silent {
                        tally.fail(&why);
                    }
                    continue;
                }
            };
            match line {
                Record::Event(line) => {
                    let line::Line { event, encoding, cluster } = *line;
                    let cluster = cluster.map(|name| shared_name(&mut self.cluster, &name));
                    return Some(StreamEvent { event, encoding, cluster });
                }
                Record::List(events, others) => {
                    self.batch.extend(events);
                    for why in others {
                        tally.skip(part, lines.number(), &why);
                    }
                }
                Record::Signal => tally.signals += 1,
                Record::Other(why) => {
                    let number = lines.number();
                    tally.skip(part, number, &why);
                }
            }
        }
    }

    /// Opens the next part; `None` if there is none.
    fn open_part(&mut self, tally: &mut Tally) -> Option<()> {
        let part = self.parts.pop_front()?;
        // Bytes of a preview do not count as read.
        let meter = if self.is_silent { Meter::default() } else { Arc::clone(&tally.meter) };
        match part.open(&meter) {
            Ok(bytes) => self.lines = Some((part.name(), Lines::new(bytes))),
            Err(error) if !self.is_silent => tally.fail(&read_error(&part.name(), &error)),
            Err(_) => {}
        }
        Some(())
    }
}

/// Lines of one stream have the same cluster name, so it is stored once.
fn shared_name(cluster: &mut Option<Arc<str>>, name: &str) -> Arc<str> {
    match cluster {
        Some(known) if **known == *name => Arc::clone(known),
        _ => Arc::clone(cluster.insert(name.into())),
    }
}

fn read_error(part: &str, error: &io::Error) -> String {
    format!("cannot read {part}: {error}")
}

/// The time of an event.
fn time_of(event: &Event) -> Timestamp {
    if event.stage_timestamp == Timestamp::UNSET {
        return event.request_received_timestamp;
    }
    event.stage_timestamp
}
