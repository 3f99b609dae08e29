//! The embedded database of the server: one SQLite file with objects, the journal of audit records,
//! and the cursors of the journal's readers.
//!
//! [`Sqlite`] opens the file. [`write()`] changes objects and records the changes in one
//! transaction; [`append()`] appends a single record. Both resolve once the commit is durable.
//! [`Journal`] reads the records back, for any number of readers, each at its own pace.
//!
//! A single thread writes. It commits all waiting requests as one group, so a request rarely pays
//! for a disk flush alone. All keys are held in memory, and the newest states of objects as far as
//! the cache has space ([`Settings::object_cache_bytes`]); everything else is read from the file.
//! Revisions increase across the whole store and never decrease.
//!
//! Three things are deliberately absent: the store does not interpret bodies or records, it never
//! drops a record to free space (a full store returns [`StoreError::Full`]), and it does not repair
//! a damaged file.

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cursors;
mod disk_use;
mod error;
pub mod event_index;
mod handle;
mod health;
mod index;
mod journal;
mod load;
mod lock_file;
mod object_cache;
mod open;
mod read_connection;
mod sequence;
pub mod settings;
mod shared;
mod sqlite;
mod sqlite_journal;
mod statements;
mod storage;
mod tail_cache;
mod watch;
mod writer;

pub use clock::Clock;
pub use cursors::Cursor;
pub use disk_use::DiskUse;
pub use error::{OpenError, ReadError, StoreError};
pub use health::{Condition, Health};
pub use journal::{DAMAGED_MAX, Direction, Gap, Journal, Reader, ReaderList, Record, RecordBatch};
pub use settings::Settings;
pub use sqlite::{Sqlite, list_readers};
pub use storage::{
    Change, ChangeKind, Committed, ListOptions, Object, Page, PendingCommit, Storage, Transaction,
    TransactionFn, Watch, WatchStream, append, write,
};
