//! Deduplication between sources: a request that kube-apiserver and K10 both log is one request.
//!
//! A client can choose the audit ID and reuse it, so one source never drops its own events here.
//! Per audit ID, stage, verb, object and user, the number of requests within the tolerance is the
//! largest number of events of one source. Each rule deduplicates separately, because the events of
//! two sources can differ in their bodies, and a rule may match only one of them.
//!
//! With one source, no table is needed: only the events of its last minutes are kept. They are
//! compared when a second source appears.

use std::collections::{BTreeMap, VecDeque};

use super::codec::{CheckpointError, Decoder, Saved, saved_struct};
use super::digest::Digest;
use super::settings::REQUEST_TOLERANCE;

/// Retention of a request, in addition to the largest lateness bound of a source: another source
/// may send its event again for some minutes. Microseconds.
pub(super) const REQUEST_RETENTION: i64 = 2 * REQUEST_TOLERANCE.cast_signed() + 300_000_000;
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
    /// One source, and its recent events, oldest first.
    One(Digest, VecDeque<Event>),
    Several,
}

/// An event that a rule matched: its time, the request, and the fingerprint of the rule.
type Event = (i64, Digest, Digest);

/// Bounds of the remembered requests.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// The largest lateness bound of a source. Microseconds.
    pub(crate) lateness_max: i64,
    /// The maximum number of requests.
    pub(crate) requests_max: usize,
}

impl Bounds {
    /// Whether an event of time `oldest` is forgotten at `time`.
    const fn is_over(self, oldest: i64, time: i64) -> bool {
        let retention = REQUEST_RETENTION.saturating_add(self.lateness_max);
        oldest <= time.saturating_sub(retention)
    }
}

#[derive(Clone, Debug)]
struct Request {
    /// Time of its last event.
    time: i64,
    /// Number of events of each source.
    events: Vec<(Digest, u64)>,
}

saved_struct!(Request { time, events });

impl Requests {
    /// Adds an event. Returns false if it is about a request that another source already reported.
    pub(crate) fn insert(&mut self, source: Digest, event: Event, bounds: Bounds) -> bool {
        match &mut self.sources {
            Sources::Several => return self.add(source, event, bounds),
            Sources::None => {
                self.sources = Sources::One(source, VecDeque::from([event]));
                return true;
            }
            Sources::One(only, recent) if *only == source => {
                while let Some((oldest, ..)) = recent.front()
                    && (bounds.is_over(*oldest, event.0) || recent.len() >= bounds.requests_max)
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
                self.add(first, event, bounds);
            }
        }
        self.add(source, event, bounds)
    }

    fn add(&mut self, source: Digest, (time, request, rule): Event, bounds: Bounds) -> bool {
        while let Some(&(oldest, key)) = self.by_time.front()
            && (bounds.is_over(oldest, time) || self.known.len() >= bounds.requests_max)
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

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
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

    const BOUNDS: Bounds = Bounds { lateness_max: 30_000_000, requests_max: 100 };

    fn digest(byte: u8) -> Digest {
        Digest([byte; 16])
    }

    /// Inserts events `(source, time in seconds, request)`, and restores the state in between.
    fn check(events: &[(u8, i64, u8)], expected: &[bool]) -> Requests {
        let mut requests = Requests::default();
        let mut results = Vec::new();
        for (source, second, request) in events {
            let event = (second * 1_000_000, digest(*request), digest(9));
            results.push(requests.insert(digest(*source), event, BOUNDS));
            let mut saved = Vec::new();
            requests.save(&mut saved);
            requests = Requests::load(&mut Decoder::current(&saved)).unwrap();
        }
        assert_eq!(results, expected, "{events:?}");
        requests
    }

    #[test]
    fn the_table_is_built_when_a_second_source_appears() {
        let single = check(&[(1, 0, 1), (1, 1, 1), (1, 600, 2), (1, 601, 3)], &[true; 4]);
        assert_eq!((single.known.len(), single.by_time.len()), (0, 0));
        let Sources::One(_, recent) = &single.sources else { panic!("{single:?}") };
        assert_eq!(recent.len(), 2, "of the last minutes only");
        // The second source reports a request that the first one reported before.
        let double = check(
            &[(1, 0, 1), (1, 1, 2), (2, 2, 1), (2, 3, 2), (2, 4, 3), (1, 5, 3), (1, 6, 3)],
            &[true, true, false, false, true, false, true],
        );
        assert_eq!(double.sources, Sources::Several);
    }

    /// Regression: a source with a lateness bound is evaluated later, and its events counted again
    /// because the other source had newer ones by then.
    #[test]
    fn events_of_a_later_source_are_those_of_the_first_one() {
        let second = |at: i64| u8::try_from(at).unwrap();
        let first = (0..60).step_by(5).map(|at| (1, at, second(at)));
        let late = (0..60).step_by(5).map(|at| (2, at, second(at)));
        let events: Vec<_> = first.chain(late).collect();
        let expected: Vec<bool> = (0..24).map(|index| index < 12).collect();
        check(&events, &expected);
    }

    #[test]
    fn the_events_of_one_source_are_bounded() {
        let mut requests = Requests::default();
        for at in 0..1000 {
            assert!(requests.insert(digest(1), (at, digest(1), digest(9)), BOUNDS));
        }
        let Sources::One(_, recent) = &requests.sources else { panic!("{requests:?}") };
        assert_eq!(recent.len(), 100);
    }
}
