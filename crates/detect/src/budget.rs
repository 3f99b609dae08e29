//! The work budgets of a rule file, in steps and not in time, so that the result does not depend on
//! the machine.
//!
//! All documents of a file share two budgets. Compilation is necessary: a file that exceeds its
//! budget is rejected (module `sigma`). The examination searches for rules that no event can match.
//! It is optional: when its budget is spent, all remaining conditions count as possible, so that no
//! valid rule is rejected.

use std::cell::Cell;

/// Maximum work to compile the rules of one file, in steps. A short regular expression takes some
/// 2,000 steps, one of the maximum size 400,000.
pub const COMPILATION_STEPS_MAX: u64 = 40_000_000;
/// Maximum work to search the rules of one file for conditions that no event can meet, in steps. A
/// step is about one comparison of a value. Exceeding it ends the search and is not an error.
pub const EXAMINATION_STEPS_MAX: u64 = 30_000_000;
/// Maximum work to find the exclusions of one rule for the index of a rule set, in steps. Without
/// the exclusions the rule is evaluated more often.
const INDEX_STEPS_MAX: u64 = 1_000_000;

/// Remaining steps.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<u64>,
}

impl Budget {
    pub(crate) const fn of_compilation() -> Self {
        Self { left: Cell::new(COMPILATION_STEPS_MAX) }
    }

    pub(crate) const fn of_examination() -> Self {
        Self { left: Cell::new(EXAMINATION_STEPS_MAX) }
    }

    pub(crate) const fn of_index() -> Self {
        Self { left: Cell::new(INDEX_STEPS_MAX) }
    }

    /// Takes steps. Returns false if the budget does not have enough; then it is spent.
    pub(crate) fn spend(&self, steps: u64) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(steps));
        left > steps
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.left.get() == 0
    }
}
