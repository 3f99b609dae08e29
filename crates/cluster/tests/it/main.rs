//! The cluster suite: Keepwatch behind a real kube-apiserver, used with stock clients.
//!
//! One control plane and one Keepwatch serve all tests. Most share them; a test that stops a
//! server or changes what the cluster trusts has them to itself.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod alone;
mod audit_configs;
mod buckets;
mod canaries;
mod chart;
mod chart_values;
mod chart_variations;
mod clients;
mod clouds;
mod collectors;
mod costly_requests;
mod elsewhere;
mod fixture;
mod installed;
mod kinds;
mod lent;
mod memory;
mod mended;
mod notifiers;
mod oracle;
mod peer;
mod playbooks;
mod record;
mod restarts;
mod servers;
mod trust;
mod unread_answers;
