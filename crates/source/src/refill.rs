//! Reads the identities of events back from the journal: at the start those of the newest records,
//! and later those of transactions whose outcome is not known.
//!
//! Reading at the start is bounded in records, bytes and time, because the server is not ready
//! meanwhile.

use std::ops::{ControlFlow, RangeInclusive};
use std::time::Duration;

use event::Timestamp;
use store::{Direction, Journal, ReadError, Record};

use crate::convert::identity_of;
use crate::identities::Identities;
use crate::limits::{
    IDENTITY_AGE_MAX, REFILL_BYTES, REFILL_BYTES_MAX, REFILL_RECORDS_MAX, REFILL_TIME_MAX,
};

/// The bounds of reading at the start.
pub(crate) struct RefillLimits {
    records: u64,
    bytes: u64,
    time: Duration,
}

impl Default for RefillLimits {
    fn default() -> Self {
        Self { records: REFILL_RECORDS_MAX, bytes: REFILL_BYTES_MAX, time: REFILL_TIME_MAX }
    }
}

/// What was read at the start.
pub(crate) struct Refilled {
    /// Whether all was read within the limits.
    pub(crate) is_complete: bool,
    /// Time of the newest record.
    pub(crate) newest: Option<Timestamp>,
}

/// Adds the identities of the records of [`IDENTITY_AGE_MAX`] before the last one.
pub(crate) async fn refill(
    journal: &dyn Journal,
    identities: &mut Identities,
    limits: &RefillLimits,
) -> Result<Refilled, ReadError> {
    let (first, last) = (journal.first_seq().max(1), journal.last_seq());
    let age = i64::try_from(IDENTITY_AGE_MAX.as_micros()).unwrap_or(i64::MAX);
    let (mut newest, mut records, mut bytes, mut is_complete) = (None, 0, 0, true);
    let add = |record: &Record| {
        let newest = *newest.get_or_insert(record.time);
        if record.time < newest.saturating_sub(age) {
            return ControlFlow::Break(());
        }
        if records >= limits.records || bytes >= limits.bytes {
            is_complete = false;
            return ControlFlow::Break(());
        }
        records += 1;
        bytes += record.bytes.len() as u64;
        if let Some((source, digest)) = identity_of(&record.bytes) {
            identities.add_older(source, digest);
        }
        ControlFlow::Continue(())
    };
    let read = scan(journal, first..=last, Direction::Backward, add);
    match tokio::time::timeout(limits.time, read).await {
        Ok(read) => read?,
        Err(_) => is_complete = false,
    }
    Ok(Refilled { is_complete, newest: newest.map(Timestamp::from_micros) })
}

/// Passes the records of the range to `take`, in this direction, until it breaks.
pub(crate) async fn scan(
    journal: &dyn Journal,
    range: RangeInclusive<u64>,
    direction: Direction,
    mut take: impl FnMut(&Record) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let mut rest = range;
    while !rest.is_empty() {
        let batch = journal.read_ranges(vec![rest.clone()], direction, REFILL_BYTES).await?;
        if batch.records.iter().try_for_each(&mut take).is_break() {
            break;
        }
        let Some(read) = batch.records.last().filter(|_| batch.is_truncated) else { break };
        rest = match direction {
            Direction::Forward => read.seq + 1..=*rest.end(),
            Direction::Backward => *rest.start()..=read.seq.saturating_sub(1),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event::annotations::{SOURCE, SOURCE_DIGEST};
    use event::{Event, Stage};
    use store::{Settings, Sqlite};

    use super::*;

    /// Reads back ten records of a source with these limits, of which one has about 100 bytes.
    async fn check(limits: RefillLimits, expected: (bool, usize)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store").join("keepwatch.db");
        let store = Sqlite::open(&path, Settings::default(), Arc::new(|| 1)).unwrap();
        for number in 0..10 {
            let time = Timestamp::from_micros(1);
            let mut event = Event::internal(Stage::ResponseComplete, "get", time);
            event.annotations.insert(SOURCE.to_owned(), "one".to_owned());
            event.annotations.insert(SOURCE_DIGEST.to_owned(), format!("{number:032x}"));
            store::append(&store, event::record::write(&event)).await.unwrap();
        }
        let mut identities = Identities::default();
        let refilled = refill(&*store.journal(), &mut identities, &limits).await.unwrap();
        assert_eq!((refilled.is_complete, identities.len()), expected);
        assert_eq!(refilled.newest, Some(Timestamp::from_micros(1)));
        store.close().await;
    }

    #[tokio::test]
    async fn a_long_journal_does_not_delay_the_start() {
        let default = RefillLimits::default;
        check(default(), (true, 10)).await;
        check(RefillLimits { records: 3, ..default() }, (false, 3)).await;
        check(RefillLimits { bytes: 1, ..default() }, (false, 1)).await;
    }
}
