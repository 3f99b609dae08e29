//! The proxy with a peer that misbehaves, over real TLS connections.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod forwarding;
mod harness;
mod outcomes;
mod peer;
mod refusing_store;
mod upgrades;
