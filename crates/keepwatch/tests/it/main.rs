//! Tests of the binary: its output, its exit codes, and its files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and may know the time"
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
