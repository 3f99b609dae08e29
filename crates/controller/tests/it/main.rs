//! What comes of a profile when its destination is really asked, and of objects when kube-apiserver is
//! in trouble.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod endpoints;
mod forms;
mod kube_apiserver;
mod outages;
