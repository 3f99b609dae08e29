//! One log file, plain or gzip: what its content is, and its lines from a position on.
//!
//! A content is known by the digest of its first line, whatever the name and the inode of the file:
//! a copy, a renamed and a compressed file have the same one. A position in it is an offset and the
//! digest of the bytes before, so that a file that was truncated and written again is noticed
//! whatever its size.
//!
//! Deliberately absent: which files there are, and what was read from each content.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use rustix::fs::{OFlags, SeekFrom};
use sha2::{Digest as _, Sha256};

use super::lines::LineReader;
use crate::limits::{CHUNK_EVENTS_MAX, HEAD_BYTES_MAX, LINE_READ_MAX, LOG_READ_BYTES};
use crate::splitter::{DIGEST_LEN, Digest, Item};

/// Bytes before a position of which the digest is known.
const TAIL_BYTES: usize = 4 << 10;

/// Identifies a file while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

/// Size and time of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    /// In nanoseconds since the Unix epoch.
    pub(super) modified: i128,
    pub(super) len: u64,
}

/// Where the next line of a content begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// In bytes, of a compressed file after decompression.
    pub(super) bytes: u64,
    /// The digest of the bytes before; `None` if no line was read.
    pub(super) tail: Option<Digest>,
}

/// Lines of a file.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) items: Vec<Item>,
    /// Where the next line begins.
    pub(super) end: Offset,
}

/// The outcome of a read.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Complete lines.
    Lines(Lines),
    /// A part of a line that continues in the file.
    Part,
    /// The end of the file. Its last line may have no newline yet.
    End,
    /// The file ends before the position.
    TooShort,
    /// The file no longer has the content.
    Replaced,
    /// The content begins alike, but differs before the position.
    Differs,
}

/// An open file.
#[derive(Debug)]
pub(super) struct LogFile {
    file: Arc<File>,
    is_gzip: bool,
    id: FileId,
    window: Option<Window>,
    lines: LineReader,
    /// The offset up to which lines were returned.
    returned: u64,
}

/// The bytes around the place that is read: [`TAIL_BYTES`] before it, and those that follow.
struct Window {
    stream: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    /// The offset of the first byte.
    start: u64,
    /// The next byte, in `bytes`.
    at: usize,
    /// A compressed file ends too early.
    is_cut: bool,
}

impl FileId {
    /// The identity and the version of a regular file; `None` if it is none.
    pub(super) fn of(metadata: &std::fs::Metadata) -> Option<(Self, Version)> {
        let id = Self { device: metadata.dev(), inode: metadata.ino() };
        let modified =
            i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        metadata.is_file().then_some((id, Version { modified, len: metadata.len() }))
    }

    pub(super) fn bytes(self) -> [u8; 16] {
        (u128::from(self.device) << 64 | u128::from(self.inode)).to_be_bytes()
    }
}

