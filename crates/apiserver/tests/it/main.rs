//! Integration tests of the API server over TLS: every response is audited, and forged identities
//! are refused.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test, a panic is a failed test"
)]

mod addresses;
mod attacks;
mod audited_responses;
mod cases;
mod certificate_chains;
mod certificates;
mod cluster;
mod go_chains;
mod harness;
mod identity;
mod large_heads;
mod lifetime;
mod tokens;
mod uris;
mod websockets;
mod write_timeouts;
