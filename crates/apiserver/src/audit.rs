//! The audit event of a request: what the policy decides, what the event consists of while the request is
//! served, and how it becomes durable before the response leaves.

pub(crate) mod backend;
pub(crate) mod context;
pub(crate) mod request;
pub(crate) mod write_claim;
