//! A local file with rotation that has every line exactly once.
//!
//! The state that is committed with the cursor names the file (device, inode) and its length. After
//! a crash, lines beyond that length are recognized and not written again, and an incomplete line
//! is removed. To make this hold across rotation, the cursor is made durable before the next file
//! is opened ([`Delivered::sync_cursor`]).
//!
//! Before each batch the sink checks whether another program has moved or deleted the file, and
//! creates it again. A failed write is undone, so that lines are complete, and a batch is synced
//! before it counts as delivered.
//!
//! Deliberately absent: compression, and the encoding of lines.

mod page_cache_trimmer;
mod position;
mod rotation;

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use event::Timestamp;

use crate::{Batch, DeliverError, Delivered, Encoding, Sink};
use page_cache_trimmer::PageCacheTrimmer;
use position::{FilePosition, ReplayedLines};

/// The path of the file, and when it is rotated.
#[derive(Clone)]
pub struct Settings {
    /// Path of the current file.
    pub path: PathBuf,
    /// Length in bytes after which the file is rotated. A longer line gets a separate file.
    pub size_max: u64,
    /// Number of rotated files to keep; 0 keeps all.
    pub backups_max: usize,
    /// Rotated files older than this are removed; zero keeps all.
    pub age_max: Duration,
    /// Returns the current time, for the names of rotated files.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Writes lines to a file.
pub struct FileSink {
    encoding: Encoding,
    reopen: Reopen,
    writer: Arc<Mutex<FileWriter>>,
}

/// Asks a [`FileSink`] to open its path again, as log rotation tools expect on SIGHUP.
#[derive(Clone, Debug, Default)]
pub struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// Requests that the path is opened again. It takes effect with the next batch, which may be
    /// empty.
    pub fn request_reopen(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl FileSink {
    /// A sink for the file of `settings`. Opens nothing yet.
    pub fn new(settings: Settings, encoding: Encoding) -> Self {
        let reopen = Reopen::default();
        let writer = FileWriter {
            settings,
            reopen: reopen.clone(),
            open: None,
            replayed: ReplayedLines::default(),
            is_cursor_synced: false,
        };
        Self { encoding, reopen, writer: Arc::new(Mutex::new(writer)) }
    }

    /// A handle that asks this sink to open its path again.
    pub fn reopen(&self) -> Reopen {
        self.reopen.clone()
    }

    /// Runs `work` in a thread that may block.
    async fn with_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut FileWriter) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DeliverError> {
        let writer = Arc::clone(&self.writer);
        tokio::task::spawn_blocking(move || {
            work(&mut writer.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
        .map_err(io::Error::other)
        .and_then(|done| done)
        .map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory => DeliverError::Misconfigured { source: error.into() },
            _ => DeliverError::Retry { after: None, source: error.into() },
        })
    }
}

#[async_trait]
impl Sink for FileSink {
    fn name(&self) -> &'static str {
        "file"
    }

    fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    async fn resume(&mut self, state: &str) -> Result<(), DeliverError> {
        let recorded = FilePosition::parse(state);
        self.with_writer(move |writer| writer.resume(recorded)).await
    }

    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliverError> {
        let batch = batch.clone();
        self.with_writer(move |writer| writer.deliver(&batch)).await
    }
}

/// Writes the file. Used by one blocking call at a time.
struct FileWriter {
    settings: Settings,
    reopen: Reopen,
    open: Option<Open>,
    /// Lines that are in the file although the cursor is before them.
    replayed: ReplayedLines,
    /// The state of the cursor names the current file.
    is_cursor_synced: bool,
}

/// The file being written.
struct Open {
    file: File,
    position: FilePosition,
    trimmer: PageCacheTrimmer,
    /// A write failed: bytes beyond the position have to be removed.
    has_partial_write: bool,
}

impl Open {
    /// A file whose end is `position`.
    fn new(file: File, position: FilePosition) -> Self {
        Self {
            file,
            position,
            trimmer: PageCacheTrimmer::new(position.offset),
            has_partial_write: false,
        }
    }
}

impl FileWriter {
    /// Reads the lines beyond the recorded position, and removes an incomplete line.
    fn resume(&mut self, recorded: Option<FilePosition>) -> io::Result<()> {
        rotation::prune(&self.settings)?;
        let (mut file, mut position) = position::open(&self.settings.path)?;
        self.replayed = ReplayedLines::default();
        match recorded {
            Some(recorded) if recorded.is_same_file(position) => {
                position.offset = self.replayed.read(&mut file, recorded.offset)?;
                file.set_len(position.offset)?;
            }
            Some(recorded) => {
                self.replayed.read_moved(&self.settings.path, recorded)?;
                position.offset = self.replayed.read(&mut file, 0)?;
                file.set_len(position.offset)?;
            }
            None => position.offset = position::complete_last_line(&mut file)?,
        }
        self.open = Some(Open::new(file, position));
        // Without a recorded position, the lines in the file are those of another program.
        self.is_cursor_synced = recorded.is_some();
        Ok(())
    }

