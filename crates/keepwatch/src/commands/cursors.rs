//! `keepwatch cursors`: how far each reader of the journal is, and the only way to discard events.
//!
//! The list can be taken from a running server's store. A cursor is moved only while no server has
//! the store open: which one is moved, from where and to where, is printed.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use store::Journal;

use crate::args::{CursorsCommand, MoveArgs};
use crate::commands::say;
use crate::house;

/// The store's file in a data folder.
const STORE: &str = "keepwatch.db";

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
        CursorsCommand::Skip(args) => go(args, Way::Forward)?,
        CursorsCommand::Rewind(args) => go(args, Way::Back)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(data_dir: &Path) -> Result<()> {
    let (readers, first, last) = store::readers_of(&data_dir.join(STORE))?;
    let mut out = io::stdout().lock();
    writeln!(out, "journal: {first} to {last}")?;
    writeln!(out, "{:<60} {:>12} {:>12}  STATE", "READER", "SEQ", "LAG")?;
    for reader in readers {
        let (name, cursor) = (reader.name, reader.cursor);
        writeln!(out, "{name:<60} {:>12} {:>12}  {}", cursor.seq, reader.lag, cursor.state)?;
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
        let moved = place(&store.journal(), args, way).await;
        store.close().await;
        moved
    })?;
    say(&moved);
    Ok(())
}

async fn place(journal: &Journal, args: &MoveArgs, way: Way) -> Result<String> {
    let reader = &args.reader;
    let cursor =
        journal.cursor(reader).with_context(|| format!("there is no reader {reader:?}"))?;
    let (from, to) = (cursor.seq, args.to);
    let (first, last) = (journal.first_seq(), journal.last_seq());
    match way {
        Way::Forward if to <= from => {
            bail!("{reader} is at {from} already: {to} is not ahead of it")
        }
        Way::Forward if to > last => bail!("the journal ends at {last}"),
        Way::Back if to >= from => bail!("{reader} is at {from}: {to} is not behind it"),
        Way::Back if to + 1 < first => {
            bail!("the journal begins at {first}: {} is the furthest back", first.saturating_sub(1))
        }
        Way::Forward | Way::Back => {}
    }
    journal.advance_durably(reader, to, "").await.context("the cursor was not moved")?;
    Ok(match way {
        Way::Forward => {
            format!("{reader}: {from} -> {to}; {} records will not be delivered", to - from)
        }
        Way::Back => {
            format!("{reader}: {from} -> {to}; {} records will be delivered again", from - to)
        }
    })
}
