//! One file of a log over its life: current, rotated, compressed, removed.
//!
//! It stays open until everything was read and nothing was added for a while, so that it can be
//! renamed or removed meanwhile. A line without a newline waits for its rest, in the current file
//! for ever, in another one until the file has not changed for that time.
//!
//! Deliberately absent: other files, except that a content can be in several.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use event::Timestamp;
use sha2::{Digest as _, Sha256};

use super::file::{FileId, LogFile, Offset, Outcome, Version};
use super::positions::{Position, Positions};
use crate::limits::LOG_IDLE;
use crate::splitter::{DIGEST_LEN, Digest, Fault, Item};

/// Most reads in a row that find another content in the file than before.
const ATTEMPTS_MAX: usize = 3;

/// Lines to record, and the position after them.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) items: Vec<Item>,
    pub(super) content: Digest,
    pub(super) position: Position,
}

/// The outcome of a read.
#[derive(Debug)]
pub(super) enum Step {
    /// Lines.
    Chunk(Chunk),
    /// A part of a long line, or the current file has another content than before: it is read
    /// after another look at the files, because the old content may have become another file.
    Again,
    /// Nothing more can be read now.
    Idle,
}

/// A file of a log.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) id: FileId,
    pub(super) version: Version,
    /// It has the path of the log, or had it last.
    pub(super) is_current: bool,
    /// It has a name.
    pub(super) is_linked: bool,
    /// Why it cannot be read.
    pub(super) error: Option<String>,
    /// Since when it has this version.
    since: Timestamp,
    file: Option<LogFile>,
    content: Option<Content>,
    /// The version of which everything was read, and whether it was still.
    finished: Option<(Version, bool)>,
}

/// The content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    /// The digest of its first line.
    head: Digest,
    /// Identifies it among all contents: the head, unless another content begins alike.
    key: Digest,
    /// The offset of the first byte.
    start: u64,
}

