//! The peer of a connection: its address, its certificate, and the identity of that certificate.
//!
//! The identity is computed on first use, and again when the trust configuration changes or some
//! seconds have passed. So an expired certificate or a removed CA takes effect on open connections
//! too.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use event::{Timestamp, UserInfo};
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::sync::Notify;

use crate::authn::{with_authenticated_group, x509};
use crate::trust::TrustSnapshot;

/// Time for which a verified certificate is cached, in microseconds.
const CHECK_MICROS: i64 = 10_000_000;

/// The remote end of a connection.
pub(crate) struct Peer {
    /// Address of the peer. IPv4-mapped IPv6 addresses are converted to IPv4.
    pub(crate) address: IpAddr,
    /// Certificate chain, leaf first; empty if the client sent none.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Protocol of the connection.
    pub(crate) protocol: Protocol,
    identity: ArcSwapOption<PeerIdentity>,
    /// Notified when the connection is to close after the responses in flight.
    close: Notify,
    is_closing: AtomicBool,
}

/// Protocol of a connection, negotiated with ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Identity of a peer's certificate.
pub(crate) struct PeerIdentity {
    trust: Arc<TrustSnapshot>,
    checked: Timestamp,
    /// Whether this certificate is that of a front proxy, or the reason why it is not.
    pub(crate) front_proxy: Result<(), String>,
    /// The user that this certificate identifies, or the reason why it identifies none.
    pub(crate) client: Result<UserInfo, String>,
    is_reported: AtomicBool,
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
            is_closing: AtomicBool::new(false),
        }
    }

    /// Identity of the certificate under this trust configuration at this time. Cached.
    pub(crate) fn identity(&self, trust: &Arc<TrustSnapshot>, now: Timestamp) -> Arc<PeerIdentity> {
        let age = |identity: &PeerIdentity| now.as_micros() - identity.checked.as_micros();
        if let Some(identity) = self.identity.load_full()
            && Arc::ptr_eq(&identity.trust, trust)
            && (0..CHECK_MICROS).contains(&age(&identity))
        {
            return identity;
        }
        let identity = Arc::new(PeerIdentity::verify(&self.chain, trust, now));
        self.identity.store(Some(Arc::clone(&identity)));
        identity
    }

    /// Requests that the connection closes after the responses in flight. Unauthenticated clients
    /// must not keep a connection.
    pub(crate) fn close_after_response(&self) {
        if !self.is_closing.swap(true, Ordering::Relaxed) {
            self.close.notify_one();
        }
    }

    /// Returns when [`Peer::close_after_response`] has been called.
    pub(crate) async fn closing(&self) {
        self.close.notified().await;
    }
}

impl PeerIdentity {
    fn verify(
        chain: &[CertificateDer<'static>],
        trust: &Arc<TrustSnapshot>,
        now: Timestamp,
    ) -> Self {
        let seconds = u64::try_from(now.as_micros() / 1_000_000).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let front_proxy = match &trust.front_proxy {
            None => Err("no request-header CA is configured".to_owned()),
            Some(proxy) => proxy.ca.verify(chain, time).and_then(|()| {
                let name = chain.first().map(x509::Subject::parse).transpose()?;
                let name = name.map(|subject| subject.common_name).unwrap_or_default();
                let allowed = proxy.allowed_names.is_empty() || proxy.allowed_names.contains(&name);
                if allowed { Ok(()) } else { Err(format!("{name:?} is not an allowed name")) }
            }),
        };
        let client = match (&trust.clients, chain.first()) {
            (Some(clients), Some(leaf)) => clients
                .verify(chain, time)
                .and_then(|()| x509::Subject::parse(leaf)?.user())
                .map(with_authenticated_group),
            _ => Err("no client CA is configured".to_owned()),
        };
        let is_reported = AtomicBool::new(false);
        Self { trust: Arc::clone(trust), checked: now, front_proxy, client, is_reported }
    }

    /// True on the first call only, so that a rejection is logged once.
    pub(crate) fn is_first_use(&self) -> bool {
        !self.is_reported.swap(true, Ordering::Relaxed)
    }
}
