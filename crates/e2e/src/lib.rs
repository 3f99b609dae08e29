//! A real Kubernetes control plane on loopback, and Keepwatch behind it, for tests.
//!
//! [`fixtures::ControlPlane`] is etcd, kube-apiserver and kube-controller-manager as [`assets`] built
//! them; [`fixtures::Extension`] registers an extension API server with its aggregator;
//! [`fixtures::Keepwatch`] is the binary under test and [`fixtures::SampleApiserver`] Kubernetes' own
//! example, with which it is compared. Tests send requests as a [`fixtures::User`] does, with stock
//! kubectl, or with [`fixtures::https`] where kubectl would refuse to send them.
//!
//! Two things are deliberately absent: a missing component is an error, not a reason to skip a test;
//! and nothing here uses what Keepwatch keeps internal.

pub mod bench;
pub mod chaos;
pub mod emulators;
pub mod fixtures;
