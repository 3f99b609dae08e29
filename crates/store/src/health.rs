//! The state of the store, readable at any time without waiting for the disk.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{DiskUse, StoreError};

/// The operations that the store currently accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Reads and writes.
    Healthy,
    /// Reads and writes, but half of the size limit is used.
    Warning,
    /// Reads only: the size limit is reached.
    Full,
    /// Reads only: the disk is full.
    NoSpace,
    /// Reads only: the disk failed.
    Unavailable,
    /// The store is closed and accepts no operation.
    Closed,
}

/// A snapshot of the store's state.
#[derive(Debug, Clone)]
pub struct Health {
    /// The operations that the store accepts.
    pub condition: Condition,
    /// Why the condition is not `Healthy`; empty if it is.
    pub reason: String,
    /// The used bytes of the file.
    pub used_bytes: u64,
    /// The used bytes at which writes are rejected.
    pub limit_bytes: u64,
    /// Requests rejected since a gap was last recorded.
    pub rejected_unrecorded: u64,
    /// Commits since the start of the process.
    pub commits: u64,
    /// Records committed since the start of the process.
    pub records: u64,
}

impl Health {
    /// Whether the store accepts writes.
    pub fn is_writable(&self) -> bool {
        matches!(self.condition, Condition::Healthy | Condition::Warning)
    }
}

/// The shared state behind [`Health`]: the writer updates it, and all handles read it.
#[derive(Debug)]
pub(crate) struct HealthState {
    limit_bytes: u64,
    is_rejecting: AtomicBool,
    reason: Mutex<Option<StoreError>>,
    /// The largest use of the file; set once half of the size limit is used.
    largest_use: Mutex<Option<DiskUse>>,
    used_bytes: AtomicU64,
    rejected: AtomicU64,
    commits: AtomicU64,
    records: AtomicU64,
}

impl HealthState {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            is_rejecting: AtomicBool::new(false),
            reason: Mutex::new(None),
            largest_use: Mutex::new(None),
            used_bytes: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            records: AtomicU64::new(0),
        }
    }

    /// Why writes are rejected, if they are. Does not count a rejection.
    pub(crate) fn rejection(&self) -> Option<StoreError> {
        if !self.is_rejecting.load(Ordering::Acquire) {
            return None;
        }
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reject all writes from now on, or accept them again.
    pub(crate) fn set_rejection(&self, reason: Option<StoreError>) {
        let mut guard = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_rejecting.store(reason.is_some(), Ordering::Release);
        *guard = reason;
    }

    pub(crate) fn count_rejected(&self, requests: u64) {
        self.rejected.fetch_add(requests, Ordering::Relaxed);
    }

    pub(crate) fn take_rejected(&self) -> u64 {
        self.rejected.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn count_commit(&self, records: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn set_used(&self, bytes: u64) {
        self.used_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_largest_use(&self, largest_use: Option<DiskUse>) {
        *self.largest_use.lock().unwrap_or_else(PoisonError::into_inner) = largest_use;
    }

    pub(crate) fn used(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self) -> Health {
        let used_bytes = self.used();
        let rejection = self.rejection();
        let condition = match &rejection {
            None if used_bytes >= self.limit_bytes / 2 => Condition::Warning,
            None => Condition::Healthy,
            Some(StoreError::Full { .. }) => Condition::Full,
            Some(StoreError::NoSpace) => Condition::NoSpace,
            Some(StoreError::Closed) => Condition::Closed,
            Some(_) => Condition::Unavailable,
        };
        let reason = match &rejection {
            Some(error) => error.to_string(),
            None if condition == Condition::Warning => {
                let largest_use = self.largest_use.lock().unwrap_or_else(PoisonError::into_inner);
                // Below the limit, only a slow reader is a reason for the operator to act.
                let reader = largest_use
                    .as_ref()
                    .filter(|largest| matches!(largest, DiskUse::Reader { .. }));
                let reader = reader.map(|reader| format!("; {reader}")).unwrap_or_default();
                format!("{used_bytes} of {} bytes are in use{reader}", self.limit_bytes)
            }
            None => String::new(),
        };
        Health {
            condition,
            reason,
            used_bytes,
            limit_bytes: self.limit_bytes,
            rejected_unrecorded: self.rejected.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
        }
    }
}
