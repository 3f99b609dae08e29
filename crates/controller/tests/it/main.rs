//! Tests of profiles with real destinations, and of objects during faults of kube-apiserver.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod endpoints;
mod forms;
mod kube_apiserver;
mod outages;
mod watch;
