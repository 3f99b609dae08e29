//! `keepwatch cursors`: the positions of the readers of the journal, and the only way to discard
//! events.
//!
//! The list can be taken from a running server's store. A cursor is moved only while no server has
//! the store open. The move is printed and recorded as an event, so that an archive explains its
//! own gap.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use delivery::UploadIntent;
use event::InternalEvent;
use store::{Cursor, Journal, Reader, ReaderList, Sqlite};

use crate::args::{CursorsCommand, MoveArgs};
use crate::store_file::{STORE_FILE, open_store};
use crate::terminal::eprint_line;
use crate::{app, journal_gaps};

/// Heading of the column of names.
const HEADING: &str = "READER";

/// The state of a reader that is no longer configured.
const RELEASED: &str = "released";

/// The direction of a cursor move.
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
    let ReaderList { readers, parked, first_seq, last_seq } =
        store::list_readers(&data_dir.join(STORE_FILE))?;
    let registered = readers
        .into_iter()
        .map(|Reader { name, cursor, lag }| (name, cursor.seq, lag.to_string(), cursor.state));
    let released = parked
        .into_iter()
        .map(|(name, cursor)| (name, cursor.seq, "-".to_owned(), RELEASED.to_owned()));
    let lines: Vec<_> = registered.chain(released).collect();
    let mut out = io::stdout().lock();
    writeln!(out, "journal: {first_seq} to {last_seq}")?;
    let widest = lines.iter().map(|(name, ..)| name.len()).chain([HEADING.len()]).max();
    let width = widest.unwrap_or_default();
    writeln!(out, "{HEADING:<width$} {:>12} {:>12}  STATE", "SEQ", "LAG")?;
    for (name, seq, lag, state) in lines {
        let line = format!("{name:<width$} {seq:>12} {lag:>12}  {state}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn acknowledge(data_dir: &Path) -> Result<()> {
    let path = data_dir.join(STORE_FILE);
    if !path.is_file() {
        bail!("there is no store at {}", path.display());
    }
    let acknowledged = journal_gaps::acknowledge(&path)?;
    if acknowledged.is_empty() {
        eprint_line("no records are known to be missing that were not acknowledged before");
    }
    for gap in acknowledged {
        let (first, last) = (gap.first, gap.last);
        eprint_line(&format!(
            "acknowledged: records {first} to {last} are missing ({})",
            gap.records()
        ));
    }
    Ok(())
}

fn move_cursor(args: &MoveArgs, direction: Direction) -> Result<()> {
    let path = args.data_dir.join(STORE_FILE);
    if !path.is_file() {
        bail!("there is no store at {}", path.display());
    }
    let store = open_store(&path, store::Settings::default())?;
    let moved = app::runtime()?.block_on(async {
        let moved = move_reader(&store, args, direction).await;
        store.close().await;
        moved
    })?;
    eprint_line(&moved);
    Ok(())
}

async fn move_reader(store: &Sqlite, args: &MoveArgs, direction: Direction) -> Result<String> {
    let journal = store.journal();
    let (reader, to) = (&args.reader, args.to);
    let Some(cursor) = journal.cursor(reader) else {
        return move_released(store, args, direction).await;
    };
    let from = cursor.seq;
    check_target(&*journal, reader, direction, from, to)?;
    journal.advance_durably(reader, to, "").await.context("the cursor was not moved")?;
    let moved = format!("{reader}: {from} -> {to}");
    record(store, direction, reader, &moved).await;
    let mut message = match direction {
        Direction::Forward => format!("{moved}; {} records will not be delivered", to - from),
        Direction::Back => format!("{moved}; {} records will be delivered again", from - to),
    };
    let uploading = UploadIntent::parse(&cursor.state).map(|intent| intent.last_seq());
    if let Some(last) = uploading.filter(|last| direction == Direction::Forward && to < *last) {
        message = format!(
            "{message}; an object up to {last} was being uploaded: its records after {to} may arrive twice"
        );
    }
    Ok(message)
}

/// Moves the stored position of a released reader. No records are retained for it.
async fn move_released(store: &Sqlite, args: &MoveArgs, direction: Direction) -> Result<String> {
    let journal = store.journal();
    let (reader, to) = (&args.reader, args.to);
    let parked = journal.parked().into_iter().find(|(name, _)| name == reader);
    let (_, cursor) = parked.with_context(|| {
        format!("there is no reader {reader:?}; `keepwatch cursors list` lists the readers")
    })?;
    let from = cursor.seq;
    check_target(&*journal, reader, direction, from, to)?;
    let cursor = Cursor { seq: to, state: String::new() };
    journal.park(reader, cursor).await.context("the cursor was not moved")?;
    let moved = format!("{reader}: {from} -> {to}");
    record(store, direction, reader, &moved).await;
    Ok(format!(
        "{moved}; {reader} is released: no records are retained for it, and it continues there only if it \
         is configured again with --resume-from=cursor"
    ))
}

/// Fails if there is nothing to skip, or nothing to deliver again.
fn check_target(
    journal: &dyn Journal,
    reader: &str,
    direction: Direction,
    from: u64,
    to: u64,
) -> Result<()> {
    let (first, last) = (journal.first_seq(), journal.last_seq());
    match direction {
        Direction::Forward if to <= from => {
            bail!("{reader} is already at {from}: {to} is not ahead of it")
        }
        Direction::Forward if to > last => bail!("the journal ends at {last}: {to} is not in it"),
        Direction::Back if to >= from => bail!("{reader} is at {from}: {to} is not behind it"),
        Direction::Back if to.saturating_add(1) < first => {
            bail!(
                "the journal begins at {first}: {} is the lowest position",
                first.saturating_sub(1)
            )
        }
        Direction::Forward | Direction::Back => Ok(()),
    }
}

/// Records the move as an event. Without it the move is still valid: a full journal is a reason to
/// skip.
async fn record(store: &Sqlite, direction: Direction, reader: &str, moved: &str) {
    let change =
        if direction == Direction::Forward { InternalEvent::Skip } else { InternalEvent::Rewind };
    if let Err(error) = crate::reader_positions::record(store, change, reader, moved).await {
        tracing::warn!(%error, moved, "the move could not be recorded as an event");
    }
}
