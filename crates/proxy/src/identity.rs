//! The user of a forwarded request, as impersonation headers.
//!
//! A value that the receiver would read differently is an error: it would be another user.

use std::fmt::Write as _;

use apimachinery::RequestInfo;
use event::UserInfo;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Start of the names of all impersonation headers. Of other headers, none begins like this.
const PREFIX: &str = "impersonate";
/// The users as which kube-apiserver asks for discovery, availability and OpenAPI.
const AGGREGATORS: [&str; 2] = ["system:kube-aggregator", "system:aggregator"];

/// Why a user cannot be passed on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentityError {
    /// HTTP cannot carry it, or would change it.
    #[error("the user's {0} cannot be sent in a header, so the request is not forwarded")]
    Value(&'static str),
    /// There is no user.
    #[error("the request has no user, so it is not forwarded")]
    NoUser,
}

/// Whether the request is one of kube-apiserver's own for documents that every user may read. It is
/// made with the proxy's account: kube-apiserver makes it as a member of `system:masters`, whom the
/// proxy need not be able to impersonate for it.
pub(crate) fn is_own(user: &UserInfo, method: &Method, info: &RequestInfo) -> bool {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_document = || {
        let path = info.path.trim_end_matches('/');
        let mut parts = path.split('/').skip(1);
        match parts.next() {
            Some("openapi") => true,
            Some("apis") => parts.count() <= 2,
            _ => false,
        }
    };
    is_read
        && !info.is_resource_request
        && AGGREGATORS.contains(&user.username.as_str())
        && is_document()
}

/// Sets the headers that name the user. Removes all others of their kind.
pub(crate) fn impersonate(headers: &mut HeaderMap, user: &UserInfo) -> Result<(), IdentityError> {
    strip(headers);
    if user.username.is_empty() {
        return Err(IdentityError::NoUser);
    }
    headers.insert("impersonate-user", value(&user.username, "name")?);
    if !user.uid.is_empty() {
        headers.insert("impersonate-uid", value(&user.uid, "UID")?);
    }
    for group in &user.groups {
        if group.is_empty() {
            return Err(IdentityError::Value("group"));
        }
        headers.append("impersonate-group", value(group, "group")?);
    }
    for (key, values) in &user.extra {
        let name = extra_header(key).ok_or(IdentityError::Value("extra key"))?;
        for text in values {
            headers.append(name.clone(), value(text, "extra value")?);
        }
    }
    Ok(())
}

/// Removes all headers that could name a user.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let is_identity = |name: &&HeaderName| {
        let name = name.as_str();
        name.starts_with(PREFIX) || name.starts_with("x-remote-") || name == "authorization"
    };
    let names: Vec<HeaderName> = headers.keys().filter(is_identity).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// A header value that arrives as it is: HTTP trims white space, and not all bytes are allowed.
fn value(text: &str, what: &'static str) -> Result<HeaderValue, IdentityError> {
    let is_trimmed = text.trim_matches([' ', '\t']) == text;
    let value = HeaderValue::from_bytes(text.as_bytes()).ok().filter(|_| is_trimmed);
    value.ok_or(IdentityError::Value(what))
}

/// The header of an extra key. The receiver converts the name to lower case and then decodes it, so
/// upper-case letters are encoded as bytes that no name may contain are.
fn extra_header(key: &str) -> Option<HeaderName> {
    if key.is_empty() {
        return None;
    }
    let mut name = "impersonate-extra-".to_owned();
    for byte in key.bytes() {
        let is_plain =
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&'*+-.^_`|~".contains(&byte);
        if is_plain {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02x}").ok()?;
        }
    }
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn user(name: &str, groups: &[&str], extra: &[(&str, &str)]) -> UserInfo {
        UserInfo {
            username: name.to_owned(),
            uid: String::new(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            extra: extra
                .iter()
                .map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()]))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    #[track_caller]
    fn check(user: &UserInfo, expected: Result<&[&str], IdentityError>) {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", "*/*"),
            ("authorization", "Bearer stolen"),
            ("impersonate-user", "root"),
            ("impersonate-uid", "0"),
            ("impersonatefuture", "x"),
            ("x-remote-group", "system:masters"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let outcome = impersonate(&mut headers, user).map(|()| {
            let mut lines: Vec<String> = headers
                .iter()
                .map(|(name, value)| {
                    format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
                })
                .collect();
            lines.sort();
            lines
        });
        let expected = expected.map(|lines| lines.iter().map(|line| (*line).to_owned()).collect());
        assert_eq!(outcome, expected);
    }

    #[test]
    fn the_whole_identity_is_sent_and_nothing_that_the_client_sent() {
        let extra = [("example.org/Key%", "v"), ("scopes", "a")];
        let mut alice = user("alice", &["devs", "system:authenticated"], &extra);
        alice.uid = "u-1".to_owned();
        check(
            &alice,
            Ok(&[
                "accept: */*",
                "impersonate-extra-example.org%2f%4bey%25: v",
                "impersonate-extra-scopes: a",
                "impersonate-group: devs",
                "impersonate-group: system:authenticated",
                "impersonate-uid: u-1",
                "impersonate-user: alice",
            ]),
        );
        check(&user("jörg", &[], &[]), Ok(&["accept: */*", "impersonate-user: jörg"]));
    }

    /// HTTP trims values, so that such a user would become another one.
    #[test]
    fn a_user_that_would_arrive_as_another_one_is_not_sent() {
        check(&user("", &["g"], &[]), Err(IdentityError::NoUser));
        check(&user(" alice", &[], &[]), Err(IdentityError::Value("name")));
        check(&user("a\r\nimpersonate-group: b", &[], &[]), Err(IdentityError::Value("name")));
        check(&user("alice", &["system:masters\t"], &[]), Err(IdentityError::Value("group")));
        check(&user("alice", &[""], &[]), Err(IdentityError::Value("group")));
        check(&user("alice", &[], &[("", "v")]), Err(IdentityError::Value("extra key")));
        check(&user("alice", &[], &[("k", "v ")]), Err(IdentityError::Value("extra value")));
    }

    #[test]
    fn only_documents_are_read_with_the_proxys_own_account() {
        let check = |name: &str, method: Method, path: &str, expected: bool| {
            let info = RequestInfo::parse(&method, path, &[]);
            assert_eq!(is_own(&user(name, &[], &[]), &method, &info), expected, "{name} {path}");
        };
        for (path, expected) in [
            ("/apis", true),
            ("/apis/", true),
            ("/apis/wardle.example.com", true),
            ("/apis/wardle.example.com/v1alpha1", true),
            ("/apis/wardle.example.com/v1alpha1/flunders", false),
            ("/openapi/v2", true),
            ("/openapi/v3/apis/wardle.example.com/v1alpha1", true),
            ("/metrics", false),
            ("/", false),
        ] {
            check("system:kube-aggregator", Method::GET, path, expected);
        }
        check("system:aggregator", Method::GET, "/openapi/v2", true);
        check("system:kube-aggregator", Method::POST, "/apis", false);
        check("alice", Method::GET, "/apis", false);
    }
}
