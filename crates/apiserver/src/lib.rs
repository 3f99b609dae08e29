//! A reusable extension API server whose every request is on record.
//!
//! Listens, authenticates, authorizes, serves, and answers only after the request's audit event is
//! durable. What it serves is a list of [`Resource`]s handed in by the binary; it knows nothing of
//! any particular product's kinds.
//!
//! The way of a request is one function, `serve`, to be read from top to bottom.

pub mod access;
pub mod answer;
mod arrival;
pub mod authn;
pub mod authz;
mod body;
mod budget;
pub mod cluster_client;
mod discovery;
mod documents;
pub mod duration;
mod encoding;
pub mod exchange;
pub mod fields;
mod front;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handover;
pub mod health;
mod impersonation;
mod ledger;
pub mod limits;
mod listen;
pub mod metrics;
pub mod names;
pub mod namespaces;
mod negotiate;
pub mod objects;
mod openapi;
mod patch;
mod read_only;
pub mod reference;
mod refusal;
pub mod registry;
mod request_info;
pub mod resource;
mod retry;
mod routes;
pub mod schema;
pub mod selector;
mod serve;
pub mod server;
mod table;
pub mod tls;
mod trail;
pub mod trust;
mod watch_body;
mod websocket;
mod wire;

pub use access::{AccessError, Attributes, Authorizer, Decision};
pub use answer::{Answer, ApiError, FieldError};
pub use exchange::{Clock, Reply, Request, RequestInfo, WatchReply};
pub use namespaces::{ClusterNamespaces, NamespaceSource, NamespaceState};
pub use objects::{Objects, ResourceId};
pub use read_only::{FieldTerm, ReadBatch, ReadOnlyStorage, ReadPage, ReadQuery};
pub use registry::{Parts, Registry};
pub use resource::{
    Column, Occasion, Resource, Review, SchemaText, Scope, Strategy, Subresource, Verb,
};
pub use routes::VersionInfo;
pub use server::{Options, Server, ServerError};
pub use trail::Trail;
