//! Bearer tokens, which kube-apiserver verifies with `TokenReview`.
//!
//! Responses are cached under a hash of the token. The token itself is stored nowhere and never
//! appears in a message.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use event::UserInfo;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::{Api, PostParams};
use moka::sync::Cache;

use crate::connection::websocket;
use crate::kube::webhook::with_retries;

/// Default time for which a review is cached.
pub const CACHE_TIME: Duration = Duration::from_secs(10);
/// Prefix of the WebSocket subprotocol that carries a token: browsers cannot set headers.
const SUBPROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";
/// Maximum number of cached reviews.
const CACHE_ENTRIES: u64 = 8192;

type Review = Result<UserInfo, String>;

/// Authenticates users by bearer token.
pub struct TokenReviews {
    api: Api<TokenReview>,
    cache: Cache<[u8; 32], Review>,
}

impl TokenReviews {
    /// Sends reviews with `client`. Caches responses for `cache_time`.
    pub fn new(client: kube::Client, cache_time: Duration) -> Self {
        let cache = Cache::builder().max_capacity(CACHE_ENTRIES).time_to_live(cache_time).build();
        Self { api: Api::all(client), cache }
    }

    pub(crate) async fn review(&self, token: &str) -> Review {
        let key = digest(&SHA256, token.as_bytes());
        let key: [u8; SHA256_OUTPUT_LEN] = key.as_ref().try_into().unwrap_or_default();
        if let Some(outcome) = self.cache.get(&key) {
            return outcome;
        }
        let outcome = self.send_review(token).await?;
        self.cache.insert(key, outcome.clone());
        outcome
    }

    /// Sends a review. The outer error means that there is no response; it is not cached.
    async fn send_review(&self, token: &str) -> Result<Review, String> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let parameters = PostParams::default();
        let response = with_retries(|| self.api.create(&parameters, &review))
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status.unwrap_or_default();
        // A user without a name is not authenticated.
        let user =
            status.user.filter(|user| user.username.as_ref().is_some_and(|name| !name.is_empty()));
        Ok(match (status.authenticated, user) {
            (Some(true), Some(user)) => Ok(UserInfo {
                username: user.username.unwrap_or_default(),
                uid: user.uid.unwrap_or_default(),
                groups: user.groups.unwrap_or_default(),
                extra: user.extra.unwrap_or_default().into_iter().collect(),
            }),
            _ => Err(status.error.unwrap_or_else(|| "the token is invalid".to_owned())),
        })
    }
}

/// Token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Token in a WebSocket subprotocol, or why it is not valid. `None` if there is no token.
pub(crate) fn from_websocket(headers: &HeaderMap) -> Option<Result<String, &'static str>> {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) || !websocket::is_requested(headers) {
        return None;
    }
    let (mut token, mut others) = (None, 0);
    for protocol in websocket::protocols(headers) {
        match protocol.strip_prefix(SUBPROTOCOL) {
            None => others += 1,
            Some(_) if token.is_some() => return Some(Err("more than one token")),
            Some(encoded) => token = Some(encoded),
        }
    }
    let token = token?;
    let decoded =
        URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Some(match decoded {
        None => Err("the token is not unpadded base64url of UTF-8 text"),
        Some(token) if token.is_empty() => return None,
        // The handshake response must select a subprotocol other than the token.
        Some(_) if others == 0 => Err("no other subprotocol is offered"),
        Some(token) => Ok(token),
    })
}

/// Removes tokens from the subprotocols.
pub(crate) fn strip_websocket(headers: &mut HeaderMap) {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return;
    }
    let others =
        websocket::protocols(headers).filter(|protocol| !protocol.starts_with(SUBPROTOCOL));
    let others = others.collect::<Vec<_>>().join(", ");
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if !others.is_empty()
        && let Ok(others) = HeaderValue::from_str(&others)
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `offered` are the subprotocols; `remaining` are those that remain after the removal.
    #[track_caller]
    fn check(offered: &[&str], expected: Option<Result<&str, ()>>, remaining: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_static("Upgrade"));
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        for protocol in offered {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocol).unwrap());
        }
        let token = from_websocket(&headers);
        let token = token.as_ref().map(|token| token.as_deref().map_err(|_| ()));
        assert_eq!(token, expected, "{offered:?}");
        strip_websocket(&mut headers);
        let others = headers.get(SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().unwrap());
        assert_eq!(others.unwrap_or_default(), remaining, "{offered:?}");
        headers.insert("upgrade", HeaderValue::from_static("h2c"));
        assert_eq!(from_websocket(&headers), None);
    }

    #[test]
    fn a_websocket_may_carry_its_token_as_a_subprotocol() {
        let token = format!("{SUBPROTOCOL}{}", URL_SAFE_NO_PAD.encode("se/cr?t"));
        let (token, other) = (token.as_str(), "base64.binary.k8s.io");
        check(&[], None, "");
        check(&[other], None, other);
        check(&[token, other], Some(Ok("se/cr?t")), other);
        check(&[&format!("{other}, {token}")], Some(Ok("se/cr?t")), other);
        check(&[token], Some(Err(())), "");
        check(&[token, token, other], Some(Err(())), other);
        check(&[&format!("{SUBPROTOCOL}%%%"), other], Some(Err(())), other);
        check(&[&format!("{SUBPROTOCOL}/w"), other], Some(Err(())), other);
        check(&[SUBPROTOCOL, other], None, other);
    }
}
