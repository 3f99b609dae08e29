//! Detection engine: evaluates Sigma rules over audit events and raises signals.
//!
//! Rules are Sigma documents with a small extension. The same events and rules give the same
//! signals, live or replayed.
//!
//! The crate is pure: no I/O, no clock, no task. The crate `delivery` and the binary read events
//! and send signals.

mod budget;
pub mod builtin;
mod compare;
pub mod coverage;
pub mod engine;
pub mod error;
mod event_matcher;
pub mod examples;
pub mod export;
pub mod field;
mod fields;
pub mod matcher;
mod nearest;
pub mod rule;
pub mod ruleset;
pub mod sigma;
pub mod template;

pub use budget::{COMPILATION_STEPS_MAX, EXAMINATION_STEPS_MAX};
pub use engine::{ChangeKind, CheckpointError, Engine, Input, Settings, SignalChange, Suppression};
pub use error::{Position, RuleError};
pub use event_matcher::EventMatcher;
pub use field::Field;
pub use fields::Fields;
pub use matcher::Expression;
pub use nearest::of as nearest;
pub use rule::Rule;
pub use ruleset::{Document, LoadOptions, RuleSet};
pub use template::Template;
