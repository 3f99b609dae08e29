//! The front over real TLS: every way out is on record, and nobody gets in by a forged name.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test, what goes wrong is a failure"
)]

mod addresses;
mod attacks;
mod cases;
mod certificate_chains;
mod certificates;
mod cluster;
mod handed_over;
mod harness;
mod identity;
mod lifetime;
mod tokens;
mod uris;
mod ways_out;
mod websockets;
