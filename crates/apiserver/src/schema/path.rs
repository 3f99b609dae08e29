//! Where in a document something is: written out only when there is something to say about it, which
//! for most documents is never.

use std::fmt;

/// Bytes of a place that are told: a client may choose the names in it.
const TOLD_BYTES_MAX: usize = 1024;

/// A place in a document, as messages name it: `spec.subject.name`, `spec.list[1]`.
#[derive(Clone, Copy, Debug)]
pub enum Path<'a> {
    /// The document itself; it has no name.
    Root,
    /// A field of an object.
    Field(&'a Self, &'a str),
    /// An item of a list, counted from 0.
    Item(&'a Self, usize),
}

impl<'a> Path<'a> {
    /// A field at this place.
    pub fn field<'b>(&'b self, key: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path::Field(self, key)
    }

    /// An item of the list at this place.
    pub fn item<'b>(&'b self, at: usize) -> Path<'b>
    where
        'a: 'b,
    {
        Path::Item(self, at)
    }

    /// The place as messages of many places tell it: a long one is cut.
    pub fn told(&self) -> String {
        let mut text = self.to_string();
        if text.len() > TOLD_BYTES_MAX {
            text.truncate(text.floor_char_boundary(TOLD_BYTES_MAX));
            text.push('\u{2026}');
        }
        text
    }

    /// Whether this is the document itself.
    pub fn is_root(&self) -> bool {
        matches!(self, Self::Root)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, key) => f.write_str(key),
            Self::Field(object, key) => write!(f, "{object}.{key}"),
            Self::Item(list, at) => write!(f, "{list}[{at}]"),
        }
    }
}
