//! Shortens URIs that exceed the limits of the libraries, so that such a request gets a response
//! and an audit event like any other.
//!
//! hyper rejects an HTTP/1 head with such a URI, and no audit event is written. Its response is
//! withheld, and the same head is parsed again with its URI cut to one byte more than
//! [`URI_BYTES_MAX`]; `serve` rejects it with 414. Any body is not read, and the connection closes
//! after the response.

use bytes::Bytes;

use crate::limits::URI_BYTES_MAX;

/// Length to which a URI is cut, in bytes; still too long.
const CUT_LEN: usize = URI_BYTES_MAX + 1;

/// Separator between scheme and host.
const SCHEME_END: &[u8] = b"://";

/// Headers about the body and the connection. They are removed, because no body follows.
const FRAMING: [&str; 6] =
    ["connection", "content-length", "expect", "te", "transfer-encoding", "upgrade"];

/// Returns the head with a shorter URI; `None` if the URI is not too long or the input is not a
/// request head.
pub(super) fn shortened(head: &[u8]) -> Option<Bytes> {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let mut lines = head.get(start..)?.split_inclusive(|byte| *byte == b'\n');
    let mut fields = lines.next()?.trim_ascii_end().splitn(3, |byte| *byte == b' ');
    let (method, uri, version) = (fields.next()?, fields.next()?, fields.next()?);
    if !version.starts_with(b"HTTP/1.") {
        return None;
    }
    let cut_uri = uri.get(path_start(uri)?..)?.get(..CUT_LEN)?;
    let mut shortened_head = [method, b" ", cut_uri, b" ", version, b"\r\n"].concat();
    let mut has_ended = false;
    for line in lines {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            has_ended = true;
            break;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if !FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing.as_bytes())) {
            shortened_head.extend_from_slice(line);
            shortened_head.extend_from_slice(b"\r\n");
        }
    }
    shortened_head.extend_from_slice(b"Connection: close\r\n\r\n");
    has_ended.then(|| Bytes::from(shortened_head))
}

/// Start of the path, after scheme and host. The cut URI must be too long without them; otherwise
/// the request would be served with a truncated path.
fn path_start(uri: &[u8]) -> Option<usize> {
    if uri.starts_with(b"/") {
        return Some(0);
    }
    let host = uri.windows(SCHEME_END.len()).position(|bytes| bytes == SCHEME_END)?;
    let host = host + SCHEME_END.len();
    uri.get(host..)?.iter().position(|byte| *byte == b'/').map(|len| host + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Option<&str>) {
        let actual = shortened(head.as_bytes());
        let actual = actual.map(|head| String::from_utf8(head.to_vec()).unwrap());
        assert_eq!(actual.as_deref(), expected, "{}", head.get(..80).unwrap_or(head));
    }

    #[test]
    fn only_a_head_with_a_too_long_uri_is_shortened() {
        let long = "x".repeat(70_000);
        let cut_uri = "x".repeat(CUT_LEN - 1);
        check(
            &format!("\r\nGET /{long} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
            Some(&format!("GET /{cut_uri} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")),
        );
        check(
            &format!("POST /{long} HTTP/1.0\nX: 1\nTRANSFER-encoding: chunked\nConnection: y\n\n"),
            Some(&format!("POST /{cut_uri} HTTP/1.0\r\nX: 1\r\nConnection: close\r\n\r\n")),
        );
        check(
            &format!("GET https://host:443/{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            Some(&format!("GET /{cut_uri} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")),
        );
        check(&format!("GET https://{long}/ HTTP/1.1\r\nHost: a\r\n\r\n"), None);
        check("GET / HTTP/1.1\r\n\r\n", None);
        check(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n"), None);
        check(&format!("GET /{long}\r\n\r\n"), None);
        check(&format!("GET /{long} SPDY\r\n\r\n"), None);
        check("", None);
    }
}
