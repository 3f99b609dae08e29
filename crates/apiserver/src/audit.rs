//! The audit event of a request: evaluation of the policy, construction of the event while the
//! request is served, and durable logging before the response is sent.

pub(crate) mod backend;
pub(crate) mod context;
pub(crate) mod intents;
pub(crate) mod late_outcomes;
pub(crate) mod request;
pub(crate) mod write_claim;
