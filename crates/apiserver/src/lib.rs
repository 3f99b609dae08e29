//! A reusable extension API server that writes an audit event for every audited request.
//!
//! The server listens, authenticates, authorizes, and serves requests. It responds only after the
//! audit event of the request is durable. The binary passes in the list of served [`Resource`]s;
//! this crate knows no product-specific kind.
//!
//! The whole request path is one function, `serve`, which reads from top to bottom.

pub mod access;
pub mod answer;
mod audit;
pub mod authn;
pub mod authz;
mod body;
mod budget;
mod connection;
mod discovery;
mod documents;
pub mod duration;
mod encoding;
pub mod fields;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod health;
mod impersonation;
pub mod kube_client;
pub mod limits;
pub mod metrics;
pub mod names;
pub mod namespaces;
mod negotiate;
pub mod objects;
mod openapi;
mod patch;
mod read_only;
pub mod reference;
pub mod registry;
pub mod request;
mod request_info;
pub mod resource;
mod routes;
pub mod schema;
pub mod selector;
mod serve;
pub mod server;
mod state;
mod status_errors;
mod table;
pub mod tls;
pub mod trust;
mod watch_body;
mod webhook;
mod websocket;
mod wire;

pub use crate::audit::context::AuditContext;
pub use access::{Attributes, Authorizer, AuthorizerError, Decision};
pub use answer::{Answer, ApiError, FieldError};
pub use namespaces::{ClusterNamespaces, NamespaceSource, NamespaceState};
pub use objects::{Objects, ResourceId};
pub use read_only::{FieldTerm, ReadBatch, ReadOnlyStorage, ReadPage, ReadQuery};
pub use registry::{Registry, RegistryConfig};
pub use request::{Clock, Outcome, Request, RequestInfo, WatchReply};
pub use resource::{
    Column, Resource, Review, SchemaText, Scope, Strategy, Subresource, Verb, WriteContext,
};
pub use routes::VersionInfo;
pub use server::{Server, ServerConfig, ServerError};
