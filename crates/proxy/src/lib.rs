//! Forwards requests to an existing extension API server, with its own account and the identity of
//! each request's user.
//!
//! The API server of crate `apiserver` authenticates, records and limits a request; this crate sends
//! it ([`UpstreamClient`]). It decides nothing about a request and repeats none. [`registration`]
//! says what has to change in a cluster so that requests take this way.

mod client;
mod connector;
mod credentials;
mod identity;
mod metrics;
pub mod registration;
mod tls;

pub use client::{
    ConfigError, IDLE_CONNECTIONS_MAX, UpstreamClient, UpstreamConfig, WithheldBodies,
};
pub use connector::CONNECTION_TIME_MAX;
pub use credentials::RELOAD_PERIOD;
pub use metrics::UpstreamMetrics;
