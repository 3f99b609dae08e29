//! Retention: removes superseded revisions, and records that all readers have passed.
//!
//! Removals are part of ordinary commits, in small portions, so that no request waits long for
//! them. This module also measures the file, and rejects writes when the size limit is reached.
//! From three quarters of the limit on, records that all readers have passed and superseded
//! revisions are removed early.

use std::time::{Duration, Instant};

use crate::holder::Holder;
use crate::index::Superseded;
use crate::rows::Rows;
use crate::settings::{TRIM_ROWS_IDLE, TRIM_ROWS_MIN, UPKEEP_PERIOD};
use crate::shared::Shared;
use crate::writer::monotonic;
use crate::{Condition, Settings, StoreError};

/// The file is measured again after this fraction of the size limit has been written.
const MEASURES_TO_LIMIT: u64 = 1024;

/// The retention of superseded revisions once three quarters of the size limit are used.
const PRESSED_HISTORY_TIME: Duration = Duration::from_secs(10);

/// The writer's state of retention.
#[derive(Debug)]
pub(crate) struct Upkeep {
    page_size: u64,
    last_look: Option<Instant>,
    bytes_since_look: u64,
    more: bool,
}

/// The rows that one commit removes.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    pub(crate) compacted: Vec<Superseded>,
    floor: u64,
    records_up_to: Option<u64>,
    /// Whether this commit looked for rows to remove.
    pub(crate) looked: bool,
}

impl Chores {
    pub(crate) fn is_none(&self) -> bool {
        self.compacted.is_empty() && self.records_up_to.is_none()
    }

    pub(crate) fn write(&self, rows: &mut Rows<'_>) -> rusqlite::Result<()> {
        rows.compact(&self.compacted, self.floor)?;
        self.records_up_to.map_or(Ok(()), |up_to| rows.forget_records(up_to))
    }
}

impl Upkeep {
    pub(crate) fn new(page_size: u64) -> Self {
        Self { page_size, last_look: None, bytes_since_look: 0, more: false }
    }

    /// Whether another portion is due immediately.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// If it is time, measure the file and choose the rows that the next commit removes.
    pub(crate) fn plan(
        &mut self,
        shared: &Shared,
        rows: &mut Rows<'_>,
        time: i64,
        fresh_records: usize,
    ) -> rusqlite::Result<Chores> {
        let now = monotonic();
        let period = self.last_look.is_none_or(|last| now.duration_since(last) >= UPKEEP_PERIOD);
        let grown = self.bytes_since_look >= shared.settings.limit_bytes / MEASURES_TO_LIMIT;
        if !period && !grown && !self.more {
            return Ok(Chores::default());
        }
        self.last_look = Some(now);
        self.bytes_since_look = 0;
        self.measure(shared, rows)?;
        // Remove more rows than arrive, or retention never catches up.
        let most = match fresh_records {
            0 => TRIM_ROWS_IDLE,
            fresh => TRIM_ROWS_MIN.max(fresh * 2),
        };
        let settings = &shared.settings;
        let index = shared.index();
        let history = history_time(settings, shared.pulse.used());
        let since = time.saturating_sub(micros(history));
        let chores = Chores {
            compacted: index.compactable(since, settings.history_rows, most),
            floor: index.floor(),
            records_up_to: records_up_to(shared, rows, time, most)?,
            looked: true,
        };
        let records = chores.records_up_to.map_or(0, |up_to| up_to - shared.first_seq() + 1);
        self.more = chores.compacted.len() >= most || records >= most as u64;
        Ok(chores)
    }

    fn measure(&self, shared: &Shared, rows: &mut Rows<'_>) -> rusqlite::Result<()> {
        let (held, limit) = (rows.used_bytes(self.page_size)?, shared.settings.limit_bytes);
        let before = shared.pulse.health().condition;
        shared.pulse.set_used(held);
        let holder = if held >= limit / 2 { Some(Holder::of(shared, rows, held)?) } else { None };
        let full = holder.clone().filter(|_| held >= limit);
        let full = full.map(|holder| StoreError::Full { holder, held, limit });
        shared.pulse.set_holder(holder);
        shared.pulse.set_obstacle(full);
        let after = shared.pulse.health();
        if after.condition != before && after.condition != Condition::Well {
            tracing::warn!(held, limit, reason = after.reason, "the store's file fills up");
        }
        Ok(())
    }

    /// Update the state after the commit is durable.
    pub(crate) fn done(&mut self, chores: &Chores, shared: &Shared, written_bytes: usize) {
        self.bytes_since_look += written_bytes as u64;
        if let Some(up_to) = chores.records_up_to {
            shared.set_first_seq(up_to + 1);
        }
    }
}

/// The highest sequence number up to which records may be removed; `None` if there is none.
fn records_up_to(
    shared: &Shared,
    rows: &mut Rows<'_>,
    time: i64,
    most: usize,
) -> rusqlite::Result<Option<u64>> {
    let (first, last) = (shared.first_seq(), shared.last_seq());
    let passed = shared.cursors().slowest().map_or(last, |(_, seq)| seq);
    // Keep the last record: it preserves the highest sequence number.
    let passed = passed.min(last.saturating_sub(1));
    if first == 0 || first > passed {
        return Ok(None);
    }
    let mut up_to = passed.min(first + most as u64 - 1);
    let early_bytes = shared.settings.journal_bytes.min(early(&shared.settings));
    if shared.pulse.used() >= early_bytes {
        return Ok(Some(up_to));
    }
    let since = time.saturating_sub(micros(shared.settings.journal_time));
    while rows.record_time(up_to)? > since {
        if up_to == first {
            return Ok(None);
        }
        up_to = first + (up_to - first) / 2;
    }
    Ok(Some(up_to))
}

/// The used bytes from which rows are removed before their retention time is over.
fn early(settings: &Settings) -> u64 {
    settings.limit_bytes / 4 * 3
}

/// The retention of superseded revisions at this number of used bytes: shortened from three
/// quarters of the limit on, zero from seven eighths on.
fn history_time(settings: &Settings, used: u64) -> Duration {
    if used <= early(settings) {
        settings.history_time
    } else if used <= settings.limit_bytes / 8 * 7 {
        settings.history_time.min(PRESSED_HISTORY_TIME)
    } else {
        Duration::ZERO
    }
}

fn micros(period: Duration) -> i64 {
    i64::try_from(period.as_micros()).unwrap_or(i64::MAX)
}
