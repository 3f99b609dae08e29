//! Google's environment variables, as its SDKs read them.

use anyhow::{Context as _, Result};
use objectstore::Credentials;

/// The key in the file of `GOOGLE_APPLICATION_CREDENTIALS`, or else the service account of the pod
/// or the machine.
#[expect(clippy::disallowed_methods, reason = "the one place where Google's variables are read")]
pub(crate) fn credentials() -> Result<Credentials> {
    let file = std::env::var("GOOGLE_APPLICATION_CREDENTIALS").ok().filter(|file| !file.is_empty());
    let Some(file) = file else { return Ok(Credentials::GcpMetadataServer) };
    let json = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    Ok(Credentials::GcpServiceAccount { json: json.into() })
}
