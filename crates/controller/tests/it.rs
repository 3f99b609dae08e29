//! What comes of a profile when its destination is really asked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "it/endpoints.rs"]
mod endpoints;
#[path = "it/forms.rs"]
mod forms;
