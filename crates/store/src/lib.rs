//! The one file that holds everything: objects, the journal of audit records, the readers' cursors.
//!
//! [`Sqlite`] opens it. [`write()`] changes objects and records what happened in one transaction;
//! [`record`] adds a record alone; both resolve when the disk has it. [`Journal`] is how records are
//! read again, by any number of readers at their own pace.
//!
//! One thread writes. It commits whatever requests wait as one group, so that a request hardly ever
//! pays for a disk flush alone. Every key is held in memory, and the objects' newest states as far
//! as there is room ([`Settings::objects_bytes`]); all else is read back from the file. Revisions rise for the whole store and never fall.
//!
//! Absent on purpose: any knowledge of what bodies and records mean, any way to drop a record to make
//! room (a full store says so, [`StoreError::Full`]), and any repair of a damaged file.

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
