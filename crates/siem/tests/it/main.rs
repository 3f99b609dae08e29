//! The kinds with a real registry and store: what users see, what they may change, and what is
//! recorded.

#![expect(clippy::panic, reason = "a test says what it expected")]
#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

mod audit_events;
mod event_index;
mod event_sources;
mod large_events;
mod notifiers;
mod roles;
mod rules;
mod server;
mod signals;
mod suppressions;
