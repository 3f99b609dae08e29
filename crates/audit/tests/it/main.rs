//! Compares decisions and errors with those of Kubernetes, and checks the event of each stage.
//!
//! The README in `data` describes its files.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

mod event_builder;
mod load;
mod matching;

use audit::{LoadedPolicy, Policy, Strictness};

/// Loads a policy that consists of `apiVersion`, `kind` and these lines.
fn loaded(lines: &str) -> Result<LoadedPolicy, audit::LoadError> {
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{lines}");
    Policy::load(text.as_bytes(), Strictness::Kubernetes)
}
