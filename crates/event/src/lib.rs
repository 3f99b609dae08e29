//! Audit events and signals: their types and their encodings.
//!
//! An [`Event`] is one stage of one request, as `audit.k8s.io/v1` defines it. It has two encodings
//! for other programs ([`v1`] and [`kasten`]), one for people ([`short`]) and one for the journal
//! ([`record`]). Lines are written from a [`View`], which borrows from an event or a record.
//!
//! The crate is pure: no I/O, no clock, no task. It does not decide *whether* a request is
//! recorded; the audit policy in the crate `audit` does.

pub mod annotations;
pub mod decoded;
mod escape;
pub mod fields;
mod head;
mod json;
pub mod kasten;
pub mod limit;
pub mod line;
mod object;
mod own;
pub mod record;
mod scan;
pub mod short;
pub mod signal;
pub mod signal_line;
mod status;
pub mod term;
mod timestamp;
mod types;
mod user_agent;
pub mod v1;
mod view;

pub use json::{Json, JsonError};
pub use own::{OwnEvent, USER};
pub use scan::DEPTH_MAX;
pub use signal::{Severity, Signal, SignalSpec, SignalState};
pub use status::{Status, StatusCause, StatusDetails};
pub use timestamp::{Timestamp, TimestampError};
pub use types::{
    AuthenticationMetadata, Event, Level, ObjectReference, Stage, UnknownWord, UserInfo,
};
pub use user_agent::truncate_user_agent;
pub use view::View;
