//! Regular expressions whose compiled size is bounded.

use regex::{Regex, RegexBuilder};

/// Maximum size of a compiled regular expression, in bytes.
pub(crate) const REGEX_BYTES_MAX: usize = 1 << 18;
/// The size limits that are tried one after the other, so that a small expression has a small cost,
/// each with the steps to compile it. A step takes some 25 ns; a large expression takes longer for
/// each of its bytes.
const REGEX_BYTES: [(usize, u64); 4] =
    [(1 << 12, 2_000), (1 << 14, 12_000), (1 << 16, 90_000), (REGEX_BYTES_MAX, REGEX_STEPS_MAX)];
/// Steps to compile an expression of the maximum size, or to find that it is larger.
pub(crate) const REGEX_STEPS_MAX: u64 = 400_000;
/// Minimum size of the automata that are built while an expression is matched, in bytes: in less,
/// the matcher uses slower algorithms.
const DFA_BYTES_MIN: usize = 1 << 14;
/// Maximum nesting of a regular expression.
const REGEX_DEPTH_MAX: u32 = 64;
/// Number of bytes of the compiled expression per step.
const BYTES_PER_STEP: u64 = 64;

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub(crate) struct BoundedRegex {
    regex: Regex,
    /// Bound of its compiled size, in bytes.
    bytes: usize,
    /// Work to compile it, in steps.
    steps: u64,
}

/// Why a text is not a valid regular expression.
#[derive(Debug)]
pub(crate) enum RegexError {
    /// Its compiled size exceeds [`REGEX_BYTES_MAX`].
    TooBig,
    /// Its syntax is invalid: the last line of the parser's message.
    Syntax(String),
}

impl BoundedRegex {
    /// Compiles an expression.
    pub(crate) fn new(text: &str) -> Result<Self, RegexError> {
        for (bytes, steps) in REGEX_BYTES {
            let built = RegexBuilder::new(text)
                .size_limit(bytes)
                .dfa_size_limit(bytes.max(DFA_BYTES_MIN))
                .nest_limit(REGEX_DEPTH_MAX)
                .build();
            match built {
                Ok(regex) => return Ok(Self { regex, bytes, steps }),
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(other) => {
                    let text = other.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    let last = last.strip_prefix("error: ").unwrap_or(last);
                    return Err(RegexError::Syntax(last.to_owned()));
                }
            }
        }
        Err(RegexError::TooBig)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Work to compile it, in steps of a budget.
    pub(crate) const fn compile_steps(&self) -> u64 {
        self.steps
    }

    /// Work to match a text of this length, in steps of a budget: for the slowest of the matcher's
    /// algorithms, each character may pass the whole expression.
    pub(crate) const fn steps(&self, len: usize) -> u64 {
        1 + (len as u64).saturating_mul(self.bytes as u64 / BYTES_PER_STEP)
    }
}
