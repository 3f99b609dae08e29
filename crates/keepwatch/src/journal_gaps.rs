//! Missing and damaged records of the journal: they are recorded as an event and logged, and the
//! server is not ready until an operator has acknowledged them.
//!
//! Missing records are searched for at startup and periodically. Damaged ones are found when a
//! reader reaches them, or when the journal is re-read in the background.
//!
//! Known gaps are stored in a file next to the store's, so that each is recorded once, and
//! `keepwatch cursors acknowledge` works while a server runs. Nothing is repaired.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use apiserver::Clock as _;
use apiserver::health::{CheckScope, HealthCheck};
use store::{Direction, Gap, Journal, ReadError, Sqlite};

use crate::clock::SystemClock;

/// Interval at which the whole journal is searched for missing records.
const CHECK_PERIOD: Duration = Duration::from_hours(1);
/// Interval at which the damaged records that readers have found are fetched.
const DAMAGE_PERIOD: Duration = Duration::from_secs(1);
/// Number of rows that are examined at a time.
const CHECK_ROWS: usize = 4096;
/// Pause between two of these reads, which limits the rate to some megabytes per second.
const CHECK_PAUSE: Duration = Duration::from_millis(250);
/// Maximum number of rows that are examined before requests are served; the others follow soon.
const START_ROWS_MAX: usize = 64 * CHECK_ROWS;
/// A gap is confirmed if it still exists after this time: retention may be removing records.
const CONFIRM_PAUSE: Duration = Duration::from_millis(300);
/// Bytes of records that are re-read at a time, once per second: 4 GiB take four and a half hours.
pub(crate) const VERIFY_BYTES: usize = 256 << 10;
/// Maximum number of records that are re-read at a time.
const VERIFY_ROWS: u64 = 1024;
/// Pause between two of these reads.
const VERIFY_PAUSE: Duration = Duration::from_secs(1);
/// Maximum number of gaps in the file; the oldest acknowledged ones are removed first.
const KNOWN_MAX: usize = 1024;
/// The word for a gap that an operator has acknowledged.
const ACKNOWLEDGED: &str = "acknowledged";
/// The word for a gap that no operator has acknowledged.
const RECORDED: &str = "recorded";

/// A gap, and whether an operator has acknowledged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KnownGap {
    gap: Gap,
    is_acknowledged: bool,
}

/// The gaps of a store's journal.
pub(crate) struct JournalGaps {
    store: Sqlite,
    list: List,
    /// All gaps in the list, acknowledged or not.
    recorded: Mutex<Vec<Gap>>,
    /// Gaps that are not recorded yet, for example because the journal is full.
    unrecorded: Mutex<Vec<Gap>>,
    /// Locked while gaps are reported, so that two tasks do not write the list concurrently.
    reporting: tokio::sync::Mutex<()>,
}

/// The file with the known gaps.
#[derive(Clone)]
struct List(PathBuf);

impl JournalGaps {
    /// Loads the gaps that earlier runs found.
    pub(crate) fn new(store: Sqlite) -> Result<Arc<Self>> {
        let list = List::next_to(store.path());
        let recorded = list.read()?.into_iter().map(|known| known.gap).collect();
        Ok(Arc::new(Self {
            store,
            list,
            recorded: Mutex::new(recorded),
            unrecorded: Mutex::default(),
            reporting: tokio::sync::Mutex::default(),
        }))
    }

    /// Checks the journal before requests are served.
    pub(crate) async fn check_at_start(&self) -> Result<()> {
        let journal = self.store.journal();
        self.report(&journal.known_gaps()).await?;
        let (missing, _) = find_confirmed(&*journal, journal.first_seq(), START_ROWS_MAX).await?;
        self.report(&missing).await
    }

    /// Checks for missing and damaged records forever.
    pub(crate) async fn run(self: Arc<Self>) {
        tokio::join!(self.watch_missing(), self.verify(), self.watch_damaged());
    }

    /// Which of these sequence numbers are known to be missing or damaged, in order.
    pub(crate) fn within(&self, numbers: &RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let mut gaps = self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        gaps.append(&mut self.store.journal().known_gaps());
        gaps.sort_unstable();
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for gap in gaps {
            let after = ranges.last().map_or(0, |last| last.end().saturating_add(1));
            let first = gap.first.max(*numbers.start()).max(after);
            let gap = first..=gap.last.min(*numbers.end());
            if !gap.is_empty() {
                ranges.push(gap);
            }
        }
        ranges
    }

