//! Decisions and errors, compared with those of Kubernetes; what an event says at each stage.
//!
//! What the files in `data` are, its README says.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

mod event_builder;
mod load;
mod matching;

use audit::{Loaded, Policy, Strictness};

/// A policy with these lines after its head.
fn loaded(lines: &str) -> Result<Loaded, audit::LoadError> {
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{lines}");
    Policy::load(text.as_bytes(), Strictness::Kubernetes)
}
