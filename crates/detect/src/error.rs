//! Errors of rule files, with positions and hints.

use std::fmt;

/// Maximum number of errors that one load reports, because hostile input could cause many.
pub const ERRORS_MAX: usize = 100;

/// A position in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// An error in a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// File name, or name of an API object.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Description of the error.
    pub message: String,
    /// Suggested replacement, if one is known.
    pub hint: Option<String>,
}

impl fmt::Display for RuleError {
    /// Formats as `file:line:column: message`, with the hint on a separate line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, hint } = self;
        write!(f, "{file}:{line}:{column}: {message}")?;
        match hint {
            Some(hint) => write!(f, "\n  help: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RuleError {}

/// Collects the errors of one file, in the order in which they are found.
#[derive(Debug)]
pub(crate) struct Errors {
    file: String,
    errors: Vec<RuleError>,
}

impl Errors {
    pub(crate) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), errors: Vec::new() }
    }

    pub(crate) fn add(&mut self, at: Position, message: impl Into<String>) {
        self.push(at, message.into(), None);
    }

    pub(crate) fn hint(
        &mut self,
        at: Position,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(at, message.into(), Some(hint.into()));
    }

    pub(crate) fn push(&mut self, at: Position, message: String, hint: Option<String>) {
        if self.errors.len() < ERRORS_MAX {
            let Position { line, column } = at;
            let file = self.file.clone();
            self.errors.push(RuleError { file, line, column, message, hint });
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        let free = ERRORS_MAX.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.into_iter().take(free));
    }

    /// Whether the collector drops further errors, so that the caller can stop reading.
    pub(crate) const fn is_full(&self) -> bool {
        self.errors.len() >= ERRORS_MAX
    }

    pub(crate) const fn len(&self) -> usize {
        self.errors.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<RuleError> {
        self.errors
    }
}
