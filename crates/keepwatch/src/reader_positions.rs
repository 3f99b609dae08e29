//! The start positions of the readers of the journal: their cursors, or the end of the journal.
//!
//! A sink that was on in the last run continues at its cursor, and a sink that replaces another
//! sink continues at the cursor of that sink. So no record is lost, even after a crash. A sink or
//! detector that was off resumes as [`ResumeFrom`] configures. A reader that is switched off no
//! longer retains records; its position is stored. Skipped records are logged and audited.
//!
//! The controller manages the readers of `AuditConfigs`.

use anyhow::{Context as _, Result};
use apiserver::Clock as _;
use clap::ValueEnum;
use delivery::DETECTOR;
use event::InternalEvent;
use sink::Sink;
use store::{Cursor, Journal, Sqlite, StoreError};

use crate::clock::SystemClock;

/// Where a reader resumes after it was switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResumeFrom {
    /// After the last record: events recorded while it was off are not delivered.
    #[default]
    Now,
    /// At its cursor: events recorded while it was off are delivered, if the journal still has
    /// them.
    Cursor,
}

/// A change of one reader's cursor.
#[derive(Debug, PartialEq, Eq)]
enum CursorChange {
    /// It starts here.
    Start(String, u64),
    /// It starts here after it was off, or as the replacement of another one.
    Resume(String, u64, String),
    /// It no longer retains records.
    Park(String, Cursor, String),
    /// Another reader has replaced it.
    Forget(String),
}

/// Sets the position of each reader, before anything is recorded.
pub(crate) async fn set(
    store: &Sqlite,
    sinks: &[Box<dyn Sink>],
    detects: bool,
    from: ResumeFrom,
) -> Result<()> {
    let journal = store.journal();
    let names: Vec<&str> = sinks.iter().map(|sink| sink.name()).collect();
    for change in changes(&*journal, &names, detects, from) {
        apply(store, &*journal, change).await.context("cannot set the position of a reader")?;
    }
    Ok(())
}

async fn apply(
    store: &Sqlite,
    journal: &dyn Journal,
    change: CursorChange,
) -> Result<(), StoreError> {
    let (event, reader, text) = match change {
        CursorChange::Start(reader, seq) => return journal.register(&reader, seq).await.map(drop),
        CursorChange::Forget(reader) => return journal.remove(&reader).await,
        CursorChange::Resume(reader, seq, text) => {
            journal.resume(&reader, Cursor { seq, state: String::new() }).await?;
            tracing::info!(reader, seq, text, "reader of the journal continues");
            (InternalEvent::Resume, reader, text)
        }
        CursorChange::Park(reader, cursor, text) => {
            journal.park(&reader, cursor).await?;
            tracing::warn!(
                reader,
                text,
                "reader is no longer configured; no records are retained for it"
            );
            (InternalEvent::Release, reader, text)
        }
    };
    if let Err(error) = record(store, event, &reader, &text).await {
        tracing::warn!(%error, text, "the change of a cursor could not be recorded as an event");
    }
    Ok(())
}

/// Audits the change of a cursor.
pub(crate) async fn record(
    store: &Sqlite,
    change: InternalEvent,
    reader: &str,
    text: &str,
) -> Result<(), StoreError> {
    let event = delivery::cursor_event(change, reader, text, SystemClock.now());
    store::append(store, event::record::write(&event)).await.map(drop)
}

/// The changes, ordered so that a crash between two of them loses no record.
fn changes(
    journal: &dyn Journal,
    sinks: &[&str],
    detects: bool,
    from: ResumeFrom,
) -> Vec<CursorChange> {
    let is_sink = |name: &str| name != DETECTOR && !name.starts_with(controller::objects::READERS);
    let last = journal.last_seq();
    let readers = journal.readers();
    let is_known = |name: &str| readers.iter().any(|reader| reader.name == name);
    let is_used = |name: &str| if name == DETECTOR { detects } else { sinks.contains(&name) };
    let parked = journal.parked();
    let parked_sinks: Vec<_> = parked.iter().filter(|(name, _)| is_sink(name)).collect();
    let unused: Vec<_> = readers.iter().filter(|reader| !is_used(&reader.name)).collect();
    let previous_sink = unused.iter().filter(|reader| is_sink(&reader.name));
    let previous_sink = previous_sink.min_by_key(|reader| reader.cursor.seq);

    let mut changes = Vec::new();
    let mut is_taken_over = false;
    for name in sinks.iter().filter(|name| !is_known(name)).map(|name| (*name).to_owned()) {
        if let Some(before) = previous_sink {
            let text =
                format!("{name}: continues where `{}` was, at {}", before.name, before.cursor.seq);
            changes.push(CursorChange::Resume(name, before.cursor.seq, text));
            is_taken_over = true;
        } else if let Some((_, cursor)) = parked_sinks.iter().max_by_key(|(_, cursor)| cursor.seq) {
            changes.push(resume(journal, name, cursor.seq, from));
        } else {
            changes.push(CursorChange::Start(name, last));
        }
    }
    if detects && !is_known(DETECTOR) {
        let before = parked.iter().find(|(name, _)| name == DETECTOR);
        changes
            .extend(before.map(|(name, cursor)| resume(journal, name.clone(), cursor.seq, from)));
    }
    for reader in
        unused.into_iter().filter(|reader| is_sink(&reader.name) || reader.name == DETECTOR)
    {
        if is_taken_over && is_sink(&reader.name) {
            changes.push(CursorChange::Forget(reader.name.clone()));
        } else {
            let (name, seq) = (&reader.name, reader.cursor.seq);
            let text =
                format!("{name}: released at {seq}; {} records were not delivered", reader.lag);
            changes.push(CursorChange::Park(name.clone(), reader.cursor.clone(), text));
        }
    }
    if !sinks.is_empty() {
        // The position of a former sink is not needed when another one is on.
        let others = parked_sinks.iter().filter(|(name, _)| !sinks.contains(&&**name));
        changes.extend(others.map(|(name, _)| CursorChange::Forget(name.clone())));
    }
    changes
}

/// The change for a reader that was at `seq` when it was switched off.
fn resume(journal: &dyn Journal, name: String, seq: u64, from: ResumeFrom) -> CursorChange {
    let resumption = Resumption::new(journal, seq, from);
    let text = format!("{name}: {}", resumption.text);
    CursorChange::Resume(name, resumption.seq, text)
}

/// Where a reader resumes after it was switched off, and the records that it skips.
pub(crate) struct Resumption {
    pub(crate) seq: u64,
    /// Text for users.
    pub(crate) text: String,
}

impl Resumption {
    /// For a reader that was at `seq` when it was switched off.
    pub(crate) fn new(journal: &dyn Journal, seq: u64, from: ResumeFrom) -> Self {
        let last = journal.last_seq();
        let seq = seq.min(last);
        let left_out = |to: u64| to.saturating_sub(seq);
        match from {
            ResumeFrom::Now => {
                let text = format!(
                    "{seq} -> {last}; {} records from the time when it was off are not delivered",
                    left_out(last)
                );
                Self { seq: last, text }
            }
            ResumeFrom::Cursor => {
                let oldest = journal.first_seq().saturating_sub(1).min(last);
                let text = format!(
                    "continues at {}; {} records are no longer in the journal",
                    seq.max(oldest),
                    left_out(oldest)
                );
                Self { seq: seq.max(oldest), text }
            }
        }
    }
}

#[cfg(test)]
mod tests;
