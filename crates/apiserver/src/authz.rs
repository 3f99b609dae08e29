//! Authorization: a union of authorizers.
//!
//! [`union`] calls its members in order; [`sar`] calls kube-apiserver; [`rbac`] evaluates
//! manifests.

pub mod attributes;
pub mod rbac;
pub mod sar;
pub mod union;

pub use rbac::Rbac;
pub use sar::SubjectAccessReviews;
pub use union::Union;
