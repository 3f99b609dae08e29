//! The files of one log as one stream of lines: which file is read next, and from where.
//!
//! Rotated files are read before the current one, those that were changed first before the others.
//! A file stays open until its content was read and nothing is added to it for a while, so that it
//! can be deleted or renamed meanwhile.
//!
//! Deliberately absent: the journal, and waiting.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use event::Timestamp;
use sha2::Sha256;

use super::entry::{Entry, Step};
use super::file::FileId;
use super::folder::{self, Files};
use super::positions::{Position, Positions};
use crate::limits::{LOG_FILES_MAX, LOG_IDLE, LOG_OPEN_MAX};
use crate::splitter::Digest;

/// Most lists of the folder in one look, if files are renamed meanwhile.
const LISTS_MAX: usize = 3;

/// Reads one log.
#[derive(Debug)]
pub(super) struct LogReader {
    path: PathBuf,
    /// The beginning of what the identities of lines are computed from.
    seed: Sha256,
    positions: Positions,
    files: BTreeMap<FileId, Entry>,
    /// The files in the order in which they are read.
    order: Vec<FileId>,
    /// Why something is not read, if that is so.
    notice: Option<String>,
}

impl LogReader {
    pub(super) fn new(path: &Path, seed: Sha256, positions: Positions) -> Self {
        let (path, files, order) = (path.to_owned(), BTreeMap::new(), Vec::new());
        Self { path, seed, positions, files, order, notice: None }
    }

    pub(super) fn positions(&self) -> &Positions {
        &self.positions
    }

    /// The contents of rotated files that exist before the log is read for the first time.
    pub(super) fn older(&mut self, now: Timestamp) -> Vec<Digest> {
        self.scan(now);
        let (mut current, mut older) = (HashSet::new(), Vec::new());
        for entry in self.files.values_mut() {
            match entry.head(&self.seed) {
                Some(head) if entry.is_current => drop(current.insert(head)),
                Some(head) => older.push(head),
                None => {}
            }
            if !entry.is_current {
                entry.close();
            }
        }
        // A copy of the current file is not older.
        older.retain(|head| !current.contains(head));
        older
    }

    /// Why something is not read, if that is so.
    pub(super) fn notice(&self) -> Option<&str> {
        let errors = self.files.values().filter_map(|entry| entry.error.as_deref());
        errors.chain(self.notice.as_deref()).next()
    }

    /// Looks which files there are now.
    pub(super) fn scan(&mut self, now: Timestamp) {
        for _ in 0..LISTS_MAX {
            let listed = match folder::list(&self.path) {
                Ok(listed) => listed,
                Err(error) => {
                    self.notice = Some(format!("cannot list {}: {error}", self.folder()));
                    return;
                }
            };
            self.notice = if listed.has_more {
                let folder = self.folder();
                Some(format!("{folder} has more than {LOG_FILES_MAX} rotated files: remove some"))
            } else if listed.current.is_none() {
                Some(format!("{} does not exist", self.path.display()))
            } else {
                None
            };
            if self.find(listed, now) {
                break;
            }
        }
        self.close(now);
        let mut order: Vec<&Entry> = self.files.values().collect();
        order.sort_by_key(|entry| (entry.is_current, entry.version, &entry.path));
        self.order = order.iter().map(|entry| entry.id).collect();
    }

    /// Notes the files that have a name. Returns false if one was renamed or removed meanwhile.
    fn find(&mut self, listed: Files, now: Timestamp) -> bool {
        for entry in self.files.values_mut() {
            entry.is_linked = false;
        }
        let mut open = self.files.values().filter(|entry| entry.is_open()).count();
        let mut is_complete = true;
        let rotated = listed.rotated.into_iter().map(|path| (path, false));
        for (path, is_current) in rotated.chain(listed.current.map(|path| (path, true))) {
            let Ok(metadata) = std::fs::metadata(&path) else {
                is_complete = false;
                continue;
            };
            let Some((id, version)) = FileId::of(&metadata) else { continue };
            if let Some(entry) = self.files.get_mut(&id) {
                entry.locate(path, is_current);
                entry.update(version, now);
                continue;
            }
            let mut entry = Entry::new(path, id, version, is_current, now);
            // An open file can be read after it was removed.
            if open < LOG_OPEN_MAX || is_current {
                entry.open_early(&self.seed);
                open += 1;
            }
            self.files.insert(id, entry);
        }
        is_complete
    }

