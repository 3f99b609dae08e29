//! Removes the tokens of the admission webhook from texts that are recorded.
//!
//! kube-apiserver sends no credentials to a webhook unless it is configured for that, so a token may
//! be a part of the webhook's path. kube-apiserver's own events have it then: in the bodies of a
//! `ValidatingWebhookConfiguration`, also as text in an annotation of kubectl, and in the error of a
//! request that was rejected because the webhook did not answer. Instead of the token, its digest is
//! recorded, so that a change of the token is still visible.
//!
//! A token is known by its place, not by its value, because other clusters have other tokens:
//! `/admission/<cluster>/<token>` in a URL, or alone as a path. The text is JSON and stays JSON.
//!
//! Deliberately absent: other secrets, which are withheld by the kind of their object.

use std::sync::LazyLock;

use event::limit::digest;
use memchr::memmem::Finder;

use crate::admission_webhook::PATH;
use crate::limits::TOKEN_BYTES_MIN;
use crate::listener::is_cluster_name;

/// Start of the replacement of a token. The beginning of its SHA-256 in hexadecimal follows.
const MARK: &str = "sha256:";
/// Digits of the digest.
const DIGITS: usize = 16;
/// Maximum length of a URL before the path of the webhook, in bytes.
const ORIGIN_BYTES_MAX: usize = 512;

static PATHS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(PATH));

/// Replaces the tokens in a text by their digests. A text that may be cut has a token at its end that
/// may be shorter than a token is.
///
/// The text is copied once however many tokens it has, because any client chooses their number.
pub(crate) fn redact(text: &mut Vec<u8>) {
    let mut redacted = Vec::new();
    let (mut copied, mut from) = (0, 0);
    while let Some(offset) = text.get(from..).and_then(|rest| PATHS.find(rest)) {
        let path = from + offset;
        from = path + PATH.len();
        // Before the first token, the text itself is what precedes the path.
        let before = if copied == 0 {
            text.get(..path).unwrap_or_default()
        } else {
            redacted.extend_from_slice(text.get(copied..path).unwrap_or_default());
            copied = path;
            redacted.as_slice()
        };
        let Some((start, end)) = token(before, text, path) else { continue };
        let Some(token) = text.get(start..end) else { continue };
        let mark = format!("{MARK}{}", digest(token).get(..DIGITS).unwrap_or_default());
        redacted.extend_from_slice(text.get(copied..start).unwrap_or_default());
        redacted.extend_from_slice(mark.as_bytes());
        (copied, from) = (end, end);
    }
    if copied > 0 {
        redacted.extend_from_slice(text.get(copied..).unwrap_or_default());
        *text = redacted;
    }
}

/// Where the token is that follows a path of the webhook; `None` if there is none. `before` is the
/// redacted text before the path.
fn token(before: &[u8], text: &[u8], path: usize) -> Option<(usize, usize)> {
    let origin = before.get(before.len().saturating_sub(ORIGIN_BYTES_MAX)..)?;
    let begin =
        origin.iter().rposition(|byte| is_end(*byte) || *byte == b'\\').map_or(0, |at| at + 1);
    let origin = origin.get(begin..)?;
    if !origin.is_empty() && !origin.starts_with(b"https://") {
        return None;
    }
    let cluster = path + PATH.len();
    let len = memchr::memchr(b'/', text.get(cluster..)?)?;
    let name = text.get(cluster..cluster + len)?;
    if !str::from_utf8(name).is_ok_and(is_cluster_name) {
        return None;
    }
    let start = cluster + len + 1;
    let end = end_of(text, start);
    let token = text.get(start..end)?;
    let is_mark = token.strip_prefix(MARK.as_bytes()).is_some_and(|rest| rest.len() == DIGITS);
    let is_token = token.len() >= TOKEN_BYTES_MIN || (end == text.len() && end > start);
    (is_token && !is_mark).then_some((start, end))
}

/// The end of the part of a path that begins here. Go writes some characters as `\u0026`.
fn end_of(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = text.get(at) {
        at += match escape(&text[at..]) {
            0 if is_end(*byte) || matches!(byte, b'?' | b'#' | b'\\') => break,
            0 => 1,
            len => len,
        };
    }
    at
}

/// The length of an escaped character with which the text begins, in a JSON text that may be in
/// others.
fn escape(text: &[u8]) -> usize {
    let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
    let code = text.get(slashes..slashes + 5).unwrap_or_default();
    let is_code = code.first() == Some(&b'u') && code.iter().skip(1).all(u8::is_ascii_hexdigit);
    if slashes > 0 && is_code { slashes + 5 } else { 0 }
}

