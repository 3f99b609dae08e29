//! URIs that are longer than the libraries hold: the head is made shorter, so that the request is
//! answered and recorded like any other.
//!
//! hyper refuses a head of HTTP/1 with such a URI by itself, without a word to the audit. It is held
//! back, and the same head is read again with as much of its URI as [`URI_BYTES_MAX`] lets pass and
//! a byte more: `serve` says 414 to that. What of the body has come is not read, and the connection
//! ends with the answer.

use bytes::Bytes;

use crate::limits::URI_BYTES_MAX;

/// Bytes of a URI that are kept, so that it is still too long.
const KEPT: usize = URI_BYTES_MAX + 1;

/// What is between scheme and host.
const SCHEME_END: &[u8] = b"://";

/// Headers that say how the message goes on. It does not.
const FRAMING: [&str; 6] =
    ["connection", "content-length", "expect", "te", "transfer-encoding", "upgrade"];

/// The head with a shorter URI; `None` if its URI is not too long, or it is no head.
pub(super) fn shortened(head: &[u8]) -> Option<Bytes> {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let mut lines = head.get(start..)?.split_inclusive(|byte| *byte == b'\n');
    let mut words = lines.next()?.trim_ascii_end().splitn(3, |byte| *byte == b' ');
    let (method, uri, version) = (words.next()?, words.next()?, words.next()?);
    if !version.starts_with(b"HTTP/1.") {
        return None;
    }
    let kept = uri.get(path_start(uri)?..)?.get(..KEPT)?;
    let mut short = [method, b" ", kept, b" ", version, b"\r\n"].concat();
    let mut has_ended = false;
    for line in lines {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            has_ended = true;
            break;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if !FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing.as_bytes())) {
            short.extend_from_slice(line);
            short.extend_from_slice(b"\r\n");
        }
    }
    short.extend_from_slice(b"Connection: close\r\n\r\n");
    has_ended.then(|| Bytes::from(short))
}

/// Where the path begins: behind scheme and host, if there are any. What is kept must be too long
/// without them, or else it would be served with its end cut off.
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
        let found = shortened(head.as_bytes());
        let found = found.map(|head| String::from_utf8(head.to_vec()).unwrap());
        assert_eq!(found.as_deref(), expected, "{}", head.get(..80).unwrap_or(head));
    }

    #[test]
    fn only_a_head_whose_uri_is_too_long_is_made_shorter() {
        let long = "x".repeat(70_000);
        let kept = "x".repeat(KEPT - 1);
        check(
            &format!("\r\nGET /{long} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
            Some(&format!("GET /{kept} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")),
        );
        check(
            &format!("POST /{long} HTTP/1.0\nX: 1\nTRANSFER-encoding: chunked\nConnection: y\n\n"),
            Some(&format!("POST /{kept} HTTP/1.0\r\nX: 1\r\nConnection: close\r\n\r\n")),
        );
        check(
            &format!("GET https://host:443/{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            Some(&format!("GET /{kept} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")),
        );
        check(&format!("GET https://{long}/ HTTP/1.1\r\nHost: a\r\n\r\n"), None);
        check("GET / HTTP/1.1\r\n\r\n", None);
        check(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n"), None);
        check(&format!("GET /{long}\r\n\r\n"), None);
        check(&format!("GET /{long} SPDY\r\n\r\n"), None);
        check("", None);
    }
}
