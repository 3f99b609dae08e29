//! A real Kubernetes control plane on loopback, and Keepwatch behind it, for tests.
//!
//! [`fixtures::ControlPlane`] runs etcd, kube-apiserver and kube-controller-manager as built by
//! [`assets`]. [`fixtures::Extension`] registers an extension API server with its aggregator.
//! [`fixtures::Keepwatch`] is the binary under test, and [`fixtures::SampleApiserver`] is
//! Kubernetes' own example to compare it with. Tests send requests as a [`fixtures::User`] with
//! kubectl, or with [`fixtures::https`] if kubectl cannot send them.
//!
//! A missing component is an error, not a reason to skip a test. Nothing here uses Keepwatch's
//! internals.

pub mod bench;
pub mod chaos;
pub mod emulators;
pub mod fixtures;
