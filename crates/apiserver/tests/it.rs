//! The front over real TLS: every way out is on record, and nobody gets in by a forged name.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test, what goes wrong is a failure"
)]

#[path = "it/addresses.rs"]
mod addresses;
#[path = "it/attacks.rs"]
mod attacks;
#[path = "it/cases.rs"]
mod cases;
#[path = "it/certificate_chains.rs"]
mod certificate_chains;
#[path = "it/certificates.rs"]
mod certificates;
#[path = "it/cluster.rs"]
mod cluster;
#[path = "it/handed_over.rs"]
mod handed_over;
#[path = "it/harness.rs"]
mod harness;
#[path = "it/identity.rs"]
mod identity;
#[path = "it/lifetime.rs"]
mod lifetime;
#[path = "it/tokens.rs"]
mod tokens;
#[path = "it/uris.rs"]
mod uris;
#[path = "it/ways_out.rs"]
mod ways_out;
#[path = "it/websockets.rs"]
mod websockets;
