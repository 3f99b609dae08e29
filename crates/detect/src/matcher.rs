//! Conditions on the fields of one event.

/// A condition, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct Expression {}
