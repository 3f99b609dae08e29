//! Rules in, audit events in, signals out.
//!
//! Rules are Sigma documents with a small extension. The same events and rules give the same
//! signals, live or replayed.
//!
//! Pure: no I/O, no clock, no task. Where events come from and where signals go is the business of
//! the crate `delivery` and of the binary.

pub mod builtin;
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
