//! A reusable extension API server whose every request is on record.
//!
//! Listens, authenticates, authorizes, serves, and answers only after the request's audit event is
//! durable. What it serves is a list of [`Resource`]s handed in by the binary; it knows nothing of
//! any particular product's kinds.
//!
//! The way of a request is one function, `serve`, to be read from top to bottom.

pub mod access;
pub mod answer;
pub mod exchange;
pub mod names;
pub mod namespaces;
mod negotiate;
pub mod objects;
mod patch;
pub mod registry;
pub mod resource;
pub mod schema;
pub mod selector;
mod table;

pub use access::{AccessError, Attributes, Authorizer, Decision};
pub use answer::{Answer, ApiError, FieldError};
pub use exchange::{Clock, Reply, Request, RequestInfo, Trail, WatchReply};
pub use namespaces::{NamespaceSource, NamespaceState};
pub use objects::{Objects, ResourceId};
pub use registry::{Parts, Registry};
pub use resource::{Column, Occasion, Resource, Scope, Strategy, Subresource, Verb};
