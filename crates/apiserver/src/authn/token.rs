//! Bearer tokens, which only kube-apiserver can read: `TokenReview`.
//!
//! Answers are remembered for ten seconds under a hash of the token; the token itself is kept
//! nowhere and never appears in a message.

use std::time::Duration;

use event::UserInfo;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::{Api, PostParams};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use crate::retry::with_retries;

/// How long an answer counts, unless configured.
pub const CACHE_TIME: Duration = Duration::from_secs(10);
/// Answers remembered at most.
const CACHE_ENTRIES: u64 = 8192;

type Outcome = Result<UserInfo, String>;

/// Recognises users by their tokens.
pub struct Tokens {
    api: Api<TokenReview>,
    cache: Cache<[u8; 32], Outcome>,
}

impl Tokens {
    /// Asks through `client`; answers are remembered for `cache_time`.
    pub fn new(client: kube::Client, cache_time: Duration) -> Self {
        let cache = Cache::builder().max_capacity(CACHE_ENTRIES).time_to_live(cache_time).build();
        Self { api: Api::all(client), cache }
    }

    pub(crate) async fn review(&self, token: &str) -> Outcome {
        let key: [u8; 32] = Sha256::digest(token).into();
        if let Some(outcome) = self.cache.get(&key) {
            return outcome;
        }
        let outcome = self.ask(token).await?;
        self.cache.insert(key, outcome.clone());
        outcome
    }

    /// The outer error means that there is no answer, which is not remembered.
    async fn ask(&self, token: &str) -> Result<Outcome, String> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let parameters = PostParams::default();
        let answer = with_retries(|| self.api.create(&parameters, &review))
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status.unwrap_or_default();
        // Somebody without a name is nobody.
        let user =
            status.user.filter(|user| user.username.as_ref().is_some_and(|it| !it.is_empty()));
        Ok(match (status.authenticated, user) {
            (Some(true), Some(user)) => Ok(UserInfo {
                username: user.username.unwrap_or_default(),
                uid: user.uid.unwrap_or_default(),
                groups: user.groups.unwrap_or_default(),
                extra: user.extra.unwrap_or_default().into_iter().collect(),
            }),
            _ => Err(status.error.unwrap_or_else(|| "the token is not valid".to_owned())),
        })
    }
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
