//! Tests of the binary: its output, its exit codes, and its files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests panic to fail, and may read the clock"
)]

mod audit_lines;
mod commands;
mod cursors;
mod dashboards;
mod demo;
mod destinations;
mod detect;
mod discovery;
mod file;
mod flags;
mod investigate;
mod other_installation;
mod rules;
mod secrets;
mod server;
mod terminal;
mod up;
