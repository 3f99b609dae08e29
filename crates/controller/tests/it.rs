//! What comes of a profile when its destination is really asked, and of objects when kube-apiserver is
//! in trouble.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "it/endpoints.rs"]
mod endpoints;
#[path = "it/forms.rs"]
mod forms;
#[path = "it/kube_apiserver.rs"]
mod kube_apiserver;
#[path = "it/outages.rs"]
mod outages;
