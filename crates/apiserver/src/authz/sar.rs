//! Authorizes requests with kube-apiserver and caches its decisions for a few seconds.
//!
//! Fails closed: a timeout, an error or a response without a status is an error, never an allow.
//! The cache is important for performance behind the aggregator, where every request needs a
//! decision.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes,
    SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use moka::sync::Cache;

use crate::kube::webhook::with_retries;
use crate::{Attributes, Authorizer, AuthorizerError, Decision};

/// Default time for which a decision is cached.
pub const CACHE_TIME: Duration = Duration::from_secs(10);
/// Maximum number of decisions in each cache.
const CACHE_ENTRIES: u64 = 8192;
/// Attributes of this size or more, in bytes, are not cached, so that the cache stays small.
const CACHED_ATTRIBUTES_BYTES_MAX: usize = 10_000;

/// Authorizes with `authorization.k8s.io/v1` `SubjectAccessReview`.
pub struct SubjectAccessReviews {
    api: Api<SubjectAccessReview>,
    allowed: Cache<Attributes, Decision>,
    others: Cache<Attributes, Decision>,
}

impl SubjectAccessReviews {
    /// Sends reviews with `client`. Caches allowed decisions for `allowed_time` and all others for
    /// `denied_time`.
    pub fn new(client: kube::Client, allowed_time: Duration, denied_time: Duration) -> Self {
        let cache = |time| Cache::builder().max_capacity(CACHE_ENTRIES).time_to_live(time).build();
        Self { api: Api::all(client), allowed: cache(allowed_time), others: cache(denied_time) }
    }

    async fn send_review(&self, attributes: &Attributes) -> Result<Decision, AuthorizerError> {
        let (review, parameters) = (review_of(attributes), PostParams::default());
        let response = with_retries(|| self.api.create(&parameters, &review))
            .await
            .map_err(|error| AuthorizerError(error.to_string()))?;
        let Some(status) = response.status else {
            return Err(AuthorizerError("the SubjectAccessReview has no status".to_owned()));
        };
        let reason = status.reason.unwrap_or_default();
        match (status.allowed, status.denied.unwrap_or_default(), status.evaluation_error) {
            (true, true, _) => Err(AuthorizerError(
                "the SubjectAccessReview is both allowed and denied".to_owned(),
            )),
            (true, false, _) => Ok(Decision::Allow(reason)),
            (false, true, _) => Ok(Decision::Deny(reason)),
            (false, false, Some(error)) if reason.is_empty() => Ok(Decision::NoOpinion(error)),
            (false, false, _) => Ok(Decision::NoOpinion(reason)),
        }
    }
}

#[async_trait]
impl Authorizer for SubjectAccessReviews {
    async fn authorize(&self, attributes: &Attributes) -> Result<Decision, AuthorizerError> {
        if let Some(decision) = self.allowed.get(attributes).or_else(|| self.others.get(attributes))
        {
            return Ok(decision);
        }
        let decision = self.send_review(attributes).await?;
        if size(attributes) < CACHED_ATTRIBUTES_BYTES_MAX {
            let cache = match decision {
                Decision::Allow(_) => &self.allowed,
                Decision::Deny(_) | Decision::NoOpinion(_) => &self.others,
            };
            cache.insert(attributes.clone(), decision.clone());
        }
        Ok(decision)
    }
}

fn size(attributes: &Attributes) -> usize {
    let user = &attributes.user;
    let extra = user
        .extra
        .iter()
        .map(|(key, values)| key.len() + values.iter().map(String::len).sum::<usize>());
    user.username.len()
        + user.uid.len()
        + user.groups.iter().map(String::len).sum::<usize>()
        + extra.sum::<usize>()
        + [
            &attributes.namespace,
            &attributes.name,
            &attributes.path,
            &attributes.label_selector,
            &attributes.field_selector,
            &attributes.resource,
            &attributes.subresource,
            &attributes.group,
        ]
        .into_iter()
        .map(String::len)
        .sum::<usize>()
}

fn review_of(attributes: &Attributes) -> SubjectAccessReview {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let user = &attributes.user;
    let mut spec = SubjectAccessReviewSpec {
        user: Some(user.username.clone()),
        uid: some(&user.uid),
        groups: Some(user.groups.clone()),
        extra: Some(user.extra.clone().into_iter().collect()),
        ..SubjectAccessReviewSpec::default()
    };
    if attributes.is_resource_request() {
        spec.resource_attributes = Some(ResourceAttributes {
            verb: some(&attributes.verb),
            group: some(&attributes.group),
            version: some(&attributes.version),
            resource: some(&attributes.resource),
            subresource: some(&attributes.subresource),
            namespace: some(&attributes.namespace),
            name: some(&attributes.name),
            label_selector: some(&attributes.label_selector).map(|raw| LabelSelectorAttributes {
                raw_selector: Some(raw),
                ..LabelSelectorAttributes::default()
            }),
            field_selector: some(&attributes.field_selector).map(|raw| FieldSelectorAttributes {
                raw_selector: Some(raw),
                ..FieldSelectorAttributes::default()
            }),
        });
    } else {
        spec.non_resource_attributes = Some(NonResourceAttributes {
            path: some(&attributes.path),
            verb: some(&attributes.verb),
        });
    }
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}
