//! `keepwatch cursors`: how far each reader of the journal is, and the only way to discard events.
//!
//! The list can be taken from a running server's store. A cursor is moved only while no server has
//! the store open: which one is moved, from where and to where, is printed, and recorded as an event,
//! so that a gap in an archive has its explanation in it.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use event::OwnEvent;
use store::{Journal, Sqlite};

use crate::args::{CursorsCommand, MoveArgs};
use crate::commands::say;
use crate::{house, journal_gaps};

/// The store's file in a data folder.
const STORE: &str = "keepwatch.db";

/// Stands over the names of readers.
const HEADING: &str = "READER";

/// Which way a cursor goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Forward,
    Back,
}

/// Runs one of the commands about cursors.
pub(crate) fn run(command: &CursorsCommand) -> Result<ExitCode> {
    match command {
        CursorsCommand::List { data_dir } => list(data_dir)?,
        CursorsCommand::Acknowledge { data_dir } => acknowledge(data_dir)?,
        CursorsCommand::Skip(args) => go(args, Way::Forward)?,
        CursorsCommand::Rewind(args) => go(args, Way::Back)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(data_dir: &Path) -> Result<()> {
    let (readers, first, last) = store::readers_of(&data_dir.join(STORE))?;
    let mut out = io::stdout().lock();
    writeln!(out, "journal: {first} to {last}")?;
    let widest = readers.iter().map(|reader| reader.name.len()).chain([HEADING.len()]).max();
    let width = widest.unwrap_or_default();
    writeln!(out, "{HEADING:<width$} {:>12} {:>12}  STATE", "SEQ", "LAG")?;
    for reader in readers {
        let (name, cursor) = (reader.name, reader.cursor);
        let line =
            format!("{name:<width$} {:>12} {:>12}  {}", cursor.seq, reader.lag, cursor.state);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn acknowledge(data_dir: &Path) -> Result<()> {
    let path = data_dir.join(STORE);
    if !path.is_file() {
        bail!("there is no store at {}", path.display());
    }
    let seen = journal_gaps::acknowledge(&path)?;
    if seen.is_empty() {
        say("no records are known to be missing that were not acknowledged before");
    }
    for hole in seen {
        let (first, last) = (hole.first, hole.last);
        say(&format!("acknowledged: records {first} to {last} are missing ({})", hole.records()));
    }
    Ok(())
}

fn go(args: &MoveArgs, way: Way) -> Result<()> {
    let path = args.data_dir.join(STORE);
    if !path.is_file() {
        bail!("there is no store at {}", path.display());
    }
    let store = house::open_store(&path, store::Settings::default())?;
    let moved = house::runtime()?.block_on(async {
        let moved = place(&store, args, way).await;
        store.close().await;
        moved
    })?;
    say(&moved);
    Ok(())
}

async fn place(store: &Sqlite, args: &MoveArgs, way: Way) -> Result<String> {
    let journal = store.journal();
    let (reader, to) = (&args.reader, args.to);
    let cursor = journal.cursor(reader).with_context(|| {
        format!("there is no reader {reader:?}; `keepwatch cursors list` names them")
    })?;
    let from = cursor.seq;
    may_go(&*journal, reader, way, from, to)?;
    journal.advance_durably(reader, to, "").await.context("the cursor was not moved")?;
    let moved = format!("{reader}: {from} -> {to}");
    if let Err(error) = record(store, way, reader, &moved).await {
        // A journal that is full is a reason to skip: the move stands.
        tracing::warn!(%error, moved, "the move could not be recorded as an event");
    }
    let mut told = match way {
        Way::Forward => format!("{moved}; {} records will not be delivered", to - from),
        Way::Back => format!("{moved}; {} records will be delivered again", from - to),
    };
    if let Some(last) = under_way(&cursor.state).filter(|last| way == Way::Forward && to < *last) {
        told = format!(
            "{told}; an object up to {last} was on its way: what it holds behind {to} may arrive twice"
        );
    }
    Ok(told)
}

/// Whether there is something to skip, or to have again.
fn may_go(journal: &dyn Journal, reader: &str, way: Way, from: u64, to: u64) -> Result<()> {
    let (first, last) = (journal.first_seq(), journal.last_seq());
    match way {
        Way::Forward if to <= from => {
            bail!("{reader} is at {from} already: {to} is not ahead of it")
        }
        Way::Forward if to > last => bail!("the journal ends at {last}: {to} is not in it"),
        Way::Back if to >= from => bail!("{reader} is at {from}: {to} is not behind it"),
        Way::Back if to.saturating_add(1) < first => {
            bail!("the journal begins at {first}: {} is the furthest back", first.saturating_sub(1))
        }
        Way::Forward | Way::Back => Ok(()),
    }
}

/// The last record of an object that was fixed and is not confirmed.
fn under_way(state: &str) -> Option<u64> {
    state.strip_prefix("fixed ")?.split(' ').nth(2)?.parse().ok()
}

/// Puts the move on record.
async fn record(store: &Sqlite, way: Way, reader: &str, moved: &str) -> Result<()> {
    let change = if way == Way::Forward { OwnEvent::Skip } else { OwnEvent::Rewind };
    crate::reader_places::record(store, change, reader, moved).await?;
    Ok(())
}