impl LogFile {
    /// Opens a file. Does not wait if it is a pipe.
    pub(super) fn open(path: &Path, seed: Sha256) -> io::Result<Self> {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let Some((id, _)) = FileId::of(&file.metadata()?) else {
            return Err(io::Error::other("it is not a regular file"));
        };
        let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
        let (file, lines) = (Arc::new(file), LineReader::new(seed));
        Ok(Self { file, is_gzip, id, window: None, lines, returned: 0 })
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// The current size and time.
    pub(super) fn version(&self) -> io::Result<Version> {
        let version = FileId::of(&self.file.metadata()?).map(|(_, version)| version);
        version.ok_or_else(|| io::Error::other("it is not a regular file"))
    }

    /// The digest of the first line, and where the file has its first byte: a file system leaves a
    /// hole if a program continues to write a truncated file at its old offset. `None` before the
    /// end of the line, unless the file is complete.
    pub(super) fn head(&self, is_complete: bool) -> io::Result<Option<(Digest, u64)>> {
        let Some(start) = self.first_byte() else { return Ok(None) };
        let mut stream = BufReader::with_capacity(LOG_READ_BYTES, self.stream(start));
        let (mut hasher, mut len, mut is_ended) = (Sha256::new(), 0, false);
        while !is_ended && len < HEAD_BYTES_MAX {
            let buffer = match std::io::BufRead::fill_buf(&mut stream) {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => &[],
                Err(error) => return Err(error),
            };
            let read = buffer.len();
            if read == 0 {
                break;
            }
            let text = if len == 0 { without_blanks(buffer) } else { buffer };
            let end = memchr::memchr(b'\n', text);
            is_ended = end.is_some();
            let text = &text[..end.unwrap_or(text.len()).min(HEAD_BYTES_MAX - len)];
            hasher.update(text);
            len += text.len();
            std::io::BufRead::consume(&mut stream, read);
        }
        let is_known = is_ended || len == HEAD_BYTES_MAX || (is_complete && len > 0);
        Ok(is_known.then(|| (first_bytes(hasher), start)))
    }

    /// Whether a compressed file has this size after decompression, by its last bytes. If not, it
    /// may have the size nevertheless.
    pub(super) fn ends_at(&self, bytes: u64) -> io::Result<bool> {
        let mut size = [0; 4];
        let len = self.version()?.len;
        if !self.is_gzip || len < 18 {
            return Ok(false);
        }
        self.file.read_exact_at(&mut size, len - 4)?;
        Ok(u64::from(u32::from_le_bytes(size)) == bytes & u64::from(u32::MAX))
    }

    /// Reads lines from a position on, as many as one transaction may record.
    pub(super) fn read(&mut self, head: Digest, from: Offset) -> io::Result<Outcome> {
        if self.window.is_none() || self.returned != from.bytes {
            match self.seek(from)? {
                Sought::There => {}
                Sought::TooShort => return Ok(Outcome::TooShort),
                Sought::Differs => return Ok(Outcome::Differs),
            }
        }
        let Some(window) = &mut self.window else { return Ok(Outcome::End) };
        let (mut items, mut end, mut lines) = (Vec::new(), None, 0);
        let (mut bytes, mut has_filled, mut is_end) = (0, false, false);
        while lines < CHUNK_EVENTS_MAX && bytes < LINE_READ_MAX {
            if window.unread().is_empty() {
                // The bytes before the last line must stay in the window.
                if end.is_some() {
                    break;
                }
                has_filled = true;
                if !window.fill()? {
                    is_end = true;
                    break;
                }
            }
            let (read, is_line) = self.lines.push(window.unread(), &mut items);
            window.at += read;
            bytes += read;
            if is_line {
                lines += 1;
                end = Some(window.at);
            }
        }
        let end = end.map(|at| window.offset(at));
        if has_filled && !self.is_gzip && !self.still_has(head, from)? {
            return Ok(self.replaced());
        }
        Ok(match end {
            Some(end) => {
                self.returned = end.bytes;
                Outcome::Lines(Lines { items, end })
            }
            None if is_end => self.at_end(),
            None => Outcome::Part,
        })
    }

    /// What follows the last line, if it is not blank: a line without a newline. To be called at
    /// the end of a file that nothing will be added to.
    pub(super) fn rest(&mut self) -> Option<Lines> {
        let window = self.window.as_ref()?;
        let end = window.offset(window.at);
        if end.bytes == self.returned {
            return None;
        }
        let mut items = Vec::new();
        self.lines.finish(&mut items);
        self.returned = end.bytes;
        Some(Lines { items, end })
    }

    /// The end of a plain file, without the lines before; `None` if it no longer has the content.
    pub(super) fn end(&mut self, head: Digest) -> io::Result<Option<Lines>> {
        let bytes = self.version()?.len;
        self.rewind();
        let tail = self.tail(bytes)?;
        let lines = Lines { items: Vec::new(), end: Offset { bytes, tail: Some(tail) } };
        // It may have been truncated meanwhile.
        Ok(self.begins_with(head)?.then_some(lines))
    }

    /// Whether the first line is this one.
    pub(super) fn begins_with(&self, head: Digest) -> io::Result<bool> {
        Ok(self.head(true)?.is_some_and(|(now, _)| now == head))
    }

    /// Whether a compressed file ends too early.
    pub(super) fn is_cut(&self) -> bool {
        self.window.as_ref().is_some_and(|window| window.is_cut)
    }

    /// Finds its place anew the next time. Until then, nothing of the file is in memory.
    pub(super) fn rewind(&mut self) {
        self.window = None;
        self.lines.clear();
    }

    /// The bytes of the file that are in memory.
    #[cfg(test)]
    pub(super) fn buffered_bytes(&self) -> usize {
        self.window.as_ref().map_or(0, |window| window.bytes.capacity())
    }

    fn replaced(&mut self) -> Outcome {
        self.rewind();
        Outcome::Replaced
    }

    /// The end, unless the file is shorter than what was read of it.
    fn at_end(&mut self) -> Outcome {
        let read = self.window.as_ref().map_or(0, |window| window.offset_of(window.at));
        if !self.is_gzip && self.version().is_ok_and(|version| version.len < read) {
            return self.replaced();
        }
        Outcome::End
    }

    /// Whether a plain file still has what was before the position.
    fn still_has(&self, head: Digest, from: Offset) -> io::Result<bool> {
        let Some(tail) = from.tail else {
            return self.begins_with(head);
        };
        match self.tail(from.bytes) {
            Ok(now) => Ok(now == tail),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The digest of the bytes before an offset of a plain file.
    fn tail(&self, offset: u64) -> io::Result<Digest> {
        let len = offset.min(TAIL_BYTES as u64);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, offset - len)?;
        Ok(first_bytes(Sha256::new().chain_update(&bytes)))
    }

    /// Places the window at a position.
    fn seek(&mut self, to: Offset) -> io::Result<Sought> {
        self.lines.clear();
        self.returned = to.bytes;
        let start = if self.is_gzip { 0 } else { to.bytes - to.bytes.min(TAIL_BYTES as u64) };
        let stream = self.stream(start);
        let mut window = Window { stream, bytes: Vec::new(), start, at: 0, is_cut: false };
        while window.offset_of(window.bytes.len()) < to.bytes {
            window.at = window.bytes.len();
            if !window.fill()? {
                self.window = None;
                return Ok(Sought::TooShort);
            }
        }
        window.at = usize::try_from(to.bytes - window.start).unwrap_or_default();
        let is_same = to.tail.is_none_or(|tail| window.offset(window.at).tail == Some(tail));
        self.window = Some(window);
        Ok(if is_same { Sought::There } else { Sought::Differs })
    }

    fn stream(&self, start: u64) -> Box<dyn Read + Send> {
        let file = FileReader { file: Arc::clone(&self.file), at: start };
        if self.is_gzip {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(LOG_READ_BYTES / 4, file)))
        } else {
            Box::new(file)
        }
    }

