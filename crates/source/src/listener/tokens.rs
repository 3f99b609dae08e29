//! A file of bearer tokens, one a line.
//!
//! kube-apiserver reads its kubeconfig only at its start, so a rotation needs a time in which the
//! old and the new token are valid: the file may have several. After a change, a token that is no
//! longer in the file is not accepted, whatever else is wrong with the file.

use std::io;
use std::path::PathBuf;

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};

use crate::limits::{TOKEN_BYTES_MIN, TOKENS_MAX};

/// Why a token file cannot be used. Never contains a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is missing or not readable.
    #[error("cannot read the token file {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// It has no token, or one that is not valid, or too many.
    #[error(
        "{} needs 1 to {TOKENS_MAX} tokens of at least {TOKEN_BYTES_MIN} characters, one a line, \
         without spaces",
        path.display()
    )]
    Content {
        /// Path of the file.
        path: PathBuf,
    },
}

/// The SHA-256 of a token. Comparing digests takes a time that tells nothing about the token.
type TokenDigest = [u8; 32];

/// A file of tokens, and the tokens that it had when it was loaded.
pub(super) struct TokenFile {
    path: PathBuf,
    tokens: ArcSwap<Vec<TokenDigest>>,
}

impl TokenFile {
    /// Loads a file, which needs a valid content.
    pub(super) fn open(path: PathBuf) -> Result<Self, TokenError> {
        let file = Self::empty(path);
        match std::fs::read(&file.path) {
            Ok(text) => file.store(&text)?,
            Err(source) => return Err(TokenError::Read { path: file.path, source }),
        }
        if file.tokens.load().is_empty() {
            return Err(TokenError::Content { path: file.path });
        }
        Ok(file)
    }

    /// A file that does not exist yet.
    pub(super) fn empty(path: PathBuf) -> Self {
        Self { path, tokens: ArcSwap::default() }
    }

    /// Loads the file again. A file that does not exist has no tokens; one that cannot be read
    /// keeps them.
    pub(super) fn reload(&self) -> Result<(), TokenError> {
        match std::fs::read(&self.path) {
            Ok(text) => self.store(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.store(b""),
            Err(source) => Err(TokenError::Read { path: self.path.clone(), source }),
        }
    }

    /// Whether the file has this token.
    pub(super) fn contains(&self, token: &[u8]) -> bool {
        let digest: TokenDigest = Sha256::digest(token).into();
        self.tokens.load().contains(&digest)
    }

    /// Replaces the tokens by those of a text. After an error these are the valid ones.
    fn store(&self, text: &[u8]) -> Result<(), TokenError> {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines: Vec<&[u8]> =
            lines.filter(|line| !line.is_empty()).take(TOKENS_MAX + 1).collect();
        let is_token = |token: &&&[u8]| {
            token.len() >= TOKEN_BYTES_MIN && token.iter().all(u8::is_ascii_graphic)
        };
        let valid = lines.iter().take(TOKENS_MAX).filter(is_token);
        let tokens: Vec<TokenDigest> = valid.map(|token| Sha256::digest(token).into()).collect();
        let is_complete = tokens.len() == lines.len();
        self.tokens.store(tokens.into());
        if is_complete { Ok(()) } else { Err(TokenError::Content { path: self.path.clone() }) }
    }
}

/// The token of a header. The scheme is case-insensitive.
pub(super) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_needs_long_tokens_one_a_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || TokenFile::open(file.path().to_owned());
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
            let actual = open().ok().map(|file| file.tokens.load().len());
            assert_eq!(actual, expected, "{text:?}");
        }
        std::fs::write(file.path(), "0123456789abcdef\n".repeat(TOKENS_MAX + 1)).unwrap();
        assert!(open().is_err());
        std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
        let loaded = open().unwrap();
        std::fs::write(file.path(), "").unwrap();
        loaded.reload().unwrap();
        assert!(!loaded.contains(b"0123456789abcdef"), "an empty file revokes its tokens");
    }
}
