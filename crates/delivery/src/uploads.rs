//! Attaches and detaches object stores while the server runs.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use objectstore::Bucket;
use store::{Cursor, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Delivery;
use crate::health::SinkStatus;
use crate::reader::JournalReader;
use crate::upload_intent::UploadIntent;
use crate::upload_target::UploadTarget;
use crate::uploader::Uploader;
use sink::DeliveryHealth;

/// A handle of an uploader.
pub(crate) struct UploaderHandle {
    pub(crate) status: Arc<SinkStatus>,
    target: watch::Sender<UploadTarget>,
    /// Stops the uploader immediately.
    abort: CancellationToken,
    /// Cancelled when the uploader has stopped.
    stopped: CancellationToken,
}

/// The result of detaching a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetachOutcome {
    /// Number of records of the journal that were not delivered at that time.
    pub undelivered: u64,
}

impl Delivery {
    /// Starts delivery to a bucket under the name of a reader. The reader's cursor is durable when
    /// this returns. An existing reader continues at its cursor; a new one starts after the record
    /// `after`. If it is attached already, this is [`retarget`](Self::retarget); an uploader that
    /// has stopped is replaced.
    pub async fn attach(&self, name: &str, bucket: Bucket, after: u64) -> Result<(), StoreError> {
        let cursor = self.journal.register(name, after).await?;
        let mut handles = self.lock_uploaders();
        if self.stop.is_cancelled() {
            return Err(StoreError::Closed);
        }
        if let Some(handle) = handles.get(name).filter(|handle| handle.is_running()) {
            handle.set_target(bucket);
            return Ok(());
        }
        handles.insert(name.to_owned(), self.start_uploader(name, bucket, cursor));
        Ok(())
    }

    fn start_uploader(&self, name: &str, bucket: Bucket, cursor: Cursor) -> UploaderHandle {
        let status = Arc::new(SinkStatus::new(name));
        let bucket = Arc::new(bucket);
        let target = UploadTarget { bucket, version: 0, set_at: Instant::now(), end_seq: None };
        let (target, target_receiver) = watch::channel(target);
        let (abort, stopped) = (CancellationToken::new(), CancellationToken::new());
        let journal = Arc::clone(&self.journal);
        let intent = UploadIntent::parse(&cursor.state).filter(|intent| intent.last > cursor.seq);
        let reader =
            JournalReader::new(name, journal, self.metrics.clone(), Arc::clone(&status), cursor);
        let uploader = Uploader::new(reader, target_receiver, intent);
        let run = uploader.run(self.stop.clone(), abort.clone());
        let stopped_guard = stopped.clone().drop_guard();
        self.uploader_tasks.spawn(async move {
            run.await;
            drop(stopped_guard);
        });
        UploaderHandle { status, target, abort, stopped }
    }

    /// Continues with another bucket, or other credentials for the same one, without loss or
    /// repetition. Returns whether the reader is attached and has not stopped.
    pub fn retarget(&self, name: &str, bucket: Bucket) -> bool {
        let handles = self.lock_uploaders();
        let handle = handles.get(name).filter(|handle| handle.is_running());
        if let Some(handle) = handle {
            handle.set_target(bucket);
        }
        handle.is_some()
    }

    /// Stops delivery immediately and keeps the cursor, at which [`attach`](Self::attach)
    /// continues. Returns whether the reader was attached.
    pub async fn pause(&self, name: &str) -> bool {
        let handle = self.lock_uploaders().remove(name);
        if let Some(handle) = &handle {
            handle.abort.cancel();
            handle.stopped.cancelled().await;
        }
        handle.is_some()
    }

    /// Delivers the current records of the journal, within `deadline`, and removes the reader.
    pub async fn detach(
        &self,
        name: &str,
        deadline: Duration,
    ) -> Result<DetachOutcome, StoreError> {
        let Some(handle) = self.lock_uploaders().remove(name) else {
            // There is no uploader, but a cursor from before the start may exist.
            self.journal.remove(name).await?;
            return Ok(DetachOutcome { undelivered: 0 });
        };
        let last = self.journal.last_seq();
        handle.target.send_modify(|target| target.end_seq = Some(last));
        if tokio::time::timeout(deadline, handle.stopped.cancelled()).await.is_err() {
            handle.abort.cancel();
            handle.stopped.cancelled().await;
        }
        self.journal.remove(name).await?;
        self.metrics.remove_reader(name);
        Ok(DetachOutcome { undelivered: last.saturating_sub(handle.status.seq()) })
    }

    /// Names of the attached readers.
    pub fn attached_names(&self) -> Vec<String> {
        self.lock_uploaders().keys().cloned().collect()
    }

    /// Delivers the current records of the journal to every bucket, in bounded time, and stops. No
    /// bucket can be attached after that.
    pub async fn close(&self) {
        self.stop.cancel();
        self.uploader_tasks.close();
        self.uploader_tasks.wait().await;
    }

    pub(crate) fn lock_uploaders(&self) -> MutexGuard<'_, BTreeMap<String, UploaderHandle>> {
        self.uploaders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UploaderHandle {
    fn is_running(&self) -> bool {
        !self.stopped.is_cancelled()
    }

    fn set_target(&self, bucket: Bucket) {
        self.target.send_modify(|target| {
            target.bucket = Arc::new(bucket);
            target.version += 1;
            target.set_at = Instant::now();
        });
        // The health of the old bucket no longer matters.
        self.status.set_condition(DeliveryHealth::Delivering);
    }
}
