//! Compares the stored signals of a killed server with the signals of a replay of its journal.
//!
//! An engine with the same rules reads the whole journal again. The stored signals must be exactly
//! those of the replay, and the journal must have exactly one record of each signal's opening.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use detect::{Document, Engine, Input, LoadOptions, RuleSet, Settings, builtin};
use event::record::{is_signal, signal_of};
use event::signal::{ChangeKind, Signal, SignalSpec};
use event::{EventRef, Severity, SignalState, Timestamp};
use serde::Deserialize;
use store::{Journal, ListOptions, Storage};

use super::notifiers::RULE;

/// Key prefix of signals in the store.
const PREFIX: &str = "siem.keepwatch.io/signals/";
/// Maximum number of records per read.
const ROWS: usize = 1000;
/// Maximum size of the records per read, in bytes.
const BYTES: usize = 8 << 20;

/// The result of the comparison.
#[derive(Default)]
pub(super) struct SignalComparison {
    /// Severity of each signal.
    pub(super) signals: BTreeMap<String, Severity>,
    /// Number of signals of each rule.
    pub(super) rules: BTreeMap<String, usize>,
    /// Number of closed signals.
    pub(super) closed: usize,
    events: u64,
    changes: u64,
}

impl fmt::Display for SignalComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signals, rules, closed, events, changes } = self;
        let (signals, rules) = (signals.len(), rules.len());
        write!(
            f,
            "{signals} signals of {rules} rules ({closed} ended), recorded {changes} times, of \
             {events} events"
        )
    }
}

/// The journal's records of one signal.
#[derive(Default)]
struct SignalHistory {
    opened: u32,
    closed: u32,
    /// Number of records of the signal.
    changes: u64,
    /// The spec in the last record.
    last: Option<SignalSpec>,
}

/// A stored signal.
#[derive(Debug, Deserialize)]
struct Stored {
    spec: SignalSpec,
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Status {
    state: SignalState,
}

/// Compares the signals and the journal of a server that was shut down normally.
pub(super) async fn compare(home: &Path) -> anyhow::Result<SignalComparison> {
    let store = crate::fixtures::stopped_store::open(home)?;
    let (replayed, histories, events) = replay(&*store.journal()).await?;
    let stored = stored(store.storage()).await?;
    store.close().await;
    for (id, stored_signal) in &stored {
        ensure!(
            replayed.contains_key(id),
            "signal {id} is stored, but the replay of the journal does not raise it: {stored_signal:?}"
        );
    }
    for (id, signal) in &replayed {
        let stored_signal =
            stored.get(id).with_context(|| format!("{id} is not stored: {signal:?}"))?;
        let same = without_remaining(&stored_signal.spec) == signal.spec
            && stored_signal.status.state == signal.state;
        ensure!(same, "signal {id} is stored as {:?}, it is {signal:?}", stored_signal.spec);
        let history =
            histories.get(id).with_context(|| format!("the journal has no signal {id}"))?;
        ensure!(history.opened == 1, "signal {id} was opened {} times", history.opened);
        ensure!(history.closed <= 1, "signal {id} was closed {} times", history.closed);
        let last = history.last.as_ref().map(without_remaining);
        ensure!(
            last.as_ref() == Some(&signal.spec),
            "the last record of {id} in the journal is {last:?}"
        );
    }
    let mut comparison = SignalComparison { events, ..SignalComparison::default() };
    comparison.changes = histories.values().map(|history| history.changes).sum();
    for (id, signal) in replayed {
        *comparison.rules.entry(signal.spec.rule.id.clone()).or_default() += 1;
        comparison.closed += usize::from(signal.state == SignalState::Closed);
        comparison.signals.insert(id, signal.spec.severity);
    }
    Ok(comparison)
}

/// The signals of the replay, the journal's records of signals, both by ID, and the number of events.
type Replay = (BTreeMap<String, Arc<Signal>>, BTreeMap<String, SignalHistory>, u64);

/// Replays the journal's events with the rules, and collects its records of signals.
async fn replay(journal: &dyn Journal) -> anyhow::Result<Replay> {
    // The server records its own requests only.
    let mut documents = builtin::own_documents().to_vec();
    documents.push(Document::new("kill-deleted", RULE));
    let rules = RuleSet::load(&documents, &LoadOptions::default())
        .map_err(|errors| anyhow!("the rules cannot be read: {errors:?}"))?;
    let mut engine = Engine::new(Arc::new(rules), Settings::default());
    let (mut replayed, mut histories) = (BTreeMap::new(), BTreeMap::<String, SignalHistory>::new());
    let (mut seq, mut end, mut events, mut changes) = (0, 0, 0, Vec::new());
    loop {
        let records = journal.read(seq, ROWS, BYTES).await?;
        let Some(last) = records.last() else { break };
        (seq, end) = (last.seq, last.time);
        for record in &records {
            if is_signal(&record.bytes) {
                let record = signal_of(&record.bytes).context("a signal")??;
                let signal = record.signal()?;
                let history = histories.entry(signal.id).or_default();
                history.opened += u32::from(record.change == ChangeKind::Opened);
                history.closed += u32::from(record.change == ChangeKind::Closed);
                history.changes += 1;
                history.last = Some(signal.spec);
                continue;
            }
            let event = EventRef::parse(&record.bytes)?;
            let arrival = Timestamp::from_micros(record.time);
            let input =
                Input { source: delivery::LOCAL_SOURCE, cluster: "", arrival, event: &event };
            engine.process(&input, &mut changes);
            events += 1;
            for change in changes.drain(..) {
                replayed.insert(change.signal.id.clone(), change.signal);
            }
        }
    }
    // The server closes signals, and records that, after the last event too: advance to the last
    // record.
    engine.advance(Timestamp::from_micros(end), &mut changes);
    replayed.extend(changes.drain(..).map(|change| (change.signal.id.clone(), change.signal)));
    Ok((replayed, histories, events))
}

async fn stored(storage: &dyn Storage) -> anyhow::Result<BTreeMap<String, Stored>> {
    let page = storage.list(PREFIX, ListOptions::default()).await?;
    let named = page.items.iter().map(|object| {
        let name = object.key.strip_prefix(PREFIX).unwrap_or(&object.key);
        Ok((name.to_owned(), serde_json::from_slice(&object.body)?))
    });
    named.collect()
}

/// The spec without the remaining backups, which only the server knows and a replay cannot compute.
fn without_remaining(spec: &SignalSpec) -> SignalSpec {
    SignalSpec { remaining: Vec::new(), ..spec.clone() }
}
