//! What is wrong in a rule, where, and what to write instead.

use std::fmt;

/// Most mistakes that are reported of one load: more are no help, and hostile input could make many.
pub const ERRORS_MAX: usize = 100;

/// A place in a file, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A mistake in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// File, or name of an API object.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead, if that is known.
    pub hint: Option<String>,
}

impl fmt::Display for RuleError {
    /// `file:line:column: message`, and the hint on a line of its own.
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

/// The mistakes of one file, as they are found.
#[derive(Debug)]
pub(crate) struct Errors {
    file: String,
    found: Vec<RuleError>,
}

impl Errors {
    pub(crate) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
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
        if self.found.len() < ERRORS_MAX {
            let Position { line, column } = at;
            let file = self.file.clone();
            self.found.push(RuleError { file, line, column, message, hint });
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        let room = ERRORS_MAX.saturating_sub(self.found.len());
        self.found.extend(other.found.into_iter().take(room));
    }

    /// Whether no more mistakes are kept: then reading on is of no use.
    pub(crate) const fn is_full(&self) -> bool {
        self.found.len() >= ERRORS_MAX
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<RuleError> {
        self.found
    }
}
