//! The files with which the proxy authenticates itself, and with which it verifies the upstream.
//!
//! They are reread, because tokens of service accounts live an hour and certificates are rotated.
//! A file that can no longer be read changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderValue;

use crate::client::ConfigError;

/// How often the files are reread.
pub const RELOAD_PERIOD: Duration = Duration::from_secs(10);
/// Maximum size of a file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The names of the files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) token: Option<PathBuf>,
    /// Client certificate and key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// Their content.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Files {
    /// Reads all files.
    pub(crate) fn read(&self) -> Result<Contents, ConfigError> {
        let optional = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
        let identity = match &self.identity {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        Ok(Contents { ca: optional(&self.ca)?, token: optional(&self.token)?, identity })
    }
}

impl Contents {
    /// The header with the token, if there is one.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some(token) = &self.token else { return Ok(None) };
        let token = token.trim_ascii();
        if token.is_empty() {
            return Err("the token file is empty".to_owned());
        }
        let text = [b"Bearer ".as_slice(), token].concat();
        let mut value = HeaderValue::from_bytes(&text)
            .map_err(|_| "the token file does not contain one token".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(std::io::Error::other("the file is too large")));
    }
    std::fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_header_value_without_white_space_around_it() {
        let check = |token: &str, expected: Option<&str>| {
            let contents = Contents { token: Some(token.into()), ..Contents::default() };
            let header = contents.authorization().ok().flatten();
            assert_eq!(header.as_ref().map(HeaderValue::as_bytes), expected.map(str::as_bytes));
        };
        check("abc\n", Some("Bearer abc"));
        check(" \n", None);
        check("abc\ndef", None);
    }
}
