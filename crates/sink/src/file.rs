//! A file on this machine, rotated, with every line in it exactly once.
//!
//! The state kept with the cursor names the file (device, inode) and how far it is written. After
//! a crash the lines beyond that point are recognised and not written again; a line that was cut
//! is removed. To make this hold across rotation, the cursor is made durable before another file
//! is begun ([`Delivered::settle`]).
//!
//! A file that was moved or deleted by others is noticed before each batch and begun anew. Lines
//! are whole: a write that fails is taken back, and the disk has a batch before it counts.
//!
//! Deliberately absent: compression, and any interest in what the lines say.

mod place;
mod rotation;
mod wake;

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use event::Timestamp;

use crate::{Batch, DeliverError, Delivered, Encoding, Sink};
use place::{Found, Place};
use wake::Wake;

/// Where the file is and when another one begins.
#[derive(Clone)]
pub struct Settings {
    /// The file that is written.
    pub path: PathBuf,
    /// Bytes after which another file begins. A longer line gets a file of its own.
    pub size_max: u64,
    /// So many rotated files are kept; 0 keeps all.
    pub backups_max: usize,
    /// Rotated files older than this are removed; zero keeps all.
    pub age_max: Duration,
    /// The time of day, for the names of rotated files.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Writes lines to a file.
pub struct FileSink {
    encoding: Encoding,
    reopen: Reopen,
    desk: Arc<Mutex<Desk>>,
}

/// Asks a [`FileSink`] to open its path again, as log rotation tools expect on SIGHUP.
#[derive(Clone, Debug, Default)]
pub struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// Takes effect with the next batch; an empty one will do.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn done(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl FileSink {
    /// A sink on the file of `settings`; nothing is opened yet.
    pub fn new(settings: Settings, encoding: Encoding) -> Self {
        let reopen = Reopen::default();
        let desk = Desk {
            settings,
            reopen: reopen.clone(),
            open: None,
            found: Found::default(),
            settled: false,
        };
        Self { encoding, reopen, desk: Arc::new(Mutex::new(desk)) }
    }

    /// A handle that asks this sink to open its path again.
    pub fn reopen(&self) -> Reopen {
        self.reopen.clone()
    }

    /// Runs `work` where waiting for the disk holds up nobody else.
    async fn at_desk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DeliverError> {
        let desk = Arc::clone(&self.desk);
        tokio::task::spawn_blocking(move || {
            work(&mut desk.lock().unwrap_or_else(PoisonError::into_inner))
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
        let recorded = Place::parse(state);
        self.at_desk(move |desk| desk.resume(recorded)).await
    }

    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliverError> {
        let batch = batch.clone();
        self.at_desk(move |desk| desk.deliver(&batch)).await
    }
}

/// Everything that belongs to the file; used by one blocking call at a time.
struct Desk {
    settings: Settings,
    reopen: Reopen,
    open: Option<Open>,
    /// Lines that are in the file although the cursor does not know it.
    found: Found,
    /// The cursor knows the present end of the file.
    settled: bool,
}

/// The file being written.
struct Open {
    file: File,
    place: Place,
    wake: Wake,
    /// Bytes beyond the place are to be cut off.
    is_torn: bool,
}

impl Open {
    /// `file`, which ends where `place` says.
    fn new(file: File, place: Place) -> Self {
        Self { file, place, wake: Wake::new(place.offset), is_torn: false }
    }
}

impl Desk {
    /// Finds out what was written beyond the recorded place, and cuts a line that was cut before.
    fn resume(&mut self, recorded: Option<Place>) -> io::Result<()> {
        rotation::prune(&self.settings)?;
        let (mut file, mut place) = place::open(&self.settings.path)?;
        self.found = Found::default();
        match recorded {
            Some(recorded) if recorded.is_same_file(place) => {
                place.offset = self.found.read(&mut file, recorded.offset)?;
                file.set_len(place.offset)?;
            }
            Some(recorded) => {
                self.found.read_moved(&self.settings.path, recorded)?;
                place.offset = self.found.read(&mut file, 0)?;
                file.set_len(place.offset)?;
            }
            None => place.offset = place::end_line(&mut file)?,
        }
        self.open = Some(Open::new(file, place));
        // Without a recorded place, the lines that are there already must not be taken for ours.
        self.settled = recorded.is_some();
        Ok(())
    }

    /// The batch, its beginning, or nothing of it.
    fn deliver(&mut self, batch: &Batch) -> io::Result<Delivered> {
        if !self.settled {
            return Ok(self.settle(0));
        }
        if self.must_begin_anew()? {
            return self.begin_anew(false);
        }
        let before = (self.found.clone(), self.offset());
        self.append(batch).inspect_err(|_| {
            self.found = before.0;
            self.take_back(before.1);
        })
    }

    fn append(&mut self, batch: &Batch) -> io::Result<Delivered> {
        let mut records = 0;
        // What is to be written next, in one piece.
        let mut piece = 0..0;
        for range in batch.ranges() {
            if self.found.is_next(batch.slice(range.clone())) {
                records += 1;
                piece = range.end..range.end;
                continue;
            }
            let ahead = self.offset() + piece.len() as u64;
            if ahead > 0 && ahead + range.len() as u64 > self.settings.size_max {
                if records == 0 {
                    return self.begin_anew(true);
                }
                self.write(batch.slice(piece))?;
                self.sync()?;
                return Ok(self.settle(records));
            }
            piece.end = range.end;
            records += 1;
        }
        if records > 0 {
            self.write(batch.slice(piece))?;
            self.sync()?;
        }
        Ok(Delivered { records, state: self.state(), settle: false })
    }

    /// Whether somebody asked for another file, or took this one away. Notices that others cut
    /// the file or added to it.
    fn must_begin_anew(&mut self) -> io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(true) };
        if open.is_torn {
            open.file.set_len(open.place.offset)?;
            open.is_torn = false;
        }
        open.place.offset = open.file.metadata()?.len();
        Ok(self.reopen.is_asked() || !place::is_at(&self.settings.path, open.place)?)
    }

    /// Another file. The cursor knows all of the old one, since the last batch was settled or
    /// counted, and is told about the new one only if lines are in it that are not ours.
    fn begin_anew(&mut self, rotate: bool) -> io::Result<Delivered> {
        if let Some(Open { file, wake, .. }) = self.open.take()
            && rotate
        {
            wake.end(&file);
            drop(file);
            rotation::rotate(&self.settings)?;
        }
        let (mut file, mut place) = place::open(&self.settings.path)?;
        place.offset = place::end_line(&mut file)?;
        self.reopen.done();
        self.open = Some(Open::new(file, place));
        Ok(self.settle(0))
    }

    fn settle(&mut self, records: usize) -> Delivered {
        self.settled = true;
        Delivered { records, state: self.state(), settle: true }
    }

    fn offset(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.place.offset)
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(ErrorKind::NotFound.into()) };
        open.is_torn = true;
        open.file.write_all(piece)?;
        open.place.offset += piece.len() as u64;
        open.is_torn = false;
        Ok(())
    }

    /// Half a line would spoil the file for whoever reads it, and half a batch would come twice.
    fn take_back(&mut self, offset: u64) {
        if let Some(open) = &mut self.open {
            open.place.offset = offset;
            // If this fails, the next batch begins with it.
            open.is_torn = open.file.set_len(offset).is_err();
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.file.sync_data()?;
        open.wake.advance(&open.file, open.place.offset);
        Ok(())
    }

    fn state(&self) -> String {
        self.open.as_ref().map(|open| open.place.to_string()).unwrap_or_default()
    }
}
