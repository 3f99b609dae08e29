//! Which rule of an audit policy applies to a request, and the event of each of its stages.
//!
//! A [`Policy`] is loaded once ([`Policy::load`], [`Policy::builtin`]) and asked for each request
//! ([`Policy::decide`]). What it decides begins an [`EventBuilder`], which takes what happens to the
//! request and returns an event for each stage that is to be recorded.
//!
//! Rules, defaults and messages are kube-apiserver's. Pure: no I/O, no clock, no task; events are
//! returned, never sent. It does not know how events are written down; that is the crate `event`.

mod bodies;
mod builtin;
mod decode;
mod event_builder;
pub mod explain;
mod latency;
mod load;
mod policy;
mod validate;
mod withheld;
mod yaml;

pub use builtin::Builtin;
pub use event_builder::{EventBuilder, RequestMetadata, Response};
pub use latency::Layer;
pub use load::{FieldError, LoadError, Loaded, POLICY_LEN_MAX, Strictness};
pub use policy::{Attributes, Decision, Policy, Stages, User};