    /// Reads the whole journal repeatedly and slowly, to find damage in records that no reader
    /// reads. [`Journal::known_gaps`] then lists what was found. Returns when the store is closed.
    async fn verify(&self) {
        let journal = self.store.journal();
        loop {
            let mut next = journal.first_seq().max(1);
            // Records that are appended during a pass are checked in the next one.
            let last = journal.last_seq();
            while next <= last {
                tokio::time::sleep(VERIFY_PAUSE).await;
                next = match self.verify_some(next, last).await {
                    Ok(verified) => verified + 1,
                    Err(ReadError::Closed) => return,
                    Err(error) => {
                        tracing::warn!(%error, first = next, "records cannot be verified");
                        next + VERIFY_ROWS
                    }
                };
            }
            tokio::time::sleep(CHECK_PERIOD).await;
        }
    }

    /// Reads some records between two sequence numbers. Returns the last one that was read.
    async fn verify_some(&self, next: u64, last: u64) -> Result<u64, ReadError> {
        let journal = self.store.journal();
        let first = next.max(journal.first_seq());
        let end = last.min(first.saturating_add(VERIFY_ROWS - 1));
        let read = journal.read_ranges(vec![first..=end], Direction::Forward, VERIFY_BYTES).await?;
        let cut = read.records.last().filter(|_| read.is_truncated);
        Ok(cut.map_or(end, |record| record.seq).max(next))
    }

    /// Never returns.
    async fn watch_damaged(&self) {
        let journal = self.store.journal();
        let mut before = Vec::new();
        loop {
            tokio::time::sleep(DAMAGE_PERIOD).await;
            let damaged = journal.known_gaps();
            if damaged == before && self.unrecorded().is_empty() {
                continue;
            }
            if let Err(error) = self.report(&damaged).await {
                tracing::warn!(%error, "damaged records cannot be reported");
            }
            before = damaged;
        }
    }

    /// Returns when the store is closed.
    async fn watch_missing(&self) {
        let journal = self.store.journal();
        loop {
            let mut next = journal.first_seq();
            while next <= journal.last_seq() {
                let outcome = match find_confirmed(&*journal, next, CHECK_ROWS).await {
                    Ok((missing, examined)) => {
                        next = examined.max(next) + 1;
                        self.report(&missing).await
                    }
                    Err(ReadError::Closed) => return,
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = outcome {
                    tracing::warn!(%error, "the journal cannot be checked for missing records");
                    break;
                }
                tokio::time::sleep(CHECK_PAUSE).await;
            }
            tokio::time::sleep(CHECK_PERIOD).await;
        }
    }

    /// The readiness check: it fails while a gap is not acknowledged.
    pub(crate) fn check(self: &Arc<Self>) -> HealthCheck {
        let gaps = Arc::clone(self);
        let probe = move || {
            let known = gaps.list.read().map_err(|error| format!("{error:#}"))?;
            let open = known.iter().filter(|known| !known.is_acknowledged).map(|known| known.gap);
            let mut open: Vec<Gap> = open.collect();
            open.extend_from_slice(&gaps.unrecorded());
            match open.as_slice() {
                [] => Ok(()),
                [gap, ..] => Err(format!(
                    "{} records of the journal are missing or damaged, the first of them {}; \
                     acknowledge them with `keepwatch cursors acknowledge`",
                    open.iter().map(Gap::records).sum::<u64>(),
                    gap.first
                )),
            }
        };
        HealthCheck {
            name: "journal-complete",
            scope: CheckScope::ReadyzOnly,
            probe: Arc::new(probe),
        }
    }

    fn unrecorded(&self) -> Vec<Gap> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs and audits new gaps, and adds them to the list.
    async fn report(&self, gaps_found: &[Gap]) -> Result<()> {
        let _one_at_a_time = self.reporting.lock().await;
        let mut gaps = self.unrecorded();
        gaps.extend(gaps_found.iter().filter(|gap| !gaps.contains(gap)).collect::<Vec<_>>());
        if gaps.is_empty() {
            return Ok(());
        }
        let known = self.list.read()?;
        gaps.retain(|gap| !known.iter().any(|known| known.covers(gap)));
        let (mut recorded, mut left) = (Vec::new(), Vec::new());
        for gap in gaps {
            let (first, last, records) = (gap.first, gap.last, gap.records());
            if gaps_found.contains(&gap) {
                tracing::error!(
                    first,
                    last,
                    records,
                    "records of the journal are missing or damaged"
                );
            }
            let event = delivery::gap_event(gap, SystemClock.now());
            match store::append(&self.store, event::record::write(&event)).await {
                Ok(_) => recorded.push(gap),
                Err(error) => {
                    tracing::warn!(%error, first, last, "the gap cannot be recorded yet");
                    left.push(gap);
                }
            }
        }
        *self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner) = left;
        if recorded.is_empty() {
            return Ok(());
        }
        let new = recorded.iter().map(|&gap| KnownGap { gap, is_acknowledged: false });
        self.list.change(|known| known.extend(new))?;
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).append(&mut recorded);
        Ok(())
    }
}

