//! `keepwatch cursors`: how far each reader of the journal is, and the only direction to discard events.
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
use crate::terminal::eprint_line;
use crate::{app, journal_gaps};

/// The store's file in a data folder.
const STORE: &str = "keepwatch.db";

/// Stands over the names of readers.
const HEADING: &str = "READER";

/// Which direction a cursor goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Back,
}

/// Runs one of the commands about cursors.
pub(crate) fn run(command: &CursorsCommand) -> Result<ExitCode> {
    match command {
        CursorsCommand::List { data_dir } => list(data_dir)?,
        CursorsCommand::Acknowledge { data_dir } => acknowledge(data_dir)?,
        CursorsCommand::Skip(args) => move_cursor(args, Direction::Forward)?,
        CursorsCommand::Rewind(args) => move_cursor(args, Direction::Back)?,
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
        eprint_line("no records are known to be missing that were not acknowledged before");
    }
    for hole in seen {
        let (first, last) = (hole.first, hole.last);
        eprint_line(&format!(
            "acknowledged: records {first} to {last} are missing ({})",
            hole.records()
        ));
    }
    Ok(())
}

fn move_cursor(args: &MoveArgs, direction: Direction) -> Result<()> {
    let path = args.data_dir.join(STORE);
    if !path.is_file() {
        bail!("there is no store at {}", path.display());
    }
    let store = app::open_store(&path, store::Settings::default())?;
    let moved = app::runtime()?.block_on(async {
        let moved = place(&store, args, direction).await;
        store.close().await;
        moved
    })?;
    eprint_line(&moved);
    Ok(())
}

async fn place(store: &Sqlite, args: &MoveArgs, direction: Direction) -> Result<String> {
    let journal = store.journal();
    let (reader, to) = (&args.reader, args.to);
    let cursor = journal.cursor(reader).with_context(|| {
        format!("there is no reader {reader:?}; `keepwatch cursors list` names them")
    })?;
    let from = cursor.seq;
    may_go(&*journal, reader, direction, from, to)?;
    journal.advance_durably(reader, to, "").await.context("the cursor was not moved")?;
    let moved = format!("{reader}: {from} -> {to}");
    if let Err(error) = record(store, direction, reader, &moved).await {
        // A journal that is full is a reason to skip: the move stands.
        tracing::warn!(%error, moved, "the move could not be recorded as an event");
    }
    let mut told = match direction {
        Direction::Forward => format!("{moved}; {} records will not be delivered", to - from),
        Direction::Back => format!("{moved}; {} records will be delivered again", from - to),
    };
    if let Some(last) =
        under_way(&cursor.state).filter(|last| direction == Direction::Forward && to < *last)
    {
        told = format!(
            "{told}; an object up to {last} was on its direction: what it holds behind {to} may arrive twice"
        );
    }
    Ok(told)
}

/// Whether there is something to skip, or to have again.
fn may_go(
    journal: &dyn Journal,
    reader: &str,
    direction: Direction,
    from: u64,
    to: u64,
) -> Result<()> {
    let (first, last) = (journal.first_seq(), journal.last_seq());
    match direction {
        Direction::Forward if to <= from => {
            bail!("{reader} is at {from} already: {to} is not ahead of it")
        }
        Direction::Forward if to > last => bail!("the journal ends at {last}: {to} is not in it"),
        Direction::Back if to >= from => bail!("{reader} is at {from}: {to} is not behind it"),
        Direction::Back if to.saturating_add(1) < first => {
            bail!("the journal begins at {first}: {} is the furthest back", first.saturating_sub(1))
        }
        Direction::Forward | Direction::Back => Ok(()),
    }
}

/// The last record of an object that was fixed and is not confirmed.
fn under_way(state: &str) -> Option<u64> {
    state.strip_prefix("fixed ")?.split(' ').nth(2)?.parse().ok()
}

/// Puts the move on record.
async fn record(store: &Sqlite, direction: Direction, reader: &str, moved: &str) -> Result<()> {
    let change = if direction == Direction::Forward { OwnEvent::Skip } else { OwnEvent::Rewind };
    crate::reader_places::record(store, change, reader, moved).await?;
    Ok(())
}
