//! Validates the endpoint of a profile: the scheme https, a host, and an optional port. User names,
//! paths and unusual forms of IP addresses are rejected, because they can disguise the host.
//!
//! The addresses of a name are checked when a connection is opened.

use std::net::IpAddr;

use crate::settings::Settings;

/// The normalized endpoint. The error completes a sentence that begins with "endpoint".
pub(super) fn normalize(text: &str, settings: &Settings) -> Result<String, String> {
    // The text may contain a password, so the part before the host is not shown.
    let redacted = text.rsplit_once('@').map_or(text.to_owned(), |(_, host)| format!("…@{host}"));
    let invalid = |what: &str| Err(format!("{redacted:?} {what}"));
    if text.len() > 300 || text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return invalid("is not an address");
    }
    let lower = text.to_ascii_lowercase();
    let (scheme, rest) = match lower.split_once("://") {
        // K10 uses https for a host without a scheme.
        None => ("https", lower.as_str()),
        Some((scheme, rest)) => (scheme, rest),
    };
    match scheme {
        "https" => {}
        "http" if settings.plain_http => {}
        "http" => return invalid("uses no TLS; --audit-plain-http allows that"),
        _ => return invalid("is not an https:// address"),
    }
    let host = rest.trim_end_matches('/');
    if host.contains(['/', '?', '#']) {
        return invalid("has a path or a query; only a host and a port are allowed");
    }
    if host.contains('@') {
        return invalid("has a user in it");
    }
    let (name, port) = split_host_port(host);
    let Some(name) = name.filter(|name| is_host(name)) else {
        return invalid("names no host, or one in an unusual form");
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse().is_ok_and(|port: u16| port > 0)
    };
    if port.is_some_and(|port| !is_port(port)) {
        return invalid("has no usable port");
    }
    let is_listed = |listed: &String| {
        let listed = listed.to_ascii_lowercase();
        listed == host || listed == name
    };
    if !settings.endpoints.is_empty() && !settings.endpoints.iter().any(is_listed) {
        return invalid("is not one of the endpoints that --audit-endpoints allows");
    }
    Ok(format!("{scheme}://{host}"))
}

/// Host and port. An IPv6 address loses its brackets.
pub(super) fn split_host_port(host: &str) -> (Option<&str>, Option<&str>) {
    if host.starts_with('[') {
        let Some((address, rest)) = host.split_once(']') else { return (None, None) };
        let inner = address.strip_prefix('[');
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => (inner, None),
            (_, Some(port)) => (inner, Some(port)),
            _ => (None, None),
        };
    }
    match host.split_once(':') {
        Some((name, port)) => (Some(name), Some(port)),
        None => (Some(host), None),
    }
}

/// Whether the text is a DNS name or an IP address in the usual form. Numbers that some programs
/// accept as an IPv4 address (`0x7f.1`, `2130706433`, `127.1`, `0177.0.0.1`) are neither.
fn is_host(name: &str) -> bool {
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            && !label.starts_with('-')
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.chars().all(|c| c.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()));
    name.len() <= 253 && name.split('.').all(is_label) && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_endpoint_is_not_repeated() {
        for endpoint in
            ["https://user:canary@s3.example.com", "https://user:canary/x@s3 .example.com"]
        {
            let error = normalize(endpoint, &Settings::default()).unwrap_err();
            assert!(error.contains('…') && !error.contains("canary"), "{error}");
        }
    }
}
