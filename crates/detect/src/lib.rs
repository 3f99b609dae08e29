//! Rules in, audit events in, signals out.
//!
//! Rules are Sigma documents with a small extension. The same events and rules give the same
//! signals, live or replayed.
//!
//! Pure: no I/O, no clock, no task. Where events come from and where signals go is the business of
//! the crate `delivery` and of the binary.

pub mod field;
pub mod matcher;
pub mod rule;
pub mod template;

pub use field::Field;
pub use rule::Rule;
