//! From a name to the addresses that are dialled: looked up once, each address checked.
//!
//! A name that leads to a refused address and to an open one is refused: it is not to be trusted at
//! all. Which address that is stays in the log, since a profile must not be a way to read the DNS.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io, vec};

use hyper_util::client::legacy::connect::dns::Name;

use super::reach::Reach;
use super::transport::is_metadata;

/// Finds the addresses of a name.
type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Who knows the addresses of names: the system, unless somebody else is named.
#[derive(Clone, Default)]
pub struct Names(Option<Arc<Lookup>>);

impl Names {
    /// Names that `lookup` knows.
    pub fn of(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(lookup)))
    }

    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // RFC 6761: these are this machine, whatever somebody's DNS says.
        if name.trim_end_matches('.').to_ascii_lowercase().ends_with(".localhost") {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        match &self.0 {
            Some(lookup) => lookup(name),
            None => Ok(tokio::net::lookup_host((name, 0)).await?.map(|at| at.ip()).collect()),
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Names(given)" } else { "Names(system)" })
    }
}

/// A name that may not be dialled; for people.
#[derive(Debug, thiserror::Error)]
#[error("{name} leads to an address that {why}")]
struct Refused {
    name: String,
    why: &'static str,
}

/// Hands out the addresses of a name that may be dialled.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    pub(super) reach: Reach,
    pub(super) metadata: bool,
}

impl Resolver {
    async fn open(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let found = self.reach.names.addresses(name).await?;
        let may_ask = self.metadata && is_metadata(name);
        for address in &found {
            if let Some(why) = self.reach.refusal(*address).filter(|_| !may_ask) {
                tracing::warn!(name, %address, why, "a destination is refused");
                let refused = Refused { name: name.to_owned(), why };
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, refused));
            }
        }
        Ok(found.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
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
        Box::pin(async move { Ok(resolver.open(name.as_str()).await?.into_iter()) })
    }
}
