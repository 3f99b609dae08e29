//! Authentication of requests, in the order of `k8s.io/apiserver`.
//!
//! The authenticators are front proxy, client certificate, bearer token, WebSocket token and
//! anonymous. A failed authenticator does not end the chain, but it rules out anonymous access. The
//! reason for a failure is logged and not sent to the client. A certificate is verified once per
//! connection and then every few seconds, not for each request.

use std::sync::Arc;

use event::UserInfo;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::Clock;
use crate::authn::peer::{Peer, Protocol};
use crate::authn::rejection_log::RejectionLog;
use crate::authn::token::TokenReviews;
use crate::trust::{RequestHeaderNames, Trust, TrustSnapshot};

pub(crate) mod front_proxy;
pub(crate) mod peer;
mod rejection_log;
pub mod token;
pub(crate) mod x509;

/// Group of all authenticated users.
const AUTHENTICATED: &str = "system:authenticated";

/// Username of anonymous requests.
pub(crate) const ANONYMOUS: &str = "system:anonymous";

/// All authenticators of the server.
pub struct Authenticator {
    trust: Arc<Trust>,
    tokens: Option<TokenReviews>,
    anonymous: Anonymous,
    rejection_log: RejectionLog,
}

/// Whether requests without credentials are accepted as `system:anonymous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// They are accepted; authorization decides what they may do.
    Allowed,
    /// They are rejected with 401.
    Refused,
}

/// Authentication failed; the client gets 401.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unauthenticated {
    /// The reason of each authenticator that failed, for the log.
    pub(crate) reasons: Vec<String>,
}

impl Authenticator {
    /// Creates the authenticator chain. If `tokens` is `None`, bearer tokens are rejected.
    pub fn new(trust: Arc<Trust>, tokens: Option<TokenReviews>, anonymous: Anonymous) -> Self {
        Self { trust, tokens, anonymous, rejection_log: RejectionLog::default() }
    }

    /// Authenticates the request. Removes every credential and identity header from `headers`.
    pub(crate) async fn authenticate(
        &self,
        peer: &Peer,
        headers: &mut HeaderMap,
        clock: &dyn Clock,
    ) -> Result<UserInfo, Unauthenticated> {
        let trust = self.trust.snapshot();
        let outcome = self.authenticate_request(peer, headers, &trust, clock).await;
        strip(headers, &trust);
        outcome
    }

    /// Whether the peer is the front proxy, which may act for other users.
    pub(crate) fn is_front_proxy(&self, peer: &Peer, clock: &dyn Clock) -> bool {
        let trust = self.trust.snapshot();
        !peer.chain.is_empty() && peer.identity(&trust, clock.now()).front_proxy.is_ok()
    }

    async fn authenticate_request(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
        trust: &Arc<TrustSnapshot>,
        clock: &dyn Clock,
    ) -> Result<UserInfo, Unauthenticated> {
        let mut reasons = Vec::new();
        if !peer.chain.is_empty() {
            let identity = peer.identity(trust, clock.now());
            if let (Ok(()), Some(proxy)) = (&identity.front_proxy, &trust.front_proxy)
                && let Some(user) = front_proxy::user_of(headers, &proxy.headers)
            {
                return Ok(with_authenticated_group(user));
            }
            match &identity.client {
                Ok(user) => return Ok(user.clone()),
                Err(reason) => reasons.push(format!("client certificate: {reason}")),
            }
            if let Err(reason) = &identity.front_proxy {
                reasons.push(format!("front proxy: {reason}"));
                if let Err(client) = &identity.client
                    && identity.is_first_use()
                {
                    self.rejection_log.log(peer, [client, reason], clock.now());
                }
            }
        }
        if let Some(token) = token::bearer(headers) {
            match self.review(token).await {
                Ok(user) => return Ok(with_authenticated_group(user)),
                Err(reason) => reasons.push(format!("bearer token: {reason}")),
            }
        }
        if let Some(token) = token::from_websocket(headers) {
            let reviewed = match token {
                Ok(token) => self.review(&token).await,
                Err(reason) => Err(reason.to_owned()),
            };
            match reviewed {
                Ok(user) => return Ok(with_authenticated_group(user)),
                Err(reason) => reasons.push(format!("WebSocket token: {reason}")),
            }
        }
        if reasons.is_empty() && self.anonymous == Anonymous::Allowed {
            if peer.protocol == Protocol::Http2 {
                // An anonymous client must not keep a connection with many streams.
                peer.close_after_response();
            }
            return Ok(UserInfo {
                username: ANONYMOUS.to_owned(),
                groups: vec!["system:unauthenticated".to_owned()],
                ..UserInfo::default()
            });
        }
        Err(Unauthenticated { reasons })
    }

    async fn review(&self, token: &str) -> Result<UserInfo, String> {
        match &self.tokens {
            Some(tokens) => tokens.review(token).await,
            None => Err("bearer tokens are not accepted".to_owned()),
        }
    }
}

/// Adds `system:authenticated` to the groups of a user who is not anonymous. kube-apiserver relies
/// on the extension server to add it.
pub(crate) fn with_authenticated_group(mut user: UserInfo) -> UserInfo {
    let has = |name: &str| user.groups.iter().any(|group| group == name);
    if user.username != ANONYMOUS && !has(AUTHENTICATED) && !has("system:unauthenticated") {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

/// Removes credentials and identity headers, so that later code cannot see or trust them.
fn strip(headers: &mut HeaderMap, trust: &TrustSnapshot) {
    headers.remove(AUTHORIZATION);
    token::strip_websocket(headers);
    if headers.keys().any(|name| name.as_str().starts_with("x-remote-")) {
        front_proxy::strip(headers, &RequestHeaderNames::default());
        headers.remove("x-remote-uid");
    }
    if let Some(proxy) = &trust.front_proxy {
        front_proxy::strip(headers, &proxy.headers);
    }
}
