//! Faults under load: the server is killed, a bucket's server is stopped, credentials are rotated.
//! Afterwards the stored and delivered events are compared with the responses.

pub mod kill;
pub mod outage;
pub mod rotate;
