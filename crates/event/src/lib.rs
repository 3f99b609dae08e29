//! Audit events and signals: their types and their encodings.
//!
//! An [`Event`] is one stage of one request, as `audit.k8s.io/v1` defines it. It has two encodings
//! for other programs ([`v1`] and [`k10`]), one for people ([`short`]) and one for the journal
//! ([`record`]). Lines are written from a [`EventRef`], which borrows from an event or a record.
//!
//! The crate is pure: no I/O, no clock, no task. It does not decide *whether* a request is
//! recorded; the audit policy in the crate `audit` does.

pub mod annotations;
pub mod decoded;
mod escape;
mod event_ref;
mod field_codec;
pub mod fields;
mod internal;
mod json;
mod json_writer;
pub mod k10;
pub mod limit;
pub mod line;
mod normalize;
mod plain;
pub mod record;
pub mod short;
pub mod signal;
pub mod signal_line;
mod status;
pub mod term;
mod timestamp;
mod types;
mod user_agent;
pub mod v1;

pub use event_ref::EventRef;
pub use internal::{InternalEvent, USER};
pub use json::{Json, JsonError};
pub use normalize::DEPTH_MAX;
pub use signal::{Severity, Signal, SignalSpec, SignalState};
pub use status::{Status, StatusCause, StatusDetails};
pub use timestamp::{Timestamp, TimestampError};
pub use types::{
    AuthenticationMetadata, Event, Level, ObjectReference, ParseEnumError, Stage, UserInfo,
};
pub use user_agent::truncate_user_agent;
