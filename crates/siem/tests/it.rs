//! The kinds behind a real registry on a real store: what people see, what they may change, and what
//! is recorded of it.

#![expect(clippy::panic, reason = "a test says what it expected")]
#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

#[path = "it/audit_events.rs"]
mod audit_events;
#[path = "it/event_index.rs"]
mod event_index;
#[path = "it/notifiers.rs"]
mod notifiers;
#[path = "it/roles.rs"]
mod roles;
#[path = "it/rules.rs"]
mod rules;
#[path = "it/server.rs"]
mod server;
#[path = "it/signals.rs"]
mod signals;
#[path = "it/suppressions.rs"]
mod suppressions;
