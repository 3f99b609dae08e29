//! Authorization: a union of authorizers.
//!
//! [`union`] asks its members in order; [`sar`] asks kube-apiserver; [`rbac`] reads manifests.

pub mod attributes;
pub mod rbac;
pub mod sar;
pub mod union;

pub use rbac::Rbac;
pub use sar::SubjectAccessReviews;
pub use union::Union;
