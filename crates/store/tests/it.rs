//! The store on a real disk: what it promises, and what it does when disk, file or process fail.

#![expect(clippy::expect_used, reason = "a test says what it expected")]
#![expect(clippy::print_stdout, reason = "the ledger of a victim is its output")]

#[path = "it/checkpoints.rs"]
mod checkpoints;
#[path = "it/crash.rs"]
mod crash;
#[path = "it/full_disk.rs"]
mod full_disk;
#[path = "it/history.rs"]
mod history;
#[path = "it/journal.rs"]
mod journal;
#[path = "it/log.rs"]
mod log;
#[path = "it/memory.rs"]
mod memory;
#[path = "it/promises.rs"]
mod promises;
#[path = "it/refusals.rs"]
mod refusals;
#[path = "it/support.rs"]
mod support;
