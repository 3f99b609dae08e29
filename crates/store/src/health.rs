//! The state of the store, readable at any time without waiting for the disk.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{Holder, StoreError};

/// What the store currently accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Reads and writes.
    Well,
    /// Reads and writes, but half of the size limit is used.
    Warning,
    /// Reads only: the size limit is reached.
    Full,
    /// Reads only: the disk is full.
    NoSpace,
    /// Reads only: the disk failed.
    Unavailable,
    /// Nothing: the store is closed.
    Closed,
}

/// A snapshot of the store's state.
#[derive(Debug, Clone)]
pub struct Health {
    /// What the store accepts.
    pub condition: Condition,
    /// Why the condition is not `Well`; empty if it is.
    pub reason: String,
    /// The used bytes of the file.
    pub used_bytes: u64,
    /// The used bytes at which writes are rejected.
    pub limit_bytes: u64,
    /// Requests rejected since a gap was last recorded.
    pub refused_unrecorded: u64,
    /// Commits since the start of the process.
    pub commits: u64,
    /// Records committed since the start of the process.
    pub records: u64,
}

impl Health {
    /// Whether the store accepts writes.
    pub fn is_writable(&self) -> bool {
        matches!(self.condition, Condition::Well | Condition::Warning)
    }
}

/// The writer's state of health, shared with all users of the store.
#[derive(Debug)]
pub(crate) struct Pulse {
    limit_bytes: u64,
    shut: AtomicBool,
    why: Mutex<Option<StoreError>>,
    /// What uses most of the file; set once half of the size limit is used.
    holder: Mutex<Option<Holder>>,
    used_bytes: AtomicU64,
    refused: AtomicU64,
    commits: AtomicU64,
    records: AtomicU64,
}

impl Pulse {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            shut: AtomicBool::new(false),
            why: Mutex::new(None),
            holder: Mutex::new(None),
            used_bytes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            records: AtomicU64::new(0),
        }
    }

    /// Why writes are rejected, if they are. Does not count a rejection.
    pub(crate) fn obstacle(&self) -> Option<StoreError> {
        if !self.shut.load(Ordering::Acquire) {
            return None;
        }
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reject all writes from now on, or accept them again.
    pub(crate) fn set_obstacle(&self, why: Option<StoreError>) {
        let mut held = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        self.shut.store(why.is_some(), Ordering::Release);
        *held = why;
    }

    pub(crate) fn count_refused(&self, requests: u64) {
        self.refused.fetch_add(requests, Ordering::Relaxed);
    }

    pub(crate) fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn count_commit(&self, records: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn set_used(&self, bytes: u64) {
        self.used_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_holder(&self, holder: Option<Holder>) {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = holder;
    }

    pub(crate) fn used(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn health(&self) -> Health {
        let used_bytes = self.used();
        let obstacle = self.obstacle();
        let condition = match &obstacle {
            None if used_bytes >= self.limit_bytes / 2 => Condition::Warning,
            None => Condition::Well,
            Some(StoreError::Full { .. }) => Condition::Full,
            Some(StoreError::NoSpace) => Condition::NoSpace,
            Some(StoreError::Closed) => Condition::Closed,
            Some(_) => Condition::Unavailable,
        };
        let reason = match &obstacle {
            Some(error) => error.to_string(),
            None if condition == Condition::Warning => {
                let holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
                // Below the limit, only a slow reader is a reason for the operator to act.
                let blame = holder.as_ref().filter(|one| matches!(one, Holder::Reader { .. }));
                let blame = blame.map(|holder| format!("; {holder}")).unwrap_or_default();
                format!("{used_bytes} of {} bytes are in use{blame}", self.limit_bytes)
            }
            None => String::new(),
        };
        Health {
            condition,
            reason,
            used_bytes,
            limit_bytes: self.limit_bytes,
            refused_unrecorded: self.refused.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
        }
    }
}
