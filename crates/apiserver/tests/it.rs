//! The front over real TLS: every way out is on record, and nobody gets in by a forged name.

#[path = "it/harness.rs"]
mod harness;
#[path = "it/identity.rs"]
mod identity;
#[path = "it/lifetime.rs"]
mod lifetime;
#[path = "it/ways_out.rs"]
mod ways_out;