/// Acknowledges all gaps of the store at `path`, and returns them.
pub(crate) fn acknowledge(path: &Path) -> Result<Vec<Gap>> {
    let list = List::next_to(path);
    // Without gaps nothing is written, not even the lock file.
    if list.read()?.iter().all(|known| known.is_acknowledged) {
        return Ok(Vec::new());
    }
    let mut acknowledged = Vec::new();
    list.change(|known| {
        for known in known.iter_mut().filter(|known| !known.is_acknowledged) {
            known.is_acknowledged = true;
            acknowledged.push(known.gap);
        }
    })?;
    Ok(acknowledged)
}

/// The gaps from a record on that still exist a little later, and the last record that was
/// examined.
async fn find_confirmed(
    journal: &dyn Journal,
    first: u64,
    rows: usize,
) -> Result<(Vec<Gap>, u64), ReadError> {
    let (missing, examined) = journal.find_gaps(first, rows).await?;
    if missing.is_empty() {
        return Ok((missing, examined));
    }
    tokio::time::sleep(CONFIRM_PAUSE).await;
    let (again, _) = journal.find_gaps(first, rows).await?;
    Ok((missing.into_iter().filter(|gap| again.contains(gap)).collect(), examined))
}

impl KnownGap {
    fn covers(&self, gap: &Gap) -> bool {
        self.gap.first <= gap.first && gap.last <= self.gap.last
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let gap = Gap { first: words.next()?.parse().ok()?, last: words.next()?.parse().ok()? };
        let is_acknowledged = match words.next()? {
            ACKNOWLEDGED => true,
            RECORDED => false,
            _ => return None,
        };
        Some(Self { gap, is_acknowledged })
    }
}

impl List {
    fn next_to(store: &Path) -> Self {
        let mut name = store.as_os_str().to_owned();
        name.push(".gaps");
        Self(name.into())
    }

