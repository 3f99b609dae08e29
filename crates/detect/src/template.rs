//! Texts with variables, in the syntax of Datadog: `{{@User.username}}`.

/// A text with variables, parsed.
#[derive(Clone, Debug)]
pub struct Template {}
