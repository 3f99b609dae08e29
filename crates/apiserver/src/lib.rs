//! A reusable extension API server that writes an audit event for every audited request.
//!
//! The server listens, authenticates, authorizes, and serves requests. It responds only after the
//! audit event of the request is durable. The binary passes in the list of served [`Resource`]s;
//! this crate knows no product-specific kind.
//!
//! The request path is one function, `handler::serve`, which reads from top to bottom.

mod audit;
pub mod authn;
pub mod authz;
mod connection;
mod handler;
pub mod health;
pub mod kube;
pub mod limits;
pub mod metrics;
pub mod namespaces;
pub mod objects;
mod read_only;
pub mod reference;
pub mod registry;
pub mod request;
pub mod resource;
mod routes;
pub mod server;
mod state;
mod table;
pub mod tls;
pub mod trust;
mod upstream;

pub use crate::audit::context::AuditContext;
pub use authz::attributes::{Attributes, Authorizer, AuthorizerError, Decision};
pub use connection::bind::bind;
pub use connection::limiter::{ConnectionLimiter, ConnectionPermit};
pub use handler::api_response::ApiResponse;
pub use handler::encoding::yaml;
pub use handler::forward::ForwardedResponse;
pub use handler::status_errors::too_large_resource_version;
pub use namespaces::{ClusterNamespaces, NamespaceSource, NamespaceState};
pub use objects::{Objects, ResourceId};
pub use read_only::{ReadBatch, ReadOnlyStorage, ReadPage, ReadQuery};
pub use registry::{Registry, RegistryConfig};
pub use request::{Clock, Outcome, Request, WatchReply};
pub use resource::{
    Column, Resource, Review, SchemaText, Scope, Strategy, Subresource, Verb, WriteContext,
};
pub use routes::VersionInfo;
pub use server::{Forwarding, Server, ServerConfig, ServerError};
pub use upstream::{ForwardedRequest, Upstream, UpstreamError, strip_hop_by_hop, upgrade_protocol};
