//! Where the readers of the journal continue at start-up: at their cursors, or from now.
//!
//! A sink that was on in the last run continues at its cursor, and a sink that replaces another one
//! continues at that one's, so nothing is lost however the last run ended. A sink or detector that was off
//! continues as [`ResumeFrom`] says. A reader that is switched off no longer retains records; its position
//! is remembered. Records that are left out are logged and audited.
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

/// Where a reader continues that was off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResumeFrom {
    /// After the last record: events recorded while it was off are not delivered.
    #[default]
    Now,
    /// At its cursor: events recorded while it was off are delivered, if the journal still has
    /// them.
    Cursor,
}

/// What changes for one reader.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It starts here.
    Begin(String, u64),
    /// It starts here after it was off, or as the replacement of another one.
    Resume(String, u64, String),
    /// It no longer retains records.
    Park(String, Cursor, String),
    /// Another reader has replaced it.
    Forget(String),
}

/// Sets the position of each reader, before anything is recorded.
pub(crate) async fn settle(
    store: &Sqlite,
    sinks: &[Box<dyn Sink>],
    detects: bool,
    from: ResumeFrom,
) -> Result<()> {
    let journal = store.journal();
    let names: Vec<&str> = sinks.iter().map(|sink| sink.name()).collect();
    for step in steps(&*journal, &names, detects, from) {
        carry_out(store, &*journal, step).await.context("cannot place a reader of the journal")?;
    }
    Ok(())
}

async fn carry_out(store: &Sqlite, journal: &dyn Journal, step: Step) -> Result<(), StoreError> {
    let (change, reader, text) = match step {
        Step::Begin(reader, seq) => return journal.register(&reader, seq).await.map(drop),
        Step::Forget(reader) => return journal.remove(&reader).await,
        Step::Resume(reader, seq, text) => {
            journal.resume(&reader, Cursor { seq, state: String::new() }).await?;
            tracing::info!(reader, seq, text, "reader of the journal continues");
            (InternalEvent::Resume, reader, text)
        }
        Step::Park(reader, cursor, text) => {
            journal.park(&reader, cursor).await?;
            tracing::warn!(
                reader,
                text,
                "reader is not configured any more; nothing is held for it"
            );
            (InternalEvent::Release, reader, text)
        }
    };
    if let Err(error) = record(store, change, &reader, &text).await {
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

/// The changes, in an order in which a crash between two of them loses nothing.
fn steps(journal: &dyn Journal, sinks: &[&str], detects: bool, from: ResumeFrom) -> Vec<Step> {
    let is_line = |name: &str| name != DETECTOR && !name.starts_with(controller::objects::READERS);
    let last = journal.last_seq();
    let readers = journal.readers();
    let is_known = |name: &str| readers.iter().any(|reader| reader.name == name);
    let is_wanted = |name: &str| if name == DETECTOR { detects } else { sinks.contains(&name) };
    let parked = journal.parked();
    let parked_lines: Vec<_> = parked.iter().filter(|(name, _)| is_line(name)).collect();
    let unused: Vec<_> = readers.iter().filter(|reader| !is_wanted(&reader.name)).collect();
    let line_before = unused.iter().filter(|reader| is_line(&reader.name));
    let line_before = line_before.min_by_key(|reader| reader.cursor.seq);

    let mut steps = Vec::new();
    let mut is_taken_over = false;
    for name in sinks.iter().filter(|name| !is_known(name)).map(|name| (*name).to_owned()) {
        if let Some(before) = line_before {
            let text =
                format!("{name}: continues where `{}` was, at {}", before.name, before.cursor.seq);
            steps.push(Step::Resume(name, before.cursor.seq, text));
            is_taken_over = true;
        } else if let Some((_, cursor)) = parked_lines.iter().max_by_key(|(_, cursor)| cursor.seq) {
            steps.push(resume(journal, name, cursor.seq, from));
        } else {
            steps.push(Step::Begin(name, last));
        }
    }
    if detects && !is_known(DETECTOR) {
        let before = parked.iter().find(|(name, _)| name == DETECTOR);
        steps.extend(before.map(|(name, cursor)| resume(journal, name.clone(), cursor.seq, from)));
    }
    for reader in
        unused.into_iter().filter(|reader| is_line(&reader.name) || reader.name == DETECTOR)
    {
        if is_taken_over && is_line(&reader.name) {
            steps.push(Step::Forget(reader.name.clone()));
        } else {
            let (name, seq) = (&reader.name, reader.cursor.seq);
            let text =
                format!("{name}: released at {seq}; {} records were not delivered", reader.lag);
            steps.push(Step::Park(name.clone(), reader.cursor.clone(), text));
        }
    }
    if !sinks.is_empty() {
        // The position of a former sink is not needed when another one is on.
        let others = parked_lines.iter().filter(|(name, _)| !sinks.contains(&&**name));
        steps.extend(others.map(|(name, _)| Step::Forget(name.clone())));
    }
    steps
}

/// The change for a reader that was at `seq` when it was switched off.
fn resume(journal: &dyn Journal, name: String, seq: u64, from: ResumeFrom) -> Step {
    let place = Resumption::new(journal, seq, from);
    let text = format!("{name}: {}", place.text);
    Step::Resume(name, place.seq, text)
}

/// Where a reader continues that was off, and what that leaves out.
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
                    "{seq} -> {last}; {} records of the time when it was off are not delivered",
                    left_out(last)
                );
                Self { seq: last, text }
            }
            ResumeFrom::Cursor => {
                let oldest = journal.first_seq().saturating_sub(1).min(last);
                let text = format!(
                    "continues at {}; {} records are not kept any more",
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
