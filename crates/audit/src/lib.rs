//! Evaluates an audit policy for a request and builds the audit event of each stage.
//!
//! A [`Policy`] is loaded once ([`Policy::load`], [`Policy::builtin`]) and evaluated for each
//! request ([`Policy::decide`]). The decision creates an [`EventBuilder`], which collects the
//! facts of the request and returns an event for each stage that the policy does not omit.
//!
//! Rules, defaults and messages are kube-apiserver's. The crate is pure: no I/O, no clock, no
//! task; it returns events and never sends them. The crate `event` defines how they are encoded.

mod bodies;
mod builtin;
mod decode;
mod error;
mod event_builder;
pub mod explain;
mod latency;
mod load;
mod object_meta;
mod policy;
mod redact;
mod validate;
mod withhold;
mod yaml;

pub use bodies::without_managed_fields;
pub use builtin::Builtin;
pub use error::{FieldError, LoadError};
pub use event_builder::{EventBuilder, RequestMetadata, Response};
pub use latency::Layer;
pub use load::{LoadedPolicy, POLICY_LEN_MAX, Strictness};
pub use policy::{Attributes, Decision, Policy, Stages, User};
pub use withhold::{withhold_bodies, withhold_body};