/// Whether a byte is in no URL.
fn is_end(byte: u8) -> bool {
    !byte.is_ascii_graphic() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "HUSH-0123456789abcdef";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut actual = text.as_bytes().to_vec();
        redact(&mut actual);
        let once = actual.clone();
        redact(&mut actual);
        assert_eq!(actual, once, "{text} twice");
        let mark = format!("{MARK}{}", digest(TOKEN.as_bytes()).get(..DIGITS).unwrap());
        assert_eq!(String::from_utf8(actual).unwrap(), expected.replace("MARK", &mark), "{text}");
    }

    #[test]
    fn the_token_of_a_webhook_is_replaced_wherever_kube_apiserver_writes_it() {
        for text in [
            r#"{"clientConfig":{"url":"https://keepwatch:9443/admission/prod/TOKEN"}}"#,
            r#"{"clientConfig":{"url":"https://gate/keepwatch/admission/prod/TOKEN?timeout=2s"}}"#,
            r#"{"service":{"path":"/admission/prod-eu.1/TOKEN","port":443}}"#,
            r#"{"last-applied":"{\"path\":\"/admission/prod/TOKEN\"}\n"}"#,
            r#"{"last-applied":"{\"a\":\"{\\\"path\\\":\\\"/admission/prod/TOKEN\\\"}\"}"}"#,
            r#"{"yaml":"url: https://[::1]:9443/admission/prod/TOKEN\n"}"#,
            r#"{"message":"failed calling webhook: Post \"https://a/admission/prod/TOKEN?timeout=2s\": EOF"}"#,
            r#"{"a":"/admission/a/TOKEN","b":"/admission/b/TOKEN"}"#,
            "https://a/admission/prod/TOKEN",
        ] {
            check(&text.replace("TOKEN", TOKEN), &text.replace("TOKEN", "MARK"));
        }
    }

    /// Regression: each token moved the rest of the text, so 3 MiB of them took 13 s.
    #[test]
    fn many_tokens_are_replaced_as_each_alone_and_a_long_text_of_them_is_copied_once() {
        let token_path = format!(" /admission/a/{TOKEN}");
        let long_query =
            format!("https://a/admission/a/{TOKEN}{}?to=/admission/b", "t".repeat(600));
        for text in [
            token_path.repeat(3),
            format!("{long_query}/{TOKEN} /admission/c /admission/d/x{token_path}"),
        ] {
            let mut actual = text.clone().into_bytes();
            redact(&mut actual);
            assert_eq!(String::from_utf8(actual).unwrap(), redacted_one_by_one(&text));
        }
        let times = 3 * 1024 * 1024 / token_path.len();
        check(&token_path.repeat(times), &" /admission/a/MARK".repeat(times));
    }

    /// Replaces one token after the other, from the start of the text each time.
    fn redacted_one_by_one(text: &str) -> String {
        let mut text = text.as_bytes().to_vec();
        let next = |text: &[u8]| {
            memchr::memmem::find_iter(text, PATH).find_map(|path| token(&text[..path], text, path))
        };
        while let Some((start, end)) = next(&text) {
            let mark = format!("{MARK}{}", digest(&text[start..end]).get(..DIGITS).unwrap());
            drop(text.splice(start..end, mark.into_bytes()));
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in [
            r#"{"image":"ghcr.io/org/admission/controller/a-long-name-of-an-image:v1"}"#,
            r#"{"path":"/admission/prod"}"#,
            r#"{"path":"/admission/prod/"}"#,
            r#"{"path":"/admission/prod/short"}"#,
            r#"{"path":"/admission/No Cluster/0123456789abcdef"}"#,
            "",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn a_token_with_escaped_characters_or_at_the_end_of_a_cut_text_leaves_nothing() {
        for text in [
            r#"{"path":"/admission/prod/HUSH\u0026HUSH-0123456789"}"#,
            r#"{"a":"{\"path\":\"/admission/prod/HUSH\\u0026HUSH-0123456789\"}"}"#,
            r#"{"path":"/admission/prod/HUSH"#,
            r#"{"path":"/admission/prod/HUSH/HUSH+HUSH==0123456789"}"#,
        ] {
            let mut actual = text.as_bytes().to_vec();
            redact(&mut actual);
            let actual = String::from_utf8(actual).unwrap();
            assert!(!actual.contains("HUSH") && actual.contains(MARK), "{actual}");
        }
    }
}
