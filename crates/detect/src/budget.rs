//! The work budget of a rule file, in steps and not in time, so that the result does not depend on
//! the machine.
//!
//! Loading a rule examines it: it compiles its regular expressions and searches for conditions that
//! no event can match. A hostile file could make that very long, so all documents of a file share
//! one budget. Deliberately absent: the error of a file that exceeds it (module `sigma`).

use std::cell::Cell;

/// Maximum work to examine the rules of one file, in steps. A step is about one comparison of a
/// value. A rule with 10,000 values needs some 100,000.
pub const EXAMINATION_STEPS_MAX: u64 = 30_000_000;

/// The remaining steps of a file.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<u64>,
}

impl Budget {
    pub(crate) const fn new() -> Self {
        Self { left: Cell::new(EXAMINATION_STEPS_MAX) }
    }

    /// Takes steps. Returns whether the budget has enough; if it has not, it is spent.
    pub(crate) fn spend(&self, steps: u64) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(steps));
        left > steps
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.left.get() == 0
    }
}
