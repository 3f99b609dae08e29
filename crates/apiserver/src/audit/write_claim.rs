//! Ownership of a write: the request owns it until the store's writer claims it.
//!
//! A write's transaction also records its audit event. When a request times out, its event must not
//! be recorded twice. Until the writer has claimed the write, the request can cancel it and record
//! its own outcome. Afterwards the outcome of the write is recorded. So each request has exactly
//! one event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
const CLAIMED: u8 = 1;
const CANCELLED: u8 = 2;

/// Shared by a request and its write. Clones share one state.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteClaim(Arc<AtomicU8>);

impl WriteClaim {
    /// Claims the write for the writer. Returns false if the request has cancelled it.
    pub(crate) fn claim(&self) -> bool {
        self.set(CLAIMED)
    }

    /// Cancels the write for the request. Returns false if the writer has claimed it.
    pub(crate) fn cancel(&self) -> bool {
        self.set(CANCELLED)
    }

    /// Whether the writer has claimed the write.
    pub(crate) fn is_claimed(&self) -> bool {
        self.0.load(Ordering::Acquire) == CLAIMED
    }

    fn set(&self, to: u8) -> bool {
        let set = self.0.compare_exchange(OPEN, to, Ordering::AcqRel, Ordering::Acquire);
        set.is_ok() || set == Err(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_either_claimed_or_cancelled() {
        let cancelled = WriteClaim::default();
        assert!(cancelled.clone().cancel() && cancelled.cancel());
        assert!(!cancelled.claim() && !cancelled.is_claimed());
        let claimed = WriteClaim::default();
        assert!(claimed.clone().claim());
        assert!(!claimed.cancel() && claimed.is_claimed());
    }
}