    /// Writes the batch, its beginning, or nothing of it.
    fn deliver(&mut self, batch: &Batch) -> io::Result<Delivered> {
        if !self.is_cursor_synced {
            return Ok(self.sync_cursor(0));
        }
        if self.must_open_next()? {
            return self.open_next(false);
        }
        let (replayed, offset) = (self.replayed.clone(), self.offset());
        self.append(batch).inspect_err(|_| {
            self.replayed = replayed;
            self.undo_write(offset);
        })
    }

    fn append(&mut self, batch: &Batch) -> io::Result<Delivered> {
        let mut records = 0;
        // The lines to write next, as one range.
        let mut range_to_write = 0..0;
        for range in batch.ranges() {
            if self.replayed.is_next(batch.slice(range.clone())) {
                records += 1;
                range_to_write = range.end..range.end;
                continue;
            }
            let next_offset = self.offset() + range_to_write.len() as u64;
            if next_offset > 0 && next_offset + range.len() as u64 > self.settings.size_max {
                if records == 0 {
                    return self.open_next(true);
                }
                self.write(batch.slice(range_to_write))?;
                self.sync()?;
                return Ok(self.sync_cursor(records));
            }
            range_to_write.end = range.end;
            records += 1;
        }
        if records > 0 {
            self.write(batch.slice(range_to_write))?;
            self.sync()?;
        }
        Ok(Delivered { records, state: self.state(), sync_cursor: false })
    }

    /// Whether the path has to be opened again: on request, or because the file was moved. Adopts
    /// the length of a file that another program has truncated or extended.
    fn must_open_next(&mut self) -> io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(true) };
        if open.has_partial_write {
            open.file.set_len(open.position.offset)?;
            open.has_partial_write = false;
        }
        open.position.offset = open.file.metadata()?.len();
        Ok(self.reopen.is_requested() || !position::is_at(&self.settings.path, open.position)?)
    }

    /// Opens the next file. All lines of the old one count as delivered. Lines of other programs in
    /// the new one are before the position.
    fn open_next(&mut self, rotate: bool) -> io::Result<Delivered> {
        if let Some(Open { file, trimmer, .. }) = self.open.take()
            && rotate
        {
            trimmer.finish(&file);
            drop(file);
            rotation::rotate(&self.settings)?;
        }
        let (mut file, mut position) = position::open(&self.settings.path)?;
        position.offset = position::complete_last_line(&mut file)?;
        self.reopen.clear();
        self.open = Some(Open::new(file, position));
        Ok(self.sync_cursor(0))
    }

    fn sync_cursor(&mut self, records: usize) -> Delivered {
        self.is_cursor_synced = true;
        Delivered { records, state: self.state(), sync_cursor: true }
    }

    fn offset(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.position.offset)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(ErrorKind::NotFound.into()) };
        open.has_partial_write = true;
        open.file.write_all(lines)?;
        open.position.offset += lines.len() as u64;
        open.has_partial_write = false;
        Ok(())
    }

    /// Removes a partial write: it could end in an incomplete line, and the batch is delivered
    /// again.
    fn undo_write(&mut self, offset: u64) {
        if let Some(open) = &mut self.open {
            open.position.offset = offset;
            // If this fails, the next batch repeats it.
            open.has_partial_write = open.file.set_len(offset).is_err();
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.file.sync_data()?;
        open.trimmer.advance(&open.file, open.position.offset);
        Ok(())
    }

    fn state(&self) -> String {
        self.open.as_ref().map(|open| open.position.to_string()).unwrap_or_default()
    }
}