    fn read(&self) -> Result<Vec<KnownGap>> {
        match fs::read_to_string(&self.0) {
            // An unreadable line does not count as an acknowledgement.
            Ok(text) => Ok(text.lines().filter_map(KnownGap::parse).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.0.display())),
        }
    }

    /// Changes the contents of the file. Other processes wait, so that none overwrites changes that
    /// were made since it read the file.
    fn change(&self, change: impl FnOnce(&mut Vec<KnownGap>)) -> Result<()> {
        let path = self.with_suffix(".lock");
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        // The lock is released when the file is closed.
        let _lock = lock
            .and_then(|file| file.lock().map(|()| file))
            .with_context(|| format!("cannot lock {}", path.display()))?;
        let mut known = self.read()?;
        change(&mut known);
        self.write(&known)
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    fn write(&self, known: &[KnownGap]) -> Result<()> {
        let mut text = String::new();
        let surplus = known.len().saturating_sub(KNOWN_MAX);
        let mut left_out = 0;
        for KnownGap { gap, is_acknowledged } in known {
            if *is_acknowledged && left_out < surplus {
                left_out += 1;
                continue;
            }
            let word = if *is_acknowledged { ACKNOWLEDGED } else { RECORDED };
            _ = writeln!(text, "{} {} {word}", gap.first, gap.last);
        }
        let draft = self.with_suffix(".new");
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&draft, &self.0))
            .with_context(|| format!("cannot write {}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use bytes::Bytes;
    use store::Settings;

    use super::*;

    async fn open(path: &Path) -> (Sqlite, Arc<JournalGaps>) {
        let store = Sqlite::open(path, Settings::default(), Arc::new(|| 1)).unwrap();
        let gaps = JournalGaps::new(store.clone()).unwrap();
        gaps.check_at_start().await.unwrap();
        (store, gaps)
    }

    async fn events(store: &Sqlite, after: u64) -> Vec<String> {
        let records = store.journal().read(after, 100, 1 << 20).await.unwrap();
        let verb = |record: store::Record| event::record::read(record.bytes).unwrap().verb;
        records.into_iter().map(verb).collect()
    }

    /// Regression: when the journal ended before a reader's cursor, later records were silently not
    /// delivered.
    #[tokio::test]
    async fn a_gap_is_recorded_once_and_the_server_is_not_ready_until_it_is_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(crate::store_file::STORE_FILE);
        let (store, gaps) = open(&path).await;
        assert_eq!((gaps.check().probe)(), Ok(()));
        store::append(&store, Bytes::from_static(b"one")).await.unwrap();
        let journal = store.journal();
        journal.register("sink", 0).await.unwrap();
        journal.advance_durably("sink", 61, "").await.unwrap();
        store.close().await;
        drop((store, gaps));
        for start in 0..2 {
            let (store, gaps) = open(&path).await;
            let list = fs::metadata(folder.path().join("keepwatch.db.gaps")).unwrap();
            assert_eq!(list.permissions().mode() & 0o777, 0o600);
            let error = (gaps.check().probe)().unwrap_err();
            assert!(error.contains("60 records of the journal are missing"), "{start}: {error}");
            assert_eq!(events(&store, 61).await, ["gap"], "{start}");
            store.close().await;
            drop((store, gaps));
        }
        let (store, gaps) = open(&path).await;
        assert_eq!(acknowledge(&path).unwrap(), [Gap { first: 2, last: 61 }]);
        assert!(acknowledge(&path).unwrap().is_empty());
        assert_eq!((gaps.check().probe)(), Ok(()));
        store.close().await;
    }

    /// Regression: damage in a record that no reader reached was never found.
    #[tokio::test]
    async fn a_damaged_record_that_no_reader_reaches_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(crate::store_file::STORE_FILE);
        let (store, gaps) = open(&path).await;
        for number in 1..=9 {
            store::append(&store, vec![number; 100_000].into()).await.unwrap();
        }
        store.close().await;
        drop((store, gaps));
        let mut bytes = fs::read(&path).unwrap();
        let is_of_7th = |chunk: &&mut [u8]| chunk.iter().all(|byte| *byte == 7);
        for chunk in bytes.chunks_mut(512).filter(is_of_7th) {
            chunk[0] = 0;
        }
        fs::write(&path, bytes).unwrap();
        let (store, gaps) = open(&path).await;
        assert_eq!((gaps.check().probe)(), Ok(()));
        let (mut verified, mut reads) = (0, 0);
        while verified < 9 {
            verified = gaps.verify_some(verified + 1, 9).await.unwrap();
            reads += 1;
        }
        assert_eq!(reads, 4, "two records at a time, and at the end those around the damaged one");
        gaps.report(&store.journal().known_gaps()).await.unwrap();
        assert!((gaps.check().probe)().unwrap_err().contains("1 records of the journal"));
        assert_eq!(events(&store, 9).await, ["gap"]);
        assert_eq!(gaps.within(&(1..=9)), [7..=7]);
        assert!(gaps.within(&(8..=9)).is_empty());
        store.close().await;
    }

    /// Regression: a gap found while an operator acknowledged others was lost from the list, and
    /// the server became ready although no operator had acknowledged the gap.
    #[test]
    fn a_gap_found_during_an_acknowledgement_is_kept() {
        const GAPS: u64 = 300;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keepwatch.db");
        let list = List::next_to(&path);
        let acknowledged = std::thread::scope(|scope| {
            let finding = scope.spawn(|| {
                for first in 1..=GAPS {
                    let gap = Gap { first, last: first };
                    list.change(|known| known.push(KnownGap { gap, is_acknowledged: false }))
                        .unwrap();
                }
            });
            let mut acknowledged = Vec::new();
            while !finding.is_finished() {
                acknowledged.append(&mut acknowledge(&path).unwrap());
            }
            acknowledged.append(&mut acknowledge(&path).unwrap());
            acknowledged
        });
        let all: Vec<Gap> = (1..=GAPS).map(|first| Gap { first, last: first }).collect();
        assert_eq!(acknowledged, all, "each gap is acknowledged once");
        let known = list.read().unwrap();
        assert!(known.len() == all.len() && known.iter().all(|known| known.is_acknowledged));
    }

    #[tokio::test]
    async fn overlapping_gaps_are_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(crate::store_file::STORE_FILE);
        fs::write(List::next_to(&path).0, "2 5 recorded\n4 8 acknowledged\n20 30 recorded\n")
            .unwrap();
        let (store, gaps) = open(&path).await;
        assert_eq!(gaps.within(&(3..=25)), [3..=5, 6..=8, 20..=25]);
        store.close().await;
    }
}
