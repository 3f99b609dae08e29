//! The implementation of [`Storage`] on one SQLite file.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task;

use crate::copier::Copier;
use crate::disk::Disk;
use crate::event_index::EventIndex;
use crate::file::{self, OpenError};
use crate::handle::{Handle, Request};
use crate::index::{self, Found, Outline};
use crate::recovery::page_size;
use crate::settings::WAITING_MAX;
use crate::shared::Shared;
use crate::sqlite_journal::SqliteJournal;
use crate::upkeep::Upkeep;
use crate::watch::Follower;
use crate::writer::Writer;
use crate::{
    Clock, Health, Journal, ListOptions, Object, Page, Pending, ReadError, ReaderList, Settings,
    Storage, Watch, Work, load, rows,
};

/// A store in one SQLite file, which only one process may open. Clones are handles to the same
/// store. Dropping the last handle commits all queued requests and closes the file.
#[derive(Clone)]
pub struct Sqlite(Arc<Handle>);

impl Sqlite {
    /// Open the store, or create it if it does not exist.
    ///
    /// Revisions never decrease: the next one is greater than the newest in the file and not below
    /// the current time in microseconds since the Unix epoch. After an older copy of the file is
    /// restored, no revision is therefore allocated twice. Revisions in between belong to a lost
    /// history, and reading at them is [`ReadError::Compacted`].
    pub fn open(path: &Path, settings: Settings, clock: Clock) -> Result<Self, OpenError> {
        let now = clock();
        let lock = file::claim(path, now)?;
        let file = file::open_checked(path)?;
        let damaged = |error: ReadError| OpenError::Damaged {
            path: path.to_owned(),
            what: error.to_string(),
        };
        let contents = load::load(&file, lock.highest(), settings.objects_bytes);
        let mut contents = contents.map_err(damaged)?;
        let next_revision = (contents.index.revision() + 1).max(now.max(0).cast_unsigned());
        contents.index.begin(next_revision);
        contents.epoch = next_revision;
        let next_seq = contents.last_seq + 1;
        let kept_seq = load::highest(&file).map_err(damaged)?.unwrap_or_default();
        let upkeep = Upkeep::new(page_size(&file).map_err(damaged)?);
        let disk = Disk::new(path.to_owned());
        let shared = Arc::new(Shared::new(settings, clock, disk, contents));
        let (sender, inbox) = mpsc::sync_channel(WAITING_MAX);
        let failed = |source: io::Error| OpenError::Path { path: path.to_owned(), source };
        let copier = Copier::start(path).map_err(failed)?;
        let writer = Writer {
            path: path.to_owned(),
            shared: Arc::clone(&shared),
            inbox,
            next_seq,
            next_revision,
            upkeep,
            copier,
            lock,
            kept_seq,
        };
        let run = move || writer.run(file);
        let thread = thread::Builder::new().name("store".into()).spawn(run);
        Ok(Self(Arc::new(Handle::new(shared, sender, thread.map_err(failed)?))))
    }

    /// The journal of this store.
    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(SqliteJournal::new(Arc::clone(&self.0)))
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.0.shared.disk.path()
    }

    /// The index of this store's events, in a separate file in the same directory.
    pub fn event_index(&self) -> EventIndex {
        EventIndex::new(self.0.shared.disk.path())
    }

    /// Commit all queued requests and close the file. All other handles fail with a closed error
    /// from then on.
    pub async fn close(&self) {
        let handle = Arc::clone(&self.0);
        // The runtime has already logged a panic of that task.
        drop(task::spawn_blocking(move || handle.close()).await);
    }
}

/// Read the readers of a store's file, and the sequence numbers of the journal's first and last
/// record. Another process may have the file open; nothing is changed.
pub fn readers_of(path: &Path) -> Result<ReaderList, OpenError> {
    if !file::inspect(path)? {
        let source = io::Error::from(io::ErrorKind::NotFound);
        return Err(OpenError::Path { path: path.to_owned(), source });
    }
    let damaged =
        |error: ReadError| OpenError::Damaged { path: path.to_owned(), what: error.to_string() };
    Disk::new(path.to_owned()).with(load::readers).map_err(damaged)
}

#[async_trait]
impl Storage for Sqlite {
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError> {
        let mut missing = None;
        loop {
            let revision = match self.0.shared.index().get(key) {
                None => return Ok(None),
                Some(Found::Here(object)) => return Ok(Some(object)),
                Some(Found::OnDisk { revision, .. }) => revision,
            };
            if missing == Some(revision) {
                return Err(rows::lost(revision));
            }
            if let Some(object) = self.read(vec![revision], usize::MAX).await?.pop().flatten() {
                self.0.shared.restore(&object);
                return Ok(Some(object));
            }
            // The state was replaced and compacted in the meantime, or it is lost.
            missing = Some(revision);
        }
    }

    fn current_revision(&self) -> u64 {
        self.0.shared.index().revision()
    }

    fn oldest_revision(&self) -> u64 {
        self.0.shared.index().floor()
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError> {
        let Outline { found, revision, mut next, mut remaining } =
            self.0.shared.index().outline(prefix, &options)?;
        let bytes_max = if options.bytes_max == 0 { usize::MAX } else { options.bytes_max };
        let count = found.len();
        let items = self.fetch(found, revision, bytes_max).await?;
        let left = count - items.len();
        if left > 0 {
            next = items.last().map(|last| last.key.to_string());
            remaining = remaining.map(|remaining| remaining + left);
        }
        Ok(Page { items, revision, next, remaining })
    }

    fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError> {
        Ok(Box::new(Follower::new(Arc::clone(&self.0.shared), prefix, after)?))
    }

    fn submit(&self, work: Work) -> Pending {
        self.0.request(|answer| Request::Work(work, answer))
    }

    fn append(&self, record: Bytes) -> Pending {
        self.0.request(|answer| Request::Append(record, answer))
    }

    fn health(&self) -> Health {
        self.0.shared.pulse.health()
    }

    fn take_refused(&self) -> u64 {
        self.0.shared.pulse.take_refused()
    }
}

impl Sqlite {
    /// Resolve a lookup to objects: at most `bytes_max` bytes, but at least one object. Uncached
    /// ones are read from disk.
    async fn fetch(
        &self,
        mut found: Vec<Found>,
        at: u64,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Object>>, ReadError> {
        let mut read = Vec::new();
        let missing = index::missing(&found);
        if !missing.is_empty() {
            let count = missing.len();
            read = self.read(missing, bytes_max).await?;
            if read.len() < count {
                index::cut(&mut found, read.len());
            }
        }
        // The rows may have been compacted in the meantime.
        let floor = self.oldest_revision();
        let gone = |_| ReadError::Compacted { revision: at, floor };
        let mut objects = index::complete(found, read, gone)?;
        index::cut_bytes(&mut objects, bytes_max);
        Ok(objects)
    }

    async fn read(
        &self,
        revisions: Vec<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Option<Arc<Object>>>, ReadError> {
        let shared = Arc::clone(&self.0.shared);
        let read = task::spawn_blocking(move || shared.disk.objects(&revisions, bytes_max));
        read.await.map_err(|_gone| ReadError::Closed)?
    }
}
