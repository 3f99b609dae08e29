//! The errors of loading a policy.
//!
//! Messages are Kubernetes' where Kubernetes reports the error.

use std::fmt;

use crate::POLICY_LEN_MAX;

/// An error in one field of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Line in the file, from 1.
    pub line: usize,
    /// Path of the field, such as `rules[0].level`.
    pub field: String,
    /// Description of the error, in Kubernetes' words where Kubernetes reports it.
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
    /// Fields have values that Kubernetes rejects. Contains all of them.
    #[error("{}", list(.0))]
    Invalid(Vec<FieldError>),
    /// Unknown or duplicate fields, with [`Strictness::Strict`](crate::Strictness::Strict).
    #[error("{}", list(.0))]
    Strict(Vec<FieldError>),
    /// The policy has no rules.
    #[error("loaded illegal policy with 0 rules")]
    NoRules,
}

fn list(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
