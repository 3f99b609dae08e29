//! Deduplication between sources: a request that kube-apiserver and K10 both log is one request.
//!
//! A client can choose the audit ID and reuse it, so one source never drops its own events here.
//! Per audit ID, stage, verb, object and user, the number of requests within the tolerance is the
//! largest number of events of one source. Each rule decides for itself, because the events of two
//! sources can differ in their bodies, and a rule may match only one of them.
//!
//! With one source there is nothing to compare: only its last seconds are kept, for the moment at
//! which a second one appears.

use std::collections::{BTreeMap, VecDeque};

use super::codec::{CheckpointError, Saved, Source, saved_struct};
use super::digest::Digest;
use super::settings::REQUEST_TOLERANCE;

/// How long a request is remembered: its events are evaluated in order of time. Microseconds.
const REQUEST_MEMORY: i64 = 2 * REQUEST_TOLERANCE.cast_signed();
/// Maximum number of sources of one request; events of further ones count.
const SOURCES_MAX: usize = 8;

/// The requests of all sources, by request and rule.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    sources: Sources,
    known: BTreeMap<Digest, Request>,
    by_time: VecDeque<(i64, Digest)>,
}

/// The sources so far. The table of requests is built when a second one appears.
#[derive(Debug, Default, PartialEq, Eq)]
enum Sources {
    #[default]
    None,
    /// One source, and its events that the table would have, oldest first.
    One(Digest, VecDeque<Event>),
    Several,
}

/// An event that a rule matched: its time, the request, and the fingerprint of the rule.
type Event = (i64, Digest, Digest);

#[derive(Clone, Debug)]
struct Request {
    /// Time of its last event.
    time: i64,
    /// Number of events of each source.
    events: Vec<(Digest, u64)>,
}

saved_struct!(Request { time, events });

impl Requests {
    /// Remembers an event. Returns whether it is a further request, and not one that another
    /// source reported.
    pub(crate) fn insert(&mut self, source: Digest, event: Event, len_max: usize) -> bool {
        match &mut self.sources {
            Sources::Several => return self.add(source, event, len_max),
            Sources::None => {
                self.sources = Sources::One(source, VecDeque::from([event]));
                return true;
            }
            Sources::One(only, recent) if *only == source => {
                while let Some((oldest, ..)) = recent.front()
                    && (is_over(*oldest, event.0) || recent.len() >= len_max)
                {
                    recent.pop_front();
                }
                recent.push_back(event);
                return true;
            }
            Sources::One(..) => {}
        }
        if let Sources::One(first, recent) = std::mem::replace(&mut self.sources, Sources::Several)
        {
            for event in recent {
                self.add(first, event, len_max);
            }
        }
        self.add(source, event, len_max)
    }

    fn add(&mut self, source: Digest, (time, request, rule): Event, len_max: usize) -> bool {
        while let Some(&(oldest, key)) = self.by_time.front()
            && (is_over(oldest, time) || self.known.len() >= len_max)
        {
            self.by_time.pop_front();
            self.known.remove(&key);
        }
        let request = Digest::of([&request.0[..], &rule.0]);
        let by_time = &mut self.by_time;
        let known = self.known.entry(request).or_insert_with(|| {
            by_time.push_back((time, request));
            Request { time, events: Vec::new() }
        });
        if time.abs_diff(known.time) > REQUEST_TOLERANCE {
            known.events.clear();
        }
        known.time = time;
        let requests = known.events.iter().map(|(_, events)| *events).max().unwrap_or_default();
        if let Some((_, events)) = known.events.iter_mut().find(|(known, _)| *known == source) {
            *events += 1;
            return *events > requests;
        }
        if known.events.len() >= SOURCES_MAX {
            return true;
        }
        known.events.push((source, 1));
        requests == 0
    }
}

/// Whether an event of time `oldest` is forgotten at `time`.
const fn is_over(oldest: i64, time: i64) -> bool {
    oldest <= time.saturating_sub(REQUEST_MEMORY)
}

impl Saved for Requests {
    fn save(&self, to: &mut Vec<u8>) {
        match &self.sources {
            Sources::None => to.push(0),
            Sources::One(source, recent) => {
                to.push(1);
                source.save(to);
                recent.save(to);
            }
            Sources::Several => to.push(2),
        }
        self.known.save(to);
        self.by_time.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, CheckpointError> {
        // Version 2 always had the table.
        let sources = match if from.version < 3 { 2 } else { u8::load(from)? } {
            0 => Sources::None,
            1 => Sources::One(Digest::load(from)?, Saved::load(from)?),
            2 => Sources::Several,
            _ => return Err(CheckpointError::Damaged("the sources are unknown")),
        };
        Ok(Self { sources, known: Saved::load(from)?, by_time: Saved::load(from)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest([byte; 16])
    }

    /// Inserts events `(source, time in seconds, request)`, and restores the state in between.
    fn check(events: &[(u8, i64, u8)], expected: &[bool]) -> Requests {
        let mut requests = Requests::default();
        let mut found = Vec::new();
        for (source, second, request) in events {
            let event = (second * 1_000_000, digest(*request), digest(9));
            found.push(requests.insert(digest(*source), event, 100));
            let mut saved = Vec::new();
            requests.save(&mut saved);
            requests = Requests::load(&mut Source::current(&saved)).unwrap();
        }
        assert_eq!(found, expected, "{events:?}");
        requests
    }

    #[test]
    fn the_table_is_built_when_a_second_source_appears() {
        let one = check(&[(1, 0, 1), (1, 1, 1), (1, 60, 2), (1, 61, 3)], &[true; 4]);
        assert_eq!((one.known.len(), one.by_time.len()), (0, 0));
        let Sources::One(_, recent) = &one.sources else { panic!("{one:?}") };
        assert_eq!(recent.len(), 2, "of the last seconds only");
        // The second source reports a request that the first one reported before.
        let two = check(
            &[(1, 0, 1), (1, 1, 2), (2, 2, 1), (2, 3, 2), (2, 4, 3), (1, 5, 3), (1, 6, 3)],
            &[true, true, false, false, true, false, true],
        );
        assert_eq!(two.sources, Sources::Several);
    }

    #[test]
    fn the_events_of_one_source_are_bounded() {
        let mut requests = Requests::default();
        for at in 0..1000 {
            assert!(requests.insert(digest(1), (at, digest(1), digest(9)), 100));
        }
        let Sources::One(_, recent) = &requests.sources else { panic!("{requests:?}") };
        assert_eq!(recent.len(), 100);
    }
}
