//! The `continue` token: the position of the next page of a list.
//!
//! It has upstream's format: base64url of JSON with version, revision and start key.

use apimachinery::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

const VERSION: &str = "meta.k8s.io/v1";
/// The `rv` of a token that continues at the newest revision, because the revision of the list is
/// compacted.
const NEWEST: i64 = -1;

/// A position in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContinueToken {
    /// The revision of the list; `None` for the newest.
    pub(super) revision: Option<u64>,
    /// The last key of the previous page, relative to the prefix of the list.
    pub(super) after: String,
}

#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

impl ContinueToken {
    pub(super) fn encode(&self) -> String {
        let rv = self.revision.map_or(NEWEST, |revision| i64::try_from(revision).unwrap_or(NEWEST));
        let start = format!("{}\0", self.after);
        let token = Token { v: VERSION.to_owned(), rv, start };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    pub(super) fn decode(text: &str) -> Result<Self, ApiError> {
        let invalid =
            |why: &str| ApiError::bad_request(format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|error| invalid(&error.to_string()))?;
        let token: Token =
            serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))?;
        if token.v != VERSION {
            return Err(invalid(&format!(
                "server does not recognize this encoded version {:?}",
                token.v
            )));
        }
        if token.start.is_empty() {
            return Err(invalid("encoded start key empty"));
        }
        let after = token.start.strip_suffix('\0').unwrap_or(&token.start).to_owned();
        if after.starts_with('/') || after.split('/').any(|piece| piece == "..") {
            return Err(invalid(&token.start));
        }
        let revision = match token.rv {
            NEWEST => None,
            0 => return Err(invalid("incorrect encoded start resourceVersion (0)")),
            rv => Some(u64::try_from(rv).map_err(|error| invalid(&error.to_string()))?),
        };
        Ok(Self { revision, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_a_round_trip() {
        for token in [
            ContinueToken { revision: Some(7), after: "shop/rp-1".to_owned() },
            ContinueToken { revision: None, after: "rp-1".to_owned() },
        ] {
            assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
        }
    }

    #[test]
    fn a_foreign_token_is_rejected() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for invalid in [
            "%%%".to_owned(),
            encode("{}"),
            encode(r#"{"v":"meta.k8s.io/v2","rv":1,"start":"a"}"#),
            encode(r#"{"v":"meta.k8s.io/v1","rv":1,"start":""}"#),
            encode(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#),
            encode(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../a"}"#),
        ] {
            let error = ContinueToken::decode(&invalid).unwrap_err();
            assert_eq!(error.status.reason, "BadRequest", "{invalid}");
            assert!(error.status.message.starts_with("continue key is not valid"), "{invalid}");
        }
    }
}
