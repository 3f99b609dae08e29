//! Which rule of an audit policy applies to a request, and how an event grows through its stages.
//!
//! A [`Policy`] is loaded once ([`Policy::load`], [`Policy::builtin`]) and asked for each request
//! ([`Policy::decide`]). What it decides begins a [`Growth`], which is told what happens to the
//! request and returns an event for each stage that is to be recorded.
//!
//! Rules, defaults and messages are kube-apiserver's. Pure: no I/O, no clock, no task; events are
//! returned, never sent. It does not know how events are written down; that is the crate `event`.

mod bodies;
mod builtin;
mod decode;
pub mod explain;
mod growth;
mod latency;
mod load;
mod policy;
mod tree;
mod validate;
mod withheld;

pub use builtin::Builtin;
pub use growth::{Answer, Facts, Growth};
pub use latency::Layer;
pub use load::{FieldError, LoadError, Loaded, POLICY_LEN_MAX, Strictness};
pub use policy::{Attributes, Decision, Policy, Stages, User};
