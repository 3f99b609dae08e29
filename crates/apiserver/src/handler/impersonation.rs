//! Impersonation with `Impersonate-*` headers. Each part is authorized separately.
//!
//! kube-apiserver resolves these headers before it proxies a request, so they arrive only from
//! clients that connect directly.

use std::sync::Arc;

use apimachinery::ApiError;
use event::UserInfo;
use event::fields::service_account;
use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::authn::with_authenticated_group;
use crate::handler::status_errors;
use crate::{ApiResponse, Attributes, Authorizer, Decision};

const PREFIX: &str = "impersonate-";
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// Authorizes the impersonation and returns the impersonated user; `None` if the request has no
/// `Impersonate-*` headers. Removes these headers on success.
pub(crate) async fn resolve(
    user: &Arc<UserInfo>,
    headers: &mut HeaderMap,
    authorizer: &dyn Authorizer,
) -> Result<Option<UserInfo>, ApiResponse> {
    if !headers.keys().any(|name| name.as_str().starts_with(PREFIX)) {
        return Ok(None);
    }
    let impersonated = impersonated_user(headers).map_err(ApiResponse::from)?;
    for attributes in required_access(user, &impersonated) {
        match authorizer.authorize(&attributes).await {
            Ok(Decision::Allow(_)) => {}
            Ok(Decision::Deny(reason) | Decision::NoOpinion(reason)) => {
                return Err(status_errors::forbidden(&attributes, &reason));
            }
            Err(error) => return Err(ApiResponse::from(ApiError::internal(&error.to_string()))),
        }
    }
    let names: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    Ok(Some(completed(impersonated)))
}

/// Parses the impersonated user from the headers.
fn impersonated_user(headers: &HeaderMap) -> Result<UserInfo, ApiError> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let value = |name: &str| headers.get(name).map(text).unwrap_or_default();
    let mut impersonated = UserInfo {
        username: value("impersonate-user"),
        uid: value("impersonate-uid"),
        groups: headers.get_all("impersonate-group").iter().map(text).collect(),
        ..UserInfo::default()
    };
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA_PREFIX) {
            let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
            impersonated.extra.entry(key).or_default().push(text(value));
        }
    }
    if impersonated.username.is_empty() {
        let what = "without impersonating a user";
        return Err(ApiError::internal(&format!("requested groups, uid or extra {what}")));
    }
    Ok(impersonated)
}

/// Attributes to authorize: one each for the user, every group, the UID, and every value of the
/// extra fields.
fn required_access(user: &Arc<UserInfo>, impersonated: &UserInfo) -> Vec<Attributes> {
    let attributes = |group: &str, resource: &str, name: &str| Attributes {
        user: Arc::clone(user),
        verb: "impersonate".to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    let mut required_access = vec![match service_account(&impersonated.username) {
        Some((namespace, name)) => Attributes {
            namespace: namespace.to_owned(),
            ..attributes("", "serviceaccounts", name)
        },
        None => attributes("", "users", &impersonated.username),
    }];
    required_access.extend(impersonated.groups.iter().map(|group| attributes("", "groups", group)));
    if !impersonated.uid.is_empty() {
        required_access.push(attributes("authentication.k8s.io", "uids", &impersonated.uid));
    }
    for (key, values) in &impersonated.extra {
        required_access.extend(values.iter().map(|value| Attributes {
            subresource: key.clone(),
            ..attributes("authentication.k8s.io", "userextras", value)
        }));
    }
    required_access
}

/// Adds the groups that authentication would give to this user.
fn completed(mut impersonated: UserInfo) -> UserInfo {
    if let Some((namespace, _)) = service_account(&impersonated.username)
        && impersonated.groups.is_empty()
    {
        let of_namespace = format!("system:serviceaccounts:{namespace}");
        impersonated.groups = vec!["system:serviceaccounts".to_owned(), of_namespace];
    }
    if impersonated.username == "system:anonymous" && impersonated.groups.is_empty() {
        impersonated.groups = vec!["system:unauthenticated".to_owned()];
    }
    with_authenticated_group(impersonated)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use http::HeaderName;

    use super::*;
    use crate::AuthorizerError;

    /// Allows impersonation only of the listed `group/resource/subresource/namespace/name`.
    struct Only(&'static [&'static str]);

    #[async_trait]
    impl Authorizer for Only {
        async fn authorize(&self, a: &Attributes) -> Result<Decision, AuthorizerError> {
            let resource = [&a.group, &a.resource, &a.subresource, &a.namespace, &a.name]
                .map(String::as_str)
                .join("/");
            Ok(if a.verb == "impersonate" && self.0.contains(&resource.as_str()) {
                Decision::Allow(String::new())
            } else {
                Decision::NoOpinion(String::new())
            })
        }
    }

    async fn check(
        pairs: &[(&'static str, &'static str)],
        allowed: &'static [&'static str],
        expected: Result<Option<(&str, &[&str])>, u16>,
    ) {
        let mut headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let user = UserInfo { username: "root".to_owned(), ..UserInfo::default() };
        let resolved = resolve(&Arc::new(user), &mut headers, &Only(allowed)).await;
        let resolved = resolved
            .map(|user| user.map(|user| (user.username, user.groups)))
            .map_err(|response| response.code.as_u16());
        let expected = expected.map(|user| {
            user.map(|(name, groups)| {
                (name.to_owned(), groups.iter().map(|group| (*group).to_owned()).collect())
            })
        });
        assert_eq!(resolved, expected);
        if resolved.is_ok() {
            assert!(headers.keys().all(|name| !name.as_str().starts_with(PREFIX)));
        }
    }

    #[tokio::test]
    async fn each_part_of_an_impersonation_is_authorized_separately() {
        check(&[("accept", "x")], &[], Ok(None)).await;
        let user = ("impersonate-user", "alice");
        let authenticated = &["system:authenticated"][..];
        check(&[user], &["/users///alice"], Ok(Some(("alice", authenticated)))).await;
        check(&[user], &["/users///bob"], Err(403)).await;
        let group = ("impersonate-group", "dev");
        let both = &["/users///alice", "/groups///dev"];
        check(&[user, group], both, Ok(Some(("alice", &["dev", "system:authenticated"])))).await;
        check(&[user, group], &["/users///alice"], Err(403)).await;
        check(&[group], both, Err(500)).await;
        let extra = ("impersonate-extra-scopes", "view");
        check(&[user, extra], &["/users///alice"], Err(403)).await;
        let allowed = &["/users///alice", "authentication.k8s.io/userextras/scopes//view"];
        check(&[user, extra], allowed, Ok(Some(("alice", authenticated)))).await;
        let uid = ("impersonate-uid", "7");
        let allowed = &["/users///alice", "authentication.k8s.io/uids///7"];
        check(&[user, uid], allowed, Ok(Some(("alice", authenticated)))).await;
    }

    #[tokio::test]
    async fn service_accounts_get_their_groups() {
        check(
            &[("impersonate-user", "system:serviceaccount:shop:robot")],
            &["/serviceaccounts//shop/robot"],
            Ok(Some((
                "system:serviceaccount:shop:robot",
                &["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
            ))),
        )
        .await;
    }
}