    fn folder(&self) -> std::path::Display<'_> {
        self.path.parent().unwrap_or(&self.path).display()
    }

    /// Reads lines of the first file that has some.
    pub(super) fn read(&mut self, now: Timestamp) -> Step {
        for id in &self.order {
            let Some(entry) = self.files.get_mut(id) else { continue };
            match entry.read(&self.seed, &self.positions, now) {
                Step::Idle => {}
                step => return step,
            }
        }
        Step::Idle
    }

    /// The lines before a position are durable.
    pub(super) fn commit(&mut self, content: Digest, position: Position, now: Timestamp) {
        self.positions.set(content, position, now);
    }

    /// Forgets positions that are not needed, if there are too many. Returns their keys.
    pub(super) fn forget(&mut self) -> Vec<String> {
        let present = self.files.values().filter_map(Entry::content).collect();
        self.positions.forget(&present)
    }

    /// Closes files that no longer grow, and others that were read if too many are
    /// open.
    fn close(&mut self, now: Timestamp) {
        let mut open = self.files.values().filter(|entry| entry.is_open()).count();
        for entry in self.files.values_mut().filter(|entry| entry.is_open()) {
            if open > LOG_OPEN_MAX && entry.is_linked && !entry.is_current && entry.is_read() {
                entry.close();
                open -= 1;
            }
        }
        let has_current = self.files.values().any(|entry| entry.is_current && entry.is_linked);
        self.files.retain(|_, entry| {
            if !entry.is_linked {
                // Without a new file, programs still write to the removed one.
                entry.is_current &= !has_current;
                entry.update_removed(now);
            }
            if entry.is_finished(now) && entry.is_unchanged_for(LOG_IDLE, now) {
                entry.close();
            }
            entry.is_linked || entry.is_open()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sha2::Digest as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1);
    const FILES: usize = 300;

    /// A reader that has read everything, and the files that are open.
    fn read_all(path: &Path, positions: Positions) -> (LogReader, usize) {
        let mut reader = LogReader::new(path, Sha256::new(), positions);
        loop {
            reader.scan(NOW);
            match reader.read(NOW) {
                Step::Chunk(chunk) => reader.commit(chunk.content, chunk.position, NOW),
                Step::Again => {}
                Step::Idle => break,
            }
        }
        reader.scan(NOW);
        let open = reader.files.values().filter(|entry| entry.is_open()).count();
        (reader, open)
    }

    /// Regression: after a restart, each rotated file kept a window of 260 KiB for five minutes.
    #[test]
    fn many_rotated_files_take_neither_memory_nor_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(&path, "{\"n\":-1}\n").unwrap();
        for number in 0..FILES {
            let text = format!("{{\"n\":{number}}}\n").repeat(3);
            fs::write(path.with_extension(format!("log.{number}")), text).unwrap();
        }
        let buffered_bytes =
            |reader: &LogReader| reader.files.values().map(Entry::buffered_bytes).sum::<usize>();
        let (first, open) = read_all(&path, Positions::read(String::new(), &[]));
        assert!(
            buffered_bytes(&first) < 1 << 20 && open <= LOG_OPEN_MAX,
            "{} {open}",
            buffered_bytes(&first)
        );
        // A restart: all positions are known.
        let LogReader { positions, .. } = first;
        let (second, open) = read_all(&path, positions);
        assert!(
            buffered_bytes(&second) < 1 << 20 && open <= LOG_OPEN_MAX,
            "{} {open}",
            buffered_bytes(&second)
        );
        let mut older = LogReader::new(&path, Sha256::new(), Positions::read(String::new(), &[]));
        assert_eq!(older.older(NOW).len(), FILES);
        assert!(older.files.values().all(|entry| !entry.is_open() || entry.is_current));
    }
}
