//! Tests of sources with a real store and real connections.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admission_webhook;
mod audit_webhook;
mod buckets;
mod envelopes;
mod fixture;
mod log_files;
mod recorder;
mod splitter;
