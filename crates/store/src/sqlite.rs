//! The implementation of [`Storage`] on one SQLite file.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task;

use crate::event_index::EventIndex;
use crate::handle::{Command, Handle};
use crate::index::{self, ListPlan, Lookup};
use crate::read_connection::ReadConnection;
use crate::settings::QUEUE_MAX;
use crate::shared::Shared;
use crate::sqlite_journal::SqliteJournal;
use crate::watch::StoreWatch;
use crate::writer::Writer;
use crate::writer::checkpointer::Checkpointer;
use crate::writer::retention::Retention;
use crate::{
    Clock, Health, Journal, ListOptions, Object, OpenError, Page, PendingCommit, ReadError,
    ReaderList, Settings, Storage, TransactionFn, Watch, load, open,
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
        let lock = open::lock_or_create(path, now)?;
        let file = open::open_checked(path)?;
        let damaged = |error: ReadError| OpenError::Damaged {
            path: path.to_owned(),
            what: error.to_string(),
        };
        let state = load::load(&file, lock.highest_seq(), settings.object_cache_bytes);
        let mut state = state.map_err(damaged)?;
        let next_revision = (state.index.revision() + 1).max(now.max(0).cast_unsigned());
        state.index.skip_to(next_revision);
        state.epoch = next_revision;
        let next_seq = state.last_seq + 1;
        let persisted_seq = load::highest_seq(&file).map_err(damaged)?.unwrap_or_default();
        let retention = Retention::new(load::page_size(&file).map_err(damaged)?);
        let read_connection = ReadConnection::new(path.to_owned());
        let shared = Arc::new(Shared::new(settings, clock, read_connection, state));
        let (sender, inbox) = mpsc::sync_channel(QUEUE_MAX);
        let failed = |source: io::Error| OpenError::Path { path: path.to_owned(), source };
        let checkpointer = Checkpointer::start(path).map_err(failed)?;
        let writer = Writer {
            path: path.to_owned(),
            shared: Arc::clone(&shared),
            inbox,
            next_seq,
            next_revision,
            retention,
            checkpointer,
            lock,
            persisted_seq,
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
        self.0.shared.read_connection.path()
    }

    /// The index of this store's events, in a separate file in the same directory.
    pub fn event_index(&self) -> EventIndex {
        EventIndex::new(self.0.shared.read_connection.path())
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
pub fn list_readers(path: &Path) -> Result<ReaderList, OpenError> {
    if !open::inspect(path)? {
        let source = io::Error::from(io::ErrorKind::NotFound);
        return Err(OpenError::Path { path: path.to_owned(), source });
    }
    let damaged =
        |error: ReadError| OpenError::Damaged { path: path.to_owned(), what: error.to_string() };
    ReadConnection::new(path.to_owned()).with(load::readers).map_err(damaged)
}

#[async_trait]
impl Storage for Sqlite {
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError> {
        let mut missing_revision = None;
        loop {
            let revision = match self.0.shared.index().get(key) {
                None => return Ok(None),
                Some(Lookup::Cached(object)) => return Ok(Some(object)),
                Some(Lookup::OnDisk { revision, .. }) => revision,
            };
            if missing_revision == Some(revision) {
                return Err(ReadError::missing_revision(revision));
            }
            if let Some(object) = self.read(vec![revision], usize::MAX).await?.pop().flatten() {
                self.0.shared.cache_object(&object);
                return Ok(Some(object));
            }
            // The state was replaced and compacted in the meantime, or it is lost.
            missing_revision = Some(revision);
        }
    }

    async fn newest_revision(&self) -> Result<u64, ReadError> {
        // All handles share the writer's state.
        Ok(self.observed_revision())
    }

    fn observed_revision(&self) -> u64 {
        self.0.shared.index().revision()
    }

    async fn wait_for_revision(&self, revision: u64) -> Result<(), ReadError> {
        self.0.shared.wait_for_revision(revision).await
    }

    fn oldest_revision(&self) -> u64 {
        self.0.shared.index().compact_revision()
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError> {
        let ListPlan { lookups, revision, mut next, mut remaining } =
            self.0.shared.index().plan_list(prefix, &options)?;
        let bytes_max = if options.bytes_max == 0 { usize::MAX } else { options.bytes_max };
        let count = lookups.len();
        let items = self.fetch(lookups, revision, bytes_max).await?;
        let unread = count - items.len();
        if unread > 0 {
            next = items.last().map(|last| last.key.to_string());
            remaining = remaining.map(|remaining| remaining + unread);
        }
        Ok(Page { items, revision, next, remaining })
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError> {
        self.wait_for_revision(after).await?;
        Ok(Box::new(StoreWatch::new(Arc::clone(&self.0.shared), prefix, after)?))
    }

    fn submit(&self, function: TransactionFn) -> PendingCommit {
        self.0.request(|completion| Command::Transact(function, completion))
    }

    fn append(&self, record: Bytes) -> PendingCommit {
        self.0.request(|completion| Command::Append(record, completion))
    }

    fn health(&self) -> Health {
        self.0.shared.health.snapshot()
    }

    fn take_rejected(&self) -> u64 {
        self.0.shared.health.take_rejected()
    }
}

impl Sqlite {
    /// Resolve a lookup to objects: at most `bytes_max` bytes, but at least one object. Uncached
    /// ones are read from disk.
    async fn fetch(
        &self,
        mut lookups: Vec<Lookup>,
        at: u64,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Object>>, ReadError> {
        let mut read = Vec::new();
        let uncached = index::uncached(&lookups);
        if !uncached.is_empty() {
            let count = uncached.len();
            read = self.read(uncached, bytes_max).await?;
            if read.len() < count {
                index::cut(&mut lookups, read.len());
            }
        }
        // The rows may have been compacted in the meantime.
        let oldest = self.oldest_revision();
        let compacted = |_| ReadError::Compacted { revision: at, oldest };
        let mut objects = index::resolve(lookups, read, compacted)?;
        index::truncate_bytes(&mut objects, bytes_max);
        Ok(objects)
    }

    async fn read(
        &self,
        revisions: Vec<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Option<Arc<Object>>>, ReadError> {
        let shared = Arc::clone(&self.0.shared);
        let read =
            task::spawn_blocking(move || shared.read_connection.objects(&revisions, bytes_max));
        read.await.map_err(|_join_error| ReadError::Closed)?
    }
}
