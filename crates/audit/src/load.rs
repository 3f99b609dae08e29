//! Loads a [`Policy`] from YAML or JSON and reports errors with their lines.
//!
//! As in kube-apiserver, an unknown or duplicate field is a warning and every other fault is an
//! error. The caller reads the file.

use std::fmt;

use event::Json;

use crate::{Policy, decode, validate, yaml};

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
pub struct Loaded {
    /// The validated policy.
    pub policy: Policy,
    /// Unknown and duplicate fields. Empty with [`Strictness::Strict`].
    pub warnings: Vec<FieldError>,
}

/// A fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Line in the file, from 1.
    pub line: usize,
    /// Path of the field, such as `rules[0].level`.
    pub field: String,
    /// Description of the fault, in Kubernetes' words where Kubernetes reports it.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.field, self.message)
    }
}

/// Why a policy cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The policy is longer than [`POLICY_LEN_MAX`].
    #[error("the policy is {len} bytes long; at most {POLICY_LEN_MAX} are read")]
    TooLong {
        /// Length of the policy in bytes.
        len: usize,
    },
    /// The text is neither YAML nor JSON, is not UTF-8, or exceeds the limits of depth and nodes.
    #[error("line {line}: {message}")]
    Syntax {
        /// Line of the error, from 1.
        line: usize,
        /// Message of the parser.
        message: String,
    },
    /// The document is not a `Policy` of `audit.k8s.io/v1`.
    #[error(
        "unknown group version or kind: apiVersion {api_version:?}, kind {kind:?}; \
         a policy has apiVersion \"audit.k8s.io/v1\" and kind \"Policy\""
    )]
    Kind {
        /// Value in the document; empty if missing.
        api_version: String,
        /// Value in the document; empty if missing.
        kind: String,
    },
    /// A field has a value of the wrong type.
    #[error("{0}")]
    Type(FieldError),
    /// Fields have values that Kubernetes rejects. Contains all faults of the policy.
    #[error("{}", list(.0))]
    Invalid(Vec<FieldError>),
    /// Unknown or duplicate fields, with [`Strictness::Strict`].
    #[error("{}", list(.0))]
    Strict(Vec<FieldError>),
    /// The policy has no rules.
    #[error("loaded illegal policy with 0 rules")]
    NoRules,
}

fn list(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Policy {
    /// Decodes and validates a policy in YAML or JSON.
    pub fn load(text: &[u8], strictness: Strictness) -> Result<Loaded, LoadError> {
        if text.len() > POLICY_LEN_MAX {
            return Err(LoadError::TooLong { len: text.len() });
        }
        let (draft, warnings) = decode::draft(yaml::parse(checked(text)?)?)?;
        if strictness == Strictness::Strict && !warnings.is_empty() {
            return Err(LoadError::Strict(warnings));
        }
        Ok(Loaded { policy: validate::policy(draft)?, warnings })
    }
}

/// Checks the encoding of a policy. A text that starts like JSON must be valid JSON: Kubernetes
/// tells JSON from YAML by the first character, and YAML would accept more.
fn checked(text: &[u8]) -> Result<&str, LoadError> {
    let line_of =
        |offset: usize| 1 + memchr::memchr_iter(b'\n', text.get(..offset).unwrap_or(text)).count();
    let found = std::str::from_utf8(text).map_err(|error| LoadError::Syntax {
        line: line_of(error.valid_up_to()),
        message: "invalid UTF-8".to_owned(),
    })?;
    if found.trim_start().starts_with('{')
        && let Err(error) = Json::parse(bytes::Bytes::copy_from_slice(text))
    {
        let line = match error {
            event::JsonError::Syntax { offset, .. } => line_of(offset),
            event::JsonError::Value(_) => 1,
        };
        return Err(LoadError::Syntax { line, message: error.to_string() });
    }
    Ok(found.strip_prefix('\u{feff}').unwrap_or(found))
}
