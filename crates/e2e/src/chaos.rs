//! Faults under load: the server is killed, a bucket's server is stopped, credentials are rotated.
//! Afterwards, what the server kept and delivered is compared with what it answered.

pub mod kill;
pub mod outage;
pub mod rotate;
