//! Resolves a host name to the addresses that may be dialed.
//!
//! A name is resolved once per connection, and each address is checked. If one address is denied,
//! the whole name is: a name with public and internal addresses is suspicious. The denied address
//! is only logged, because a profile must not reveal the server's DNS.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io, vec};

use hyper_util::client::legacy::connect::dns::Name;

use super::egress::{EgressPolicy, is_metadata_host};

/// Finds the addresses of a name.
type LookupFn = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Resolves host names: by the system's resolver, unless another function is given.
#[derive(Clone, Default)]
pub struct DnsLookup(Option<Arc<LookupFn>>);

impl DnsLookup {
    /// Resolves names by `lookup`, which must not block.
    pub fn from_fn(
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(lookup)))
    }

    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // RFC 6761: these names always refer to this machine.
        if name.trim_end_matches('.').to_ascii_lowercase().ends_with(".localhost") {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        match &self.0 {
            Some(lookup) => lookup(name),
            None => {
                Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
            }
        }
    }
}

impl fmt::Debug for DnsLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "DnsLookup(function)" } else { "DnsLookup(system)" })
    }
}

/// A name that resolves to a denied address.
#[derive(Debug, thiserror::Error)]
#[error("{name} resolves to an address that {why}")]
struct Denied {
    name: String,
    why: &'static str,
}

/// Resolves names to addresses that the egress policy permits.
#[derive(Clone, Debug)]
pub struct Resolver {
    pub(super) egress: EgressPolicy,
    /// Hosts of metadata services are exempt from the policy.
    pub(super) allow_metadata_hosts: bool,
}

impl Resolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let addresses = self.egress.lookup.addresses(name).await?;
        let is_exempt = self.allow_metadata_hosts && is_metadata_host(name);
        for address in &addresses {
            if let Some(why) = self.egress.denial(*address).filter(|_| !is_exempt) {
                tracing::warn!(name, %address, why, "destination denied by the egress policy");
                let denied = Denied { name: name.to_owned(), why };
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, denied));
            }
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
    }
}

impl tower_service::Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move { Ok(resolver.resolve(name.as_str()).await?.into_iter()) })
    }
}
