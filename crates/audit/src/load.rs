//! A policy file becomes a [`Policy`], or it is said what is wrong with it and where.
//!
//! As kube-apiserver does it: unknown and repeated fields are one warning, everything else that is
//! wrong is an error. Reading the file is the caller's business.

use std::fmt;

use event::Json;

use crate::{Policy, decode, validate, yaml};

/// Longest policy that is read, in bytes. Kubernetes reads up to 3 MiB of YAML.
pub const POLICY_LEN_MAX: usize = 3 * 1024 * 1024;

/// What is done about fields that are unknown or come twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Warn and go on, as kube-apiserver does.
    #[default]
    Kubernetes,
    /// Refuse the policy.
    Strict,
}

/// A policy that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// Unknown and repeated fields, which have no effect.
    pub warnings: Vec<FieldError>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Line in the file, counted from 1.
    pub line: usize,
    /// Path, such as `rules[0].level`.
    pub field: String,
    /// Kubernetes' words for it.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.field, self.message)
    }
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Larger than [`POLICY_LEN_MAX`].
    #[error("the policy is {len} bytes long; at most {POLICY_LEN_MAX} are read")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// Neither YAML nor JSON.
    #[error("line {line}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Not a policy of the one version there is.
    #[error(
        "unknown group version or kind: apiVersion {api_version:?}, kind {kind:?}; \
         a policy has apiVersion \"audit.k8s.io/v1\" and kind \"Policy\""
    )]
    Kind {
        /// As found.
        api_version: String,
        /// As found.
        kind: String,
    },
    /// A value of another type than its field.
    #[error("{0}")]
    Type(FieldError),
    /// Values that a policy may not have.
    #[error("{}", list(.0))]
    Invalid(Vec<FieldError>),
    /// Unknown or repeated fields where they are not tolerated.
    #[error("{}", list(.0))]
    Strict(Vec<FieldError>),
    /// A policy that decides nothing.
    #[error("loaded illegal policy with 0 rules")]
    NoRules,
}

fn list(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Policy {
    /// Reads a policy in YAML or JSON.
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

/// The text, if it can be. What begins like JSON must be JSON: that is how Kubernetes tells it from
/// YAML, which would allow more.
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
