//! The user that kube-apiserver's proxy passes in headers.
//!
//! `peer` has verified the proxy before; this module only parses and removes the headers.

use event::UserInfo;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use crate::trust::RequestHeaderNames;

/// Parses the user from the headers. `None` if they contain no username.
pub(crate) fn user_of(headers: &HeaderMap, names: &RequestHeaderNames) -> Option<UserInfo> {
    let username = first(headers, &names.username)?;
    let mut user = UserInfo {
        username,
        uid: first(headers, &names.uid).unwrap_or_default(),
        ..UserInfo::default()
    };
    for name in &names.group {
        let values = headers.get_all(name).iter().map(|value| text(value.as_bytes()));
        user.groups.extend(values.filter(|group| !group.is_empty()));
    }
    for (name, value) in headers {
        let prefix = names.extra_prefix.iter().find_map(|prefix| {
            name.as_str().strip_prefix(prefix.as_str()).filter(|key| !key.is_empty())
        });
        if let Some(key) = prefix {
            // A key that does not decode is kept unchanged.
            let key = percent_decode_str(key)
                .decode_utf8()
                .map_or_else(|_| key.to_owned(), |decoded| decoded.to_lowercase());
            user.extra.entry(key).or_default().push(text(value.as_bytes()));
        }
    }
    Some(user)
}

/// Removes all headers with these names.
pub(crate) fn strip(headers: &mut HeaderMap, names: &RequestHeaderNames) {
    for name in names.username.iter().chain(&names.uid).chain(&names.group) {
        headers.remove(name);
    }
    let is_extra = |name: &HeaderName| {
        names.extra_prefix.iter().any(|prefix| name.as_str().starts_with(prefix.as_str()))
    };
    if headers.keys().any(is_extra) {
        let extra: Vec<HeaderName> =
            headers.keys().filter(|name| is_extra(name)).cloned().collect();
        for name in extra {
            headers.remove(name);
        }
    }
}

/// The first nonempty value, over all names in order.
fn first(headers: &HeaderMap, names: &[HeaderName]) -> Option<String> {
    names
        .iter()
        .filter_map(|name| headers.get(name))
        .map(|value| text(value.as_bytes()))
        .find(|value| !value.is_empty())
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn headers_become_a_user() {
        let names = RequestHeaderNames {
            uid: vec![HeaderName::from_static("x-remote-uid")],
            ..RequestHeaderNames::default()
        };
        let user = user_of(
            &headers(&[
                ("x-remote-user", "alice"),
                ("x-remote-uid", "42"),
                ("x-remote-group", "dev"),
                ("x-remote-group", ""),
                ("x-remote-group", "ops"),
                ("x-remote-extra-scopes", "a"),
                ("x-remote-extra-scopes", "b"),
                ("x-remote-extra-example.org%2Fkey", "v"),
                ("x-remote-extra-bad%ff", "raw"),
            ]),
            &names,
        )
        .unwrap();
        assert_eq!((user.username.as_str(), user.uid.as_str()), ("alice", "42"));
        assert_eq!(user.groups, ["dev", "ops"]);
        let extra: Vec<String> =
            user.extra.iter().map(|(key, values)| format!("{key}={}", values.join(","))).collect();
        assert_eq!(extra, ["bad%ff=raw", "example.org/key=v", "scopes=a,b"]);
    }

    #[test]
    fn without_a_name_there_is_no_user_and_the_uid_needs_a_configured_header() {
        let names = RequestHeaderNames::default();
        assert!(user_of(&headers(&[("x-remote-group", "system:masters")]), &names).is_none());
        assert!(user_of(&headers(&[("x-remote-user", "")]), &names).is_none());
        let user = user_of(&headers(&[("x-remote-user", "a"), ("x-remote-uid", "1")]), &names);
        assert_eq!(user.unwrap().uid, "");
    }

    #[test]
    fn stripping_leaves_only_other_headers() {
        let mut map = headers(&[
            ("x-remote-user", "a"),
            ("x-remote-group", "g"),
            ("x-remote-group", "h"),
            ("x-remote-extra-k", "v"),
            ("accept", "x"),
        ]);
        strip(&mut map, &RequestHeaderNames::default());
        let remaining: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        assert_eq!(remaining, ["accept"]);
    }
}
