//! The error for an invalid command line.

use std::fmt;

use kasten::{Installation, InstallationError};

/// Invalid or contradicting flags, each named in its message.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) Vec<String>);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for UsageError {}

/// The installation of K10 that the flags describe.
pub(crate) fn installation(domain: &str, namespace: &str) -> Result<Installation, UsageError> {
    Installation::new(domain, namespace).map_err(|error| {
        let flag = match error {
            InstallationError::Domain => format!("--k10-api-domain={domain}"),
            InstallationError::Namespace => format!("--k10-namespace={namespace}"),
        };
        UsageError(vec![format!("{flag} {error}")])
    })
}