impl Entry {
    pub(super) fn new(
        path: PathBuf,
        id: FileId,
        version: Version,
        is_current: bool,
        now: Timestamp,
    ) -> Self {
        Self {
            path,
            id,
            version,
            is_current,
            is_linked: true,
            error: None,
            since: now,
            file: None,
            content: None,
            finished: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Whether all that it has at present was read, so that it can be opened again later.
    pub(super) fn is_read(&self) -> bool {
        self.finished.is_some_and(|(version, _)| version == self.version)
    }

    /// The bytes of the file that are in memory.
    #[cfg(test)]
    pub(super) fn buffered_bytes(&self) -> usize {
        self.file.as_ref().map_or(0, LogFile::buffered_bytes)
    }

    /// Its content, if that is known.
    pub(super) fn content(&self) -> Option<Digest> {
        self.content.map(|content| content.key)
    }

    /// Notes where the file is.
    pub(super) fn locate(&mut self, path: PathBuf, is_current: bool) {
        if self.is_current != is_current {
            self.finished = None;
        }
        (self.path, self.is_current, self.is_linked) = (path, is_current, true);
    }

    /// Notes size and time.
    pub(super) fn update(&mut self, version: Version, now: Timestamp) {
        if self.version == version {
            return;
        }
        (self.version, self.since) = (version, now);
        if self.file.is_none() {
            // Another file may have the same inode.
            self.content = None;
        }
    }

    /// Notes size and time of a file without a name.
    pub(super) fn update_removed(&mut self, now: Timestamp) {
        if let Some(Ok(version)) = self.file.as_ref().map(LogFile::version) {
            self.update(version, now);
        }
    }

    /// Opens the file although it may not be read soon.
    pub(super) fn open_early(&mut self, seed: &Sha256) {
        if let Err(error) = self.open(seed) {
            self.error = Some(format!("cannot open {}: {error}", self.path.display()));
        }
    }

    /// The digest of the first line; `None` if there is none.
    pub(super) fn head(&mut self, seed: &Sha256) -> Option<Digest> {
        let head = self.open(seed).and_then(|file| file.head(true)).ok()?;
        head.map(|(head, _)| head)
    }

    /// Whether everything was read, also a line without a newline at the end.
    pub(super) fn is_finished(&self, now: Timestamp) -> bool {
        self.is_still(now) && self.finished == Some((self.version, true))
    }

    pub(super) fn is_unchanged_for(&self, period: Duration, now: Timestamp) -> bool {
        let micros = now.as_micros().saturating_sub(self.since.as_micros());
        micros >= i64::try_from(period.as_micros()).unwrap_or(i64::MAX)
    }

    /// Reads lines.
    pub(super) fn read(&mut self, seed: &Sha256, positions: &Positions, now: Timestamp) -> Step {
        let state = (self.version, self.is_still(now));
        // Of the current file, it is checked that the content is the same: a version does not say
        // that if the file was truncated and written within a tick of the clock.
        let is_checked = self.is_current && self.content.is_some();
        if self.finished == Some(state) && !is_checked {
            return Step::Idle;
        }
        match self.try_read(seed, positions, state.1) {
            Ok(Step::Idle) => {
                self.error = None;
                self.finished = Some(state);
                // A log has many rotated files, to which nothing or little is added.
                if let Some(file) = self.file.as_mut().filter(|_| !self.is_current) {
                    file.rewind();
                }
                Step::Idle
            }
            Ok(step) => step,
            Err(error) => {
                self.error = Some(format!("cannot read {}: {error}", self.path.display()));
                self.file = None;
                if !self.is_gzip() || !is_damage(&error) {
                    // It is tried again.
                    return Step::Idle;
                }
                match self.content {
                    Some(content) if state.1 => Step::Chunk(damaged(content, Vec::new(), seed)),
                    _ => {
                        self.finished = Some(state);
                        Step::Idle
                    }
                }
            }
        }
    }

    /// Whether nothing will be added to it.
    fn is_still(&self, now: Timestamp) -> bool {
        !self.is_current && self.is_unchanged_for(LOG_IDLE, now)
    }

    fn is_gzip(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "gz")
    }

    fn open(&mut self, seed: &Sha256) -> io::Result<&mut LogFile> {
        let file = match self.file.take() {
            Some(file) => file,
            None => LogFile::open(&self.path, seed.clone())?,
        };
        if file.id() != self.id {
            return Err(io::Error::other("another file got its name"));
        }
        Ok(self.file.insert(file))
    }

    fn try_read(
        &mut self,
        seed: &Sha256,
        positions: &Positions,
        is_still: bool,
    ) -> io::Result<Step> {
        let (is_current, is_gzip) = (self.is_current, self.is_gzip());
        for _ in 0..ATTEMPTS_MAX {
            let was_known = self.content.is_some();
            let Some((content, position)) = self.identify(seed, positions, is_still)? else {
                break;
            };
            if is_current && !was_known && positions.get(content.key).is_none() {
                return Ok(Step::Again);
            }
            let Position::At(from) = position else {
                self.close();
                break;
            };
            let (key, id) = (content.key, self.id);
            let file = self.open(seed)?;
            let lines = match file.read(content.head, from)? {
                Outcome::Lines(lines) => lines,
                Outcome::Part => return Ok(Step::Again),
                Outcome::End if is_still && file.is_cut() => {
                    let rest = file.rest().map(|rest| rest.items).unwrap_or_default();
                    return Ok(Step::Chunk(damaged(content, rest, seed)));
                }
                Outcome::End if is_still || (is_gzip && !is_current && !file.is_cut()) => {
                    let Some(rest) = file.rest() else { break };
                    rest
                }
                // The file may have another content since it was identified.
                Outcome::Replaced => {
                    self.content = None;
                    continue;
                }
                Outcome::TooShort | Outcome::Differs if !file.begins_with(content.head)? => {
                    file.rewind();
                    self.content = None;
                    continue;
                }
                Outcome::TooShort if is_current => {
                    let Some(end) = file.end(content.head)? else { return Ok(Step::Again) };
                    // A crash of the machine can remove lines that the program did not flush.
                    tracing::warn!(path = %self.path.display(), "a log file is shorter than what \
                        was read of it: what follows is read");
                    end
                }
                Outcome::Differs => {
                    file.rewind();
                    tracing::warn!(path = %self.path.display(), "a log file begins like one that \
                        was read but differs later: it is read from its beginning");
                    self.content = Some(Content { key: own_key(content.head, id), ..content });
                    continue;
                }
                Outcome::End | Outcome::TooShort => break,
            };
            let position = Position::At(lines.end);
            return Ok(Step::Chunk(Chunk { items: lines.items, content: key, position }));
        }
        Ok(Step::Idle)
    }

    /// The content of the file, and what was read of it; `None` if it has no complete line.
    fn identify(
        &mut self,
        seed: &Sha256,
        positions: &Positions,
        is_still: bool,
    ) -> io::Result<Option<(Content, Position)>> {
        let is_known = self.content.is_some();
        let content = match self.content {
            Some(content) => content,
            None => match self.open(seed)?.head(is_still)? {
                Some((head, start)) => Content { head, key: head, start },
                None => return Ok(None),
            },
        };
        self.content = Some(content);
        let Some(position) = positions.get(content.key) else {
            let beginning = Offset { bytes: content.start, tail: None };
            return Ok(Some((content, Position::At(beginning))));
        };
        if let Position::At(Offset { bytes, .. }) = position
            && !is_known
            && self.open(seed)?.ends_at(bytes)?
        {
            return Ok(Some((content, Position::Done)));
        }
        Ok(Some((content, position)))
    }
}

/// Whether the content of a compressed file causes the error, and not the file system.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// What is recorded of a compressed file whose rest cannot be read.
fn damaged(content: Content, mut items: Vec<Item>, seed: &Sha256) -> Chunk {
    let mut digest = Digest::default();
    let hasher = seed.clone().chain_update(content.key).chain_update(b"damaged");
    digest.copy_from_slice(&hasher.finalize()[..DIGEST_LEN]);
    items.push(Item { digest, fault: Some(Fault::Damaged), ..Item::default() });
    Chunk { items, content: content.key, position: Position::Done }
}

/// The key of a content that begins like another one.
fn own_key(head: Digest, id: FileId) -> Digest {
    let mut digest = Digest::default();
    let hasher = Sha256::new().chain_update(head).chain_update(id.bytes());
    digest.copy_from_slice(&hasher.finalize()[..DIGEST_LEN]);
    digest
}
