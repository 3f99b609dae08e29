//! One connection: where it is from, which certificate it showed, and what that is worth.
//!
//! The worth is computed when first asked for and again when the trust configuration changes or
//! some seconds have passed, so that an expired certificate or a removed CA loses its power on
//! connections that are already open.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use event::{Timestamp, UserInfo};
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::sync::Notify;

use crate::authn::{admitted, x509};
use crate::trust::TrustSnapshot;

/// How long a checked certificate counts without another look.
const CHECK_MICROS: i64 = 10_000_000;

/// The other end of a connection.
pub(crate) struct Peer {
    /// Its address; IPv4 in IPv6 is taken apart.
    pub(crate) address: IpAddr,
    /// Its certificate chain, leaf first; empty when it showed none.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// What it speaks.
    pub(crate) protocol: Protocol,
    identity: ArcSwapOption<PeerIdentity>,
    /// Whether the connection is to be closed after what is under way.
    close: Notify,
    is_leaving: AtomicBool,
}

/// What a connection speaks, by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What the certificate of a peer is worth.
pub(crate) struct PeerIdentity {
    trust: Arc<TrustSnapshot>,
    checked: Timestamp,
    /// Whether it may speak for others, or why not.
    pub(crate) front_proxy: Result<(), String>,
    /// Whom it stands for itself, or why for nobody.
    pub(crate) client: Result<UserInfo, String>,
    is_known: AtomicBool,
}

impl Peer {
    pub(crate) fn new(
        address: IpAddr,
        chain: Vec<CertificateDer<'static>>,
        protocol: Protocol,
    ) -> Self {
        Self {
            address: address.to_canonical(),
            chain,
            protocol,
            identity: ArcSwapOption::empty(),
            close: Notify::new(),
            is_leaving: AtomicBool::new(false),
        }
    }

    /// What the certificate is worth under this trust, now.
    pub(crate) fn identity(&self, trust: &Arc<TrustSnapshot>, now: Timestamp) -> Arc<PeerIdentity> {
        let age = |identity: &PeerIdentity| now.as_micros() - identity.checked.as_micros();
        if let Some(identity) = self.identity.load_full()
            && Arc::ptr_eq(&identity.trust, trust)
            && (0..CHECK_MICROS).contains(&age(&identity))
        {
            return identity;
        }
        let identity = Arc::new(PeerIdentity::of(&self.chain, trust, now));
        self.identity.store(Some(Arc::clone(&identity)));
        identity
    }

    /// Asks for the connection to be closed once the answers under way are out: clients that are
    /// not recognised do not get to keep one.
    pub(crate) fn close_after_response(&self) {
        if !self.is_leaving.swap(true, Ordering::Relaxed) {
            self.close.notify_one();
        }
    }

    /// Returns when [`Peer::close_after_response`] has been called.
    pub(crate) async fn closing(&self) {
        self.close.notified().await;
    }
}

impl PeerIdentity {
    fn of(chain: &[CertificateDer<'static>], trust: &Arc<TrustSnapshot>, now: Timestamp) -> Self {
        let seconds = u64::try_from(now.as_micros() / 1_000_000).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let front_proxy = match &trust.front_proxy {
            None => Err("no request-header CA is configured".to_owned()),
            Some(proxy) => proxy.ca.verify(chain, time).and_then(|()| {
                let name = chain.first().map(x509::Subject::of).transpose()?;
                let name = name.map(|subject| subject.common_name).unwrap_or_default();
                let allowed = proxy.allowed_names.is_empty() || proxy.allowed_names.contains(&name);
                if allowed { Ok(()) } else { Err(format!("{name:?} is not an allowed name")) }
            }),
        };
        let client = match (&trust.clients, chain.first()) {
            (Some(clients), Some(leaf)) => clients
                .verify(chain, time)
                .and_then(|()| x509::Subject::of(leaf)?.user())
                .map(admitted),
            _ => Err("no client CA is configured".to_owned()),
        };
        let is_known = AtomicBool::new(false);
        Self { trust: Arc::clone(trust), checked: now, front_proxy, client, is_known }
    }

    /// True when it is asked for the first time.
    pub(crate) fn is_news(&self) -> bool {
        !self.is_known.swap(true, Ordering::Relaxed)
    }
}
