//! Path of a value in a document. It is formatted only for an error message, which most documents
//! never need.

use std::fmt;

/// Maximum length of a path in a message, in bytes: clients choose the field names.
const PATH_BYTES_MAX: usize = 1024;

/// Path of a value, formatted as `spec.subject.name` or `spec.list[1]`.
#[derive(Clone, Copy, Debug)]
pub enum Path<'a> {
    /// The document itself; its path is empty.
    Root,
    /// A field of an object.
    Field(&'a Self, &'a str),
    /// An item of a list; the index starts at 0.
    Item(&'a Self, usize),
}

impl<'a> Path<'a> {
    /// Path of a field of this value.
    pub fn field<'b>(&'b self, key: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path::Field(self, key)
    }

    /// Path of a list item of this value.
    pub fn item<'b>(&'b self, at: usize) -> Path<'b>
    where
        'a: 'b,
    {
        Path::Item(self, at)
    }

    /// Formats the path for a message that lists many paths. A long path is cut.
    pub fn to_bounded_string(&self) -> String {
        let mut text = self.to_string();
        if text.len() > PATH_BYTES_MAX {
            text.truncate(text.floor_char_boundary(PATH_BYTES_MAX));
            text.push('\u{2026}');
        }
        text
    }

    /// Whether this is the path of the document itself.
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
