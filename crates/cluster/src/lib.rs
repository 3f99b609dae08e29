//! A real Kubernetes control plane on loopback, and Keepwatch behind it, for tests.
//!
//! [`ControlPlane`] is etcd, kube-apiserver and kube-controller-manager as [`assets`] built them;
//! [`Extension`] puts an extension API server behind its aggregator; [`Keepwatch`] is the binary
//! under test and [`SampleApiserver`] Kubernetes' own example, the peer. Tests speak through a
//! [`User`], who works with stock kubectl, or through [`https`] where kubectl is too well-behaved.
//!
//! Two things are deliberately absent: nothing here is skipped when a component is missing (that
//! is an error), and nothing knows what Keepwatch does inside.

pub mod alertmanager;
pub mod archive;
mod audit_log;
pub mod azurite;
pub mod bench;
pub mod chart;
mod control_plane;
mod curl;
mod extension;
pub mod gcs;
pub mod https;
mod keepwatch;
mod kept;
pub mod kill;
mod kubeconfig;
pub mod load;
pub mod metadata;
pub mod moto;
pub mod outage;
mod pace;
mod peer;
mod pod;
pub mod proc_status;
mod process;
pub mod rotate;
pub mod s3;
pub mod standalone;
mod user;
mod wait;

pub use audit_log::AuditLog;
pub use chart::{Chart, Rendered};
pub use control_plane::ControlPlane;
pub use extension::Extension;
pub use keepwatch::{Keepwatch, binary};
pub use peer::SampleApiserver;
pub use pod::Pod;
pub use process::{Process, free_port};
pub use user::{Answer, User};
pub use wait::{PATIENCE, until};
