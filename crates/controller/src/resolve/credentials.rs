//! Reads the Secrets of K10's profiles as Kanister does.
//!
//! Unknown keys are rejected, as in K10: a misspelt `role` must not be ignored. Without a Secret
//! the server uses its own identity: a projected token, or a metadata service. The keys of each
//! provider are in `providers`.

use objectstore::Credentials;
use secrecy::{ExposeSecret as _, SecretString};

use super::providers::ProfileProvider;
use crate::objects::SecretData;
use crate::settings::Settings;

/// The credentials in a profile's Secret. Errors about the Secret begin with `key`.
pub(super) fn read(
    provider: &ProfileProvider,
    secret_type: Option<&str>,
    secret: Option<&SecretData>,
    settings: &Settings,
) -> Result<Credentials, Vec<String>> {
    let expected = provider.secret_type;
    if let Some(configured) =
        secret_type.filter(|configured| !configured.is_empty() && *configured != expected)
    {
        return Err(vec![format!(
            "spec.locationSpec.credential.secretType is {configured:?}, and this kind of store takes \
             {expected}"
        )]);
    }
    let none = SecretData::default();
    let mut reader = SecretReader { secret: secret.unwrap_or(&none), errors: Vec::new() };
    let credentials = (provider.credentials)(&mut reader, settings);
    if reader.errors.is_empty() { Ok(credentials) } else { Err(reader.errors) }
}

/// Reads a Secret and collects its errors.
pub(super) struct SecretReader<'a> {
    secret: &'a SecretData,
    errors: Vec<String>,
}

impl SecretReader<'_> {
    /// Whether it has no keys.
    pub(super) fn is_empty(&self) -> bool {
        self.secret.values.is_empty()
    }

    /// Rejects other keys than these. The error does not quote them, because a name may be a value
    /// by mistake.
    pub(super) fn check_keys(&mut self, known: &[&str]) {
        if self.secret.values.keys().any(|key| !known.contains(&key.as_str())) {
            let known = known.join(", ");
            self.errors.push(format!("key with another name than {known}: rename or remove it"));
        }
    }

    /// The value of a key. An empty one counts as missing.
    pub(super) fn secret(&mut self, key: &str) -> Option<SecretString> {
        let Some(value) = self.secret.values.get(key)? else {
            self.errors.push(format!("key {key} is not text"));
            return None;
        };
        Some(value.clone()).filter(|value| !value.expose_secret().is_empty())
    }

    /// A value that is not secret.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.secret(key).map(|value| value.expose_secret().to_owned())
    }

    /// Adds an error.
    pub(super) fn error(&mut self, error: String) {
        self.errors.push(error);
    }

    /// Records that a key is missing.
    pub(super) fn missing(&mut self, key: &str) -> Credentials {
        self.errors.push(format!("key {key} is missing"));
        Credentials::None
    }
}
