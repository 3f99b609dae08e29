//! Loads a [`Policy`] from YAML or JSON and reports errors with their lines.
//!
//! As in kube-apiserver, an unknown or duplicate field is a warning, and every other
//! fault is an error. The caller reads the file.

use event::Json;

use crate::{FieldError, LoadError, Policy, decode, validate, yaml};

/// Maximum length of a policy, in bytes. Kubernetes reads up to 3 MiB of YAML.
pub const POLICY_LEN_MAX: usize = 3 * 1024 * 1024;

/// Handling of unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Return a warning and load the policy, as kube-apiserver does.
    #[default]
    Kubernetes,
    /// Reject the policy.
    Strict,
}

/// A loaded policy and its warnings.
#[derive(Clone, Debug)]
pub struct LoadedPolicy {
    /// The validated policy.
    pub policy: Policy,
    /// Unknown and duplicate fields. Empty with [`Strictness::Strict`].
    pub warnings: Vec<FieldError>,
}

impl Policy {
    /// Decodes and validates a policy in YAML or JSON.
    pub fn load(text: &[u8], strictness: Strictness) -> Result<LoadedPolicy, LoadError> {
        if text.len() > POLICY_LEN_MAX {
            return Err(LoadError::TooLong { len: text.len() });
        }
        let (draft, warnings) = decode::draft(yaml::parse(check_encoding(text)?)?)?;
        if strictness == Strictness::Strict && !warnings.is_empty() {
            return Err(LoadError::Strict(warnings));
        }
        Ok(LoadedPolicy { policy: validate::policy(draft)?, warnings })
    }
}

/// Checks the encoding of a policy. A text that starts like JSON must be valid JSON: Kubernetes
/// distinguishes JSON from YAML by the first character, and YAML would accept more.
fn check_encoding(text: &[u8]) -> Result<&str, LoadError> {
    let line_of =
        |offset: usize| 1 + memchr::memchr_iter(b'\n', text.get(..offset).unwrap_or(text)).count();
    let decoded = std::str::from_utf8(text).map_err(|error| LoadError::Syntax {
        line: line_of(error.valid_up_to()),
        message: "invalid UTF-8".to_owned(),
    })?;
    if decoded.trim_start().starts_with('{')
        && let Err(error) = Json::parse(bytes::Bytes::copy_from_slice(text))
    {
        let line = match error {
            event::JsonError::Syntax { offset, .. } => line_of(offset),
            event::JsonError::Value(_) => 1,
        };
        return Err(LoadError::Syntax { line, message: error.to_string() });
    }
    Ok(decoded.strip_prefix('\u{feff}').unwrap_or(decoded))
}
