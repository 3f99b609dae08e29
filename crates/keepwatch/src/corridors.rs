//! The controller's hand on delivery: buckets are opened, checked, attached and left.
//!
//! Nothing is decided here. What belongs to this machine is known here: the journal, the time, and
//! where volumes are mounted.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use controller::decide::Fare;
use controller::{Corridors, Start};
use delivery::{Condition, Delivery};
use sink::bucket::{Bucket, Checksum, Destination, Parts, Provider};
use store::{Journal, ReadError};

/// What is said of a store that does not know `If-None-Match`.
const UNCONDITIONAL: &str = "this store cannot refuse to write over an object (it refuses \
    If-None-Match), so each object is asked for before it is written";
/// What is said of a store that does not take the better checksum.
const MD5: &str = "this store refuses x-amz-checksum-sha256, so uploads carry Content-MD5";
/// What is said of a store that takes none.
const NO_CHECKSUM: &str = "this store refuses x-amz-checksum-sha256 and Content-MD5, so uploads carry \
    no checksum but that of their signature";

/// Delivery, as the controller moves it.
pub(crate) struct Hand {
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) journal: Arc<dyn Journal>,
    /// What all buckets have in common.
    pub(crate) parts: Parts,
    /// Whether the folder of a claim that is not there is made: where nobody mounts volumes.
    pub(crate) makes_claims: bool,
    /// Below which the volumes are.
    pub(crate) volumes: Option<PathBuf>,
}

#[async_trait]
impl Corridors for Hand {
    async fn reserve(&self, reader: &str, start: Start) -> Result<(), String> {
        if self.journal.cursor(reader).is_some() {
            return Ok(());
        }
        let after = match start {
            Start::Oldest => self.journal.first_seq().saturating_sub(1),
            Start::Since(time) => before(&*self.journal, time.as_micros()).await?,
        };
        self.journal.register(reader, after).await.map(drop).map_err(|error| error.to_string())
    }

    async fn check(&self, destination: &Destination) -> Result<String, String> {
        let bucket = self.open(destination)?;
        let checked = bucket.check().await.map_err(|error| error.to_string())?;
        let condition = (!checked.knows_conditions).then_some(UNCONDITIONAL);
        let checksum = match checked.checksum {
            Checksum::Sha256 => None,
            Checksum::Md5 => Some(MD5),
            Checksum::None => Some(NO_CHECKSUM),
        };
        Ok(checksum.into_iter().chain(condition).collect::<Vec<_>>().join("; "))
    }

    async fn go(&self, reader: &str, destination: &Destination) -> Result<(), String> {
        let bucket = self.open(destination)?;
        // The controller has reserved its place.
        let after = self.journal.last_seq();
        self.delivery.attach(reader, bucket, after).await.map_err(|error| error.to_string())
    }

    async fn pause(&self, reader: &str) {
        self.delivery.pause(reader).await;
    }

    async fn leave(&self, reader: &str, time: Duration) -> Result<u64, String> {
        // What nobody delivers at present is not delivered.
        let is_attached = self.delivery.attached_names().iter().any(|name| name == reader);
        let known = self.journal.readers().into_iter().find(|one| one.name == reader);
        let lag = known.filter(|_| !is_attached).map_or(0, |one| one.lag);
        let left = self.delivery.detach(reader, time).await.map_err(|error| error.to_string())?;
        Ok(left.undelivered.max(lag))
    }

    fn fare(&self, reader: &str) -> Option<Fare> {
        let health = self.delivery.health().into_iter().find(|health| health.sink == reader)?;
        Some(match health.condition {
            Condition::Failing { reason, attempts } => Fare::Failing { reason, attempts },
            Condition::NoResponse { reason } => Fare::Silent { reason },
            Condition::Delivering | Condition::Closed => Fare::Delivering,
        })
    }

    fn readers(&self) -> Vec<String> {
        self.journal.readers().into_iter().map(|reader| reader.name).collect()
    }
}

impl Hand {
    fn open(&self, destination: &Destination) -> Result<Bucket, String> {
        if let Provider::File { root, .. } = &destination.provider {
            self.prepare(root)?;
        }
        Bucket::open(destination, self.parts.clone()).map_err(|error| error.to_string())
    }

    /// Makes sure that the volume is there. The folder in it is the bucket's to make.
    fn prepare(&self, root: &Path) -> Result<(), String> {
        let is_there = self.volumes.is_some() && root.is_dir();
        if !self.makes_claims && !is_there {
            return Err(format!("no volume is mounted at {}", root.display()));
        }
        std::fs::create_dir_all(root).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => format!("{} may not be written", root.display()),
            _ => format!("{} cannot be made: {}", root.display(), error.kind()),
        })
    }
}

/// The record before the first one that was committed at this time or later.
async fn before(journal: &dyn Journal, time: i64) -> Result<u64, String> {
    let mut low = journal.first_seq().saturating_sub(1);
    let mut high = journal.last_seq();
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let is_early = match journal.read(middle - 1, 1, 1).await {
            Ok(records) => records.first().is_some_and(|record| record.time < time),
            // Rather too much than too little.
            Err(ReadError::Damaged { .. } | ReadError::Missing { .. }) => false,
            Err(error) => return Err(error.to_string()),
        };
        if is_early {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use store::{Settings, Sqlite, Storage as _};

    use super::*;

    #[tokio::test]
    async fn the_first_record_since_a_time_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Sqlite::open(&path, Settings::default(), crate::clock::for_store()).unwrap();
        let journal = store.journal();
        assert_eq!(before(&*journal, 0).await, Ok(0));
        for number in 0..9 {
            store.append(Bytes::from(format!("{number}"))).await.unwrap();
        }
        let records = journal.read(0, 100, 1 << 20).await.unwrap();
        for record in &records {
            let first = records.iter().find(|one| one.time >= record.time).unwrap();
            assert_eq!(before(&*journal, record.time).await, Ok(first.seq - 1));
        }
        assert_eq!(before(&*journal, i64::MAX).await, Ok(9));
        store.close().await;
    }
}
