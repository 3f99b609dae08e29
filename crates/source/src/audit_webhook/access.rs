//! Which senders are accepted: those with a token of the file or a client certificate of the CA.
//!
//! kube-apiserver reads its kubeconfig only at its start, so a rotation needs a time in which the
//! old and the new token are valid: the file may have several.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apiserver::trust::{CaBundle, TrustError};
use arc_swap::{ArcSwap, ArcSwapOption};
use event::Timestamp;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use rustls::pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};

use super::refusals::Refusal;
use crate::limits::{TOKEN_BYTES_MIN, TOKENS_MAX};

/// Why a file of credentials cannot be used. Never contains a token.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The token file is missing or not readable.
    #[error("cannot read the token file {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The token file has no token, or one that is too short, or too many.
    #[error(
        "{} needs 1 to {TOKENS_MAX} tokens of at least {TOKEN_BYTES_MIN} characters, one a line, \
         without spaces",
        path.display()
    )]
    Tokens {
        /// Path of the file.
        path: PathBuf,
    },
    /// The CA file cannot be used.
    #[error(transparent)]
    Ca(#[from] TrustError),
}

/// Why the credentials of a request are not accepted.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// The error, without a text of the sender.
    pub(super) detail: String,
}

impl Refused {
    fn new(refusal: Refusal, detail: &str) -> Self {
        Self { refusal, detail: detail.to_owned() }
    }
}

/// The SHA-256 of a token. Comparing digests takes a time that tells nothing about the token.
type TokenDigest = [u8; 32];

/// The credentials that are accepted.
pub(super) struct Access {
    token_file: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
    tokens: ArcSwap<Vec<TokenDigest>>,
    client_ca: ArcSwapOption<CaBundle>,
}

impl Access {
    /// Loads the files. Without any file, no sender is accepted.
    pub(super) fn open(
        token_file: Option<PathBuf>,
        client_ca_file: Option<PathBuf>,
    ) -> Result<Self, AccessError> {
        let (tokens, client_ca) = (ArcSwap::default(), ArcSwapOption::empty());
        let access = Self { token_file, client_ca_file, tokens, client_ca };
        access.reload()?;
        Ok(access)
    }

    /// Loads the files again. After an error, the old content stays in use.
    pub(super) fn reload(&self) -> Result<(), AccessError> {
        let tokens = self.token_file.as_deref().map(tokens).transpose()?;
        let client_ca = self.client_ca_file.as_deref().map(CaBundle::from_file).transpose()?;
        self.tokens.store(Arc::new(tokens.unwrap_or_default()));
        self.client_ca.store(client_ca.map(Arc::new));
        Ok(())
    }

    /// Checks the credentials of a request. `chain` is the client's certificate chain, leaf first.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<(), Refused> {
        let token = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        if token.is_some_and(|value| self.has_token(value)) {
            return Ok(());
        }
        let certificate = self.check_certificate(chain, now);
        match (certificate, token) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(_)) => Err(Refused::new(Refusal::Token, "")),
            (Err(_), None) if chain.is_empty() => Err(Refused::new(Refusal::NoCredentials, "")),
            (Err(error), None) => Err(Refused::new(Refusal::Certificate, &error)),
        }
    }

    fn has_token(&self, value: &[u8]) -> bool {
        let Some(token) = bearer(value) else { return false };
        let digest: TokenDigest = Sha256::digest(token).into();
        self.tokens.load().contains(&digest)
    }

    /// Checks a client certificate. The error names no text of the certificate.
    fn check_certificate(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<(), String> {
        let client_ca = self.client_ca.load_full();
        let client_ca = client_ca.ok_or_else(|| "there is no CA for clients".to_owned())?;
        let seconds = u64::try_from(now.as_micros() / 1_000_000).unwrap_or_default();
        client_ca.verify(chain, UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The token of a header. The scheme is case-insensitive.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// The digests of the tokens in a file.
fn tokens(path: &Path) -> Result<Vec<TokenDigest>, AccessError> {
    let text = std::fs::read(path)
        .map_err(|source| AccessError::Read { path: path.to_owned(), source })?;
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let tokens: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    let is_token =
        |token: &&[u8]| token.len() >= TOKEN_BYTES_MIN && token.iter().all(u8::is_ascii_graphic);
    if tokens.is_empty() || tokens.len() > TOKENS_MAX || !tokens.iter().all(is_token) {
        return Err(AccessError::Tokens { path: path.to_owned() });
    }
    Ok(tokens.into_iter().map(|token| Sha256::digest(token).into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_needs_long_tokens_one_a_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in [
            ("0123456789abcdef\n", Some(1)),
            ("\n0123456789abcdef\r\n0123456789abcdeg\n", Some(2)),
            ("", None),
            ("\n\n", None),
            ("0123456789abcde\n", None),
            ("0123456789 abcdef\n", None),
            ("0123456789abcdéf\n", None),
        ] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(tokens(file.path()).ok().map(|tokens| tokens.len()), expected, "{text:?}");
        }
        std::fs::write(file.path(), "0123456789abcdef\n".repeat(TOKENS_MAX + 1)).unwrap();
        assert!(tokens(file.path()).is_err());
    }

    #[test]
    fn only_a_whole_token_of_the_file_is_accepted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef\nfedcba9876543210\n").unwrap();
        let access = Access::open(Some(file.path().to_owned()), None).unwrap();
        for (value, expected) in [
            ("Bearer 0123456789abcdef", true),
            ("bearer  fedcba9876543210 ", true),
            ("Bearer 0123456789abcde", false),
            ("Bearer 0123456789abcdef0", false),
            ("Bearer ", false),
            ("Bearer", false),
            ("Basic 0123456789abcdef", false),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            let actual = access.check(&headers, &[], Timestamp::default());
            let refusal = actual.map_err(|refused| refused.refusal).err();
            assert_eq!(refusal, (!expected).then_some(Refusal::Token), "{value:?}");
        }
        let actual = access.check(&HeaderMap::new(), &[], Timestamp::default());
        assert_eq!(actual.map_err(|refused| refused.refusal), Err(Refusal::NoCredentials));
    }
}
