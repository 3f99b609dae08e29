//! Who decides what a user may do: a union of those who know.
//!
//! [`union`] asks one after the other; [`sar`] asks kube-apiserver; [`rbac`] reads manifests.

pub mod rbac;
pub mod sar;
pub mod union;

pub use rbac::Rbac;
pub use sar::SubjectAccessReviews;
pub use union::Union;
