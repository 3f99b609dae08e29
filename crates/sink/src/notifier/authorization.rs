//! The `Authorization` header: a bearer token, or a user and a password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::OpenError;

/// The `Authorization` header for a secret.
///
/// `user:password` is HTTP basic authentication; any other text is a bearer token, which cannot
/// contain a colon (RFC 6750). A text that begins with `Basic ` or `Bearer ` is used as it is.
pub(super) fn header(secret: &SecretString) -> Result<HeaderValue, OpenError> {
    let text = secret.expose_secret().trim();
    let has_scheme = |scheme: &str| {
        text.get(..scheme.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(scheme))
    };
    let value = if text.is_empty() {
        return Err(OpenError::Secret { reason: "is empty: it holds a token or user:password" });
    } else if has_scheme("Basic ") || has_scheme("Bearer ") {
        text.to_owned()
    } else if text.contains(':') {
        format!("Basic {}", STANDARD.encode(text))
    } else {
        format!("Bearer {text}")
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| OpenError::Secret {
        reason: "holds characters that a header cannot have: it is one line of text",
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_secret_selects_the_scheme() {
        for (secret, expected) in [
            ("abc.def-1", Some("Bearer abc.def-1")),
            ("alice:s3cret\n", Some("Basic YWxpY2U6czNjcmV0")),
            ("bearer abc", Some("bearer abc")),
            ("Basic YWxpY2U6eA==", Some("Basic YWxpY2U6eA==")),
            ("", None),
            ("two\nlines", None),
        ] {
            let header = header(&SecretString::from(secret));
            let actual = header.as_ref().ok().map(|value| value.to_str().unwrap());
            assert_eq!(actual, expected);
            assert!(!format!("{header:?}").contains("abc"));
        }
    }
}
