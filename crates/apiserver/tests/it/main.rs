//! The front over real TLS: every way out is on record, and nobody gets in by a forged name.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test, what goes wrong is a failure"
)]

mod addresses;
mod attacks;
mod audited_responses;
mod cases;
mod certificate_chains;
mod certificates;
mod cluster;
mod harness;
mod identity;
mod lifetime;
mod tokens;
mod uris;
mod websockets;
mod write_timeouts;
