//! Fields of an audit event, as rules name them.

use std::fmt;

/// A field path, parsed. Both spellings of an event (`objectRef.resource`, `ObjectRef.Resource`) name
/// the same field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    text: String,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
