//! The store on a real disk: what it promises, and what it does when disk, file or process fail.

#![expect(clippy::expect_used, reason = "a test says what it expected")]
#![expect(clippy::print_stdout, reason = "the ledger of a victim is its output")]

mod checkpoints;
mod crash;
mod full_disk;
mod history;
mod journal;
mod log;
mod memory;
mod promises;
mod refusals;
mod support;
