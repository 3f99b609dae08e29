//! Deduplication between sources: a request that kube-apiserver and K10 both log is one request.
//!
//! A client can choose the audit ID and reuse it, so one source never drops its own events here.
//! Per audit ID, stage, verb, object and user, the number of requests within the tolerance is the
//! largest number of events of one source. Each rule decides for itself, because the events of two
//! sources can differ in their bodies, and a rule may match only one of them.

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
    known: BTreeMap<Digest, Request>,
    by_time: VecDeque<(i64, Digest)>,
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
    /// Remembers an event. Returns whether it is a further request, and not one that another
    /// source reported.
    pub(crate) fn insert(
        &mut self,
        (time, request, source): (i64, Digest, Digest),
        len_max: usize,
    ) -> bool {
        while let Some(&(oldest, key)) = self.by_time.front()
            && (oldest <= time.saturating_sub(REQUEST_MEMORY) || self.known.len() >= len_max)
        {
            self.by_time.pop_front();
            self.known.remove(&key);
        }
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
        self.known.save(to);
        self.by_time.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, CheckpointError> {
        Ok(Self { known: Saved::load(from)?, by_time: Saved::load(from)? })
    }
}
