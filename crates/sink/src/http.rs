//! HTTP to destinations that a user of the cluster names: where to connect, and how.
//!
//! A URL in a profile or notifier must not turn the server against its own network, so each
//! connection passes an [`EgressPolicy`]: the name is resolved once, every address found is
//! checked, and a checked address is dialed. TLS verifies the server's certificate.
//!
//! Deliberately absent: redirects, proxies, retries, and the content of requests.

mod client;
mod egress;
mod resolver;
pub mod tls;

pub use client::{Connector, check_uri, client_builder, connector, retry_after};
pub use egress::{EgressPolicy, Network, NetworkError, RESPONSE_TIME_MAX, is_metadata_host};
pub use resolver::DnsLookup;