    /// Where a file has its first byte; `None` if it has none.
    fn first_byte(&self) -> Option<u64> {
        if self.is_gzip {
            return Some(0);
        }
        match rustix::fs::seek(&*self.file, SeekFrom::Data(0)) {
            Ok(start) => Some(start),
            Err(rustix::io::Errno::NXIO) => None,
            // Not every file system knows holes.
            Err(_) => Some(0),
        }
    }
}

/// Whether a position is in a file.
enum Sought {
    There,
    TooShort,
    Differs,
}

impl Window {
    fn unread(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn offset_of(&self, at: usize) -> u64 {
        self.start + at as u64
    }

    fn offset(&self, at: usize) -> Offset {
        let tail = self.bytes.get(at.saturating_sub(TAIL_BYTES)..at).unwrap_or_default();
        let tail = first_bytes(Sha256::new().chain_update(tail));
        Offset { bytes: self.offset_of(at), tail: Some(tail) }
    }

    /// Reads more. Returns whether there was more.
    fn fill(&mut self) -> io::Result<bool> {
        let before = self.at.saturating_sub(TAIL_BYTES);
        self.bytes.drain(..before);
        self.start += before as u64;
        self.at -= before;
        let len = self.bytes.len();
        self.bytes.resize(len + LOG_READ_BYTES, 0);
        let read = loop {
            match self.stream.read(&mut self.bytes[len..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read = match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.is_cut = true;
                Ok(0)
            }
            read => read,
        };
        self.bytes.truncate(len + read.as_ref().map_or(0, |read| *read));
        Ok(read? > 0)
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window")
            .field("start", &self.start)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Reads a file without its cursor.
struct FileReader {
    file: Arc<File>,
    at: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| *byte != 0 && !byte.is_ascii_whitespace());
    &text[start.unwrap_or(text.len())..]
}

fn first_bytes(hasher: Sha256) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&hasher.finalize()[..DIGEST_LEN]);
    digest
}
