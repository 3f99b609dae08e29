//! Tests of the store on a real disk: its guarantees, and its behaviour when the disk, the file or
//! the process fails.

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
