//! Tests of the store on a real disk: its guarantees, and its behaviour when the disk, the file or
//! the process fails.

#![expect(clippy::expect_used, reason = "a test says what it expected")]
#![expect(clippy::print_stdout, reason = "the acknowledgements of a victim is its output")]

mod checkpointer;
mod conformance;
mod crash;
mod full_disk;
mod history;
mod journal;
mod object_cache;
mod open;
mod reader_checkpoints;
mod test_store;
