//! Whose a write is: the request's until the store's writer begins it, the writer's from then on.
//!
//! A write carries its event into its transaction. A request that gives up waiting has to know
//! whether that event will come: as long as the writer has not begun, the request may take the write
//! back and record how it ended itself; afterwards the outcome of the write is the only one there
//! is. So each request has exactly one event, whichever of the two comes first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Shared by a request and the write it hands over. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover(Arc<AtomicU8>);

impl Handover {
    /// The writer takes the write; false when the request has taken it back.
    pub(crate) fn begin(&self) -> bool {
        self.turn(BEGUN)
    }

    /// The request takes back what it may have handed over; false when the writer has begun it.
    pub(crate) fn withdraw(&self) -> bool {
        self.turn(WITHDRAWN)
    }

    /// Whether the writer has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire) == BEGUN
    }

    fn turn(&self, to: u8) -> bool {
        let turned = self.0.compare_exchange(OPEN, to, Ordering::AcqRel, Ordering::Acquire);
        turned.is_ok() || turned == Err(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_side_gets_it() {
        let withdrawn = Handover::default();
        assert!(withdrawn.clone().withdraw() && withdrawn.withdraw());
        assert!(!withdrawn.begin() && !withdrawn.has_begun());
        let begun = Handover::default();
        assert!(begun.clone().begin());
        assert!(!begun.withdraw() && begun.has_begun());
    }
}
