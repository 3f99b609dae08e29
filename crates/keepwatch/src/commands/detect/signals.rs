//! The signals of a run, each in its final state, in the order of their first events.
//!
//! Closed signals are serialized immediately, first to memory and then to an unlinked file, so that
//! memory contains only the open signals and a few bytes for each closed one.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use detect::{ChangeKind, SignalChange};
use event::{Signal, Timestamp};
use serde_json::Value;

/// Maximum number of bytes of closed signals in memory.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// All signals.
#[derive(Default)]
pub(super) struct Signals {
    open: HashMap<String, Arc<Signal>>,
    closed: Vec<Closed>,
    memory: Vec<u8>,
    file: Option<File>,
    file_bytes: u64,
}

/// The position of a closed signal's line.
struct Closed {
    first_seen: Timestamp,
    id: String,
    location: Location,
    length: usize,
}

enum Location {
    Memory(usize),
    File(u64),
}

impl Signals {
    /// Processes a change of a signal.
    pub(super) fn process(&mut self, change: SignalChange) -> Result<()> {
        let SignalChange { kind, signal, at, .. } = change;
        if kind == ChangeKind::Closed {
            self.open.remove(&signal.id);
            return self.put(&signal, at);
        }
        self.open.insert(signal.id.clone(), signal);
        Ok(())
    }

    /// The number of signals.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.closed.len()
    }

    /// Writes one JSON object per line.
    pub(super) fn write(self, to: &mut impl Write) -> Result<()> {
        self.for_each(|line| {
            to.write_all(line)?;
            Ok(())
        })
    }

    /// Passes each signal as the object that the API serves.
    pub(super) fn for_each_object(self, mut handle: impl FnMut(Value) -> Result<()>) -> Result<()> {
        self.for_each(|line| handle(serde_json::from_slice(line)?))
    }

    fn for_each(mut self, mut handle: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for signal in std::mem::take(&mut self.open).into_values() {
            let at = signal.spec.last_seen;
            self.put(&signal, at)?;
        }
        self.closed
            .sort_by(|left, right| (left.first_seen, &left.id).cmp(&(right.first_seen, &right.id)));
        let mut line = Vec::new();
        for closed in &self.closed {
            match (&closed.location, &mut self.file) {
                (Location::Memory(start), _) => {
                    handle(self.memory.get(*start..start + closed.length).unwrap_or_default())?;
                }
                (Location::File(start), Some(file)) => {
                    line.resize(closed.length, 0);
                    file.seek(SeekFrom::Start(*start))
                        .and_then(|_| file.read_exact(&mut line))
                        .context("cannot read the temporary file with signals")?;
                    handle(&line)?;
                }
                (Location::File(_), None) => {}
            }
        }
        Ok(())
    }

    /// Writes out a signal that was closed at this time.
    fn put(&mut self, signal: &Signal, at: Timestamp) -> Result<()> {
        let mut line = serde_json::to_vec(&siem::signal::object(signal, at))?;
        line.push(b'\n');
        let length = line.len();
        let location = if self.memory.len() + length <= MEMORY_BYTES_MAX {
            self.memory.extend_from_slice(&line);
            Location::Memory(self.memory.len() - length)
        } else {
            let unwritable = "cannot write the temporary file with signals";
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(nameless_file().context(unwritable)?),
            };
            file.write_all(&line).context(unwritable)?;
            self.file_bytes += length as u64;
            Location::File(self.file_bytes - length as u64)
        };
        let (first_seen, id) = (signal.spec.first_seen, signal.id.clone());
        self.closed.push(Closed { first_seen, id, location, length });
        Ok(())
    }
}

/// A file that is deleted with the process.
fn nameless_file() -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("keepwatch-signals-{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: ChangeKind, id: &str, first: i64, message: &str) -> SignalChange {
        let mut signal = Signal {
            id: id.to_owned(),
            spec: event::SignalSpec::default(),
            state: event::SignalState::Open,
        };
        signal.spec.first_seen = Timestamp::from_micros(first);
        message.clone_into(&mut signal.spec.message);
        SignalChange {
            kind,
            signal: Arc::new(signal),
            rule: None,
            at: Timestamp::from_micros(9),
            unlisted: Vec::new(),
        }
    }

    #[test]
    fn each_signal_is_written_once_in_its_final_state() {
        let mut signals = Signals::default();
        let long = "x".repeat(MEMORY_BYTES_MAX);
        for update in [
            change(ChangeKind::Opened, "b", 2, "old"),
            change(ChangeKind::Opened, "a", 2, "alone"),
            change(ChangeKind::Updated, "b", 2, "new"),
            change(ChangeKind::Opened, "c", 1, "short"),
            change(ChangeKind::Closed, "c", 1, "closed"),
            change(ChangeKind::Closed, "d", 3, &long),
            change(ChangeKind::Closed, "e", 4, "behind"),
        ] {
            signals.process(update).unwrap();
        }
        assert_eq!(signals.len(), 5);
        let mut output = Vec::new();
        signals
            .for_each_object(|object| {
                let message = object["spec"]["message"].as_str().unwrap().len();
                output.push((object["metadata"]["name"].as_str().unwrap().to_owned(), message));
                Ok(())
            })
            .unwrap();
        let expected = [("c", 6), ("a", 5), ("b", 3), ("d", MEMORY_BYTES_MAX), ("e", 6)];
        assert_eq!(output, expected.map(|(id, length)| (id.to_owned(), length)));
    }
}
