//! The binary as people and machines use it: what it prints, how it ends, what it keeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and may know the time"
)]

#[path = "it/audit_lines.rs"]
mod audit_lines;
#[path = "it/commands.rs"]
mod commands;
#[path = "it/cursors.rs"]
mod cursors;
#[path = "it/dashboards.rs"]
mod dashboards;
#[path = "it/demo.rs"]
mod demo;
#[path = "it/destinations.rs"]
mod destinations;
#[path = "it/detect.rs"]
mod detect;
#[path = "it/discovery.rs"]
mod discovery;
#[path = "it/elsewhere.rs"]
mod elsewhere;
#[path = "it/file.rs"]
mod file;
#[path = "it/flags.rs"]
mod flags;
#[path = "it/house.rs"]
mod house;
#[path = "it/investigate.rs"]
mod investigate;
#[path = "it/rules.rs"]
mod rules;
#[path = "it/secrets.rs"]
mod secrets;
#[path = "it/terminal.rs"]
mod terminal;
#[path = "it/up.rs"]
mod up;
