//! Requests to kube-apiserver: the client, and reviews with retries.

pub mod client;
pub(crate) mod webhook;
