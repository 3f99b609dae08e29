//! The embedded database of the server: one SQLite file with objects, the journal of audit records,
//! and the cursors of the journal's readers.
//!
//! [`Sqlite`] opens the file. [`write()`] changes objects and records the changes in one
//! transaction; [`record`] appends a single record. Both resolve once the commit is durable.
//! [`Journal`] reads the records back, for any number of readers, each at its own pace.
//!
//! A single thread writes. It commits all waiting requests as one group, so a request rarely pays
//! for a disk flush alone. All keys are held in memory, and the newest states of objects as far as
//! the cache has room ([`Settings::objects_bytes`]); everything else is read from the file.
//! Revisions increase across the whole store and never decrease.
//!
//! Three things are deliberately absent: the store does not interpret bodies or records, it never
//! drops a record to make room (a full store returns [`StoreError::Full`]), and it does not repair
//! a damaged file.

pub mod conformance;
mod copier;
mod cursors;
mod disk;
pub mod event_index;
mod file;
mod group;
mod handle;
mod health;
mod holder;
mod index;
mod journal;
mod load;
mod lock_file;
mod numbers;
mod recent;
mod recovery;
mod resident;
mod rows;
pub mod settings;
mod shared;
mod sqlite;
mod sqlite_journal;
mod storage;
mod upkeep;
mod watch;
mod writer;

pub use cursors::Cursor;
pub use file::OpenError;
pub use health::{Condition, Health};
pub use holder::Holder;
pub use journal::{DAMAGED_MAX, Direction, Hole, Journal, Reader, ReaderList, Record, Stretch};
pub use settings::{Clock, Settings};
pub use sqlite::{Sqlite, readers_of};
pub use storage::{
    Change, ChangeKind, Changes, Committed, ListOptions, Object, Page, Pending, ReadError, Storage,
    StoreError, Transaction, Watch, Work, record, write,
};
