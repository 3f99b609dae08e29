//! Retention: removes superseded revisions, and records that all readers have passed.
//!
//! Removals are part of ordinary commits, in small portions, so that no request waits long for
//! them. This module also measures the file, and rejects writes when the size limit is reached.
//! From three quarters of the limit on, records that all readers have passed and superseded
//! revisions are removed early.

use std::time::{Duration, Instant};

use crate::clock::monotonic;
use crate::disk_use::DiskUse;
use crate::index::Superseded;
use crate::settings::{RETENTION_PERIOD, TRIM_ROWS_IDLE, TRIM_ROWS_MIN};
use crate::shared::Shared;
use crate::statements::Statements;
use crate::{Condition, Settings, StoreError};

/// The file is measured again after this fraction of the size limit has been written.
const MEASURES_TO_LIMIT: u64 = 1024;

/// The retention of superseded revisions once three quarters of the size limit are used.
const SHORTENED_HISTORY_AGE: Duration = Duration::from_secs(10);

/// The writer's state of retention.
#[derive(Debug)]
pub(crate) struct Retention {
    page_size: u64,
    last_check: Option<Instant>,
    bytes_since_check: u64,
    has_more: bool,
}

/// The rows that one commit removes.
#[derive(Debug, Default)]
pub(crate) struct TrimPlan {
    pub(crate) compacted: Vec<Superseded>,
    compact_revision: u64,
    records_up_to: Option<u64>,
    /// Whether this commit looked for rows to remove.
    pub(crate) is_checked: bool,
}

impl TrimPlan {
    pub(crate) fn is_empty(&self) -> bool {
        self.compacted.is_empty() && self.records_up_to.is_none()
    }

    pub(crate) fn write(&self, statements: &mut Statements<'_>) -> rusqlite::Result<()> {
        statements.compact(&self.compacted, self.compact_revision)?;
        self.records_up_to.map_or(Ok(()), |up_to| statements.delete_records(up_to))
    }
}

impl Retention {
    pub(crate) fn new(page_size: u64) -> Self {
        Self { page_size, last_check: None, bytes_since_check: 0, has_more: false }
    }

    /// Whether another portion is due immediately.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more
    }

    /// If it is time, measure the file and choose the rows that the next commit removes.
    pub(crate) fn plan(
        &mut self,
        shared: &Shared,
        statements: &mut Statements<'_>,
        time: i64,
        new_records: usize,
    ) -> rusqlite::Result<TrimPlan> {
        let now = monotonic();
        let is_due =
            self.last_check.is_none_or(|last| now.duration_since(last) >= RETENTION_PERIOD);
        let has_grown = self.bytes_since_check >= shared.settings.limit_bytes / MEASURES_TO_LIMIT;
        if !is_due && !has_grown && !self.has_more {
            return Ok(TrimPlan::default());
        }
        self.last_check = Some(now);
        self.bytes_since_check = 0;
        self.measure(shared, statements)?;
        // Remove more rows than arrive, otherwise retention never catches up.
        let rows_max = match new_records {
            0 => TRIM_ROWS_IDLE,
            new => TRIM_ROWS_MIN.max(new * 2),
        };
        let settings = &shared.settings;
        let index = shared.index();
        let history = history_age(settings, shared.health.used());
        let since = time.saturating_sub(micros(history));
        let plan = TrimPlan {
            compacted: index.compactable(since, settings.history_rows, rows_max),
            compact_revision: index.compact_revision(),
            records_up_to: records_up_to(shared, statements, time, rows_max)?,
            is_checked: true,
        };
        let records = plan.records_up_to.map_or(0, |up_to| up_to - shared.first_seq() + 1);
        self.has_more = plan.compacted.len() >= rows_max || records >= rows_max as u64;
        Ok(plan)
    }

    fn measure(&self, shared: &Shared, statements: &mut Statements<'_>) -> rusqlite::Result<()> {
        let (used, limit) = (statements.used_bytes(self.page_size)?, shared.settings.limit_bytes);
        let before = shared.health.snapshot().condition;
        shared.health.set_used(used);
        let largest_use = if used >= limit / 2 {
            Some(DiskUse::estimate(shared, statements, used)?)
        } else {
            None
        };
        let full = largest_use.clone().filter(|_| used >= limit);
        let full = full.map(|largest_use| StoreError::Full { largest_use, used, limit });
        shared.health.set_largest_use(largest_use);
        shared.health.set_rejection(full);
        let after = shared.health.snapshot();
        if after.condition != before && after.condition != Condition::Healthy {
            tracing::warn!(used, limit, reason = after.reason, "the store's file fills up");
        }
        Ok(())
    }

    /// Update the state after the commit is durable.
    pub(crate) fn after_commit(&mut self, plan: &TrimPlan, shared: &Shared, written_bytes: usize) {
        self.bytes_since_check += written_bytes as u64;
        if let Some(up_to) = plan.records_up_to {
            shared.set_first_seq(up_to + 1);
        }
    }
}

/// The highest sequence number up to which records may be removed; `None` if there is none.
fn records_up_to(
    shared: &Shared,
    statements: &mut Statements<'_>,
    time: i64,
    rows_max: usize,
) -> rusqlite::Result<Option<u64>> {
    let (first, last) = (shared.first_seq(), shared.last_seq());
    let passed_seq = shared.cursors().slowest().map_or(last, |(_, seq)| seq);
    // Keep the last record: it preserves the highest sequence number.
    let passed_seq = passed_seq.min(last.saturating_sub(1));
    if first == 0 || first > passed_seq {
        return Ok(None);
    }
    let mut up_to = passed_seq.min(first + rows_max as u64 - 1);
    let early_bytes =
        shared.settings.journal_retention_bytes.min(early_removal_bytes(&shared.settings));
    if shared.health.used() >= early_bytes {
        return Ok(Some(up_to));
    }
    let since = time.saturating_sub(micros(shared.settings.journal_retention_age));
    while statements.record_time(up_to)? > since {
        if up_to == first {
            return Ok(None);
        }
        up_to = first + (up_to - first) / 2;
    }
    Ok(Some(up_to))
}

/// The used bytes from which rows are removed before their retention time is over.
fn early_removal_bytes(settings: &Settings) -> u64 {
    settings.limit_bytes / 4 * 3
}

/// The retention of superseded revisions at this number of used bytes: shortened from three
/// quarters of the limit on, zero from seven eighths on.
fn history_age(settings: &Settings, used: u64) -> Duration {
    if used <= early_removal_bytes(settings) {
        settings.history_age
    } else if used <= settings.limit_bytes / 8 * 7 {
        settings.history_age.min(SHORTENED_HISTORY_AGE)
    } else {
        Duration::ZERO
    }
}

fn micros(period: Duration) -> i64 {
    i64::try_from(period.as_micros()).unwrap_or(i64::MAX)
}
