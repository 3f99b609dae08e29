//! Objects of a bucket or a folder, which other programs write: cloud providers' control-plane logs,
//! a real K10's `k10audit/`, and the archive of another Keepwatch.
//!
//! The prefix is listed again and again. An object is read if its key or its entity tag is new, the
//! oldest first. How far each was read is stored in the transaction of the events, so that a kill
//! neither loses nor doubles one. Objects are remembered that were modified within
//! [`BUCKET_WINDOW`](crate::limits::BUCKET_WINDOW) before the newest one; older ones count as read.
//! So an object that appears late is found, whatever its key. In a folder, the time of a file says
//! nothing about when it appeared, so all files are remembered. An object that grows is read on; one
//! that is replaced is read again.
//!
//! Deliberately absent: credentials, notifications of the store, and changes to the bucket.

mod listing;
mod object;
mod window;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event::Timestamp;
use futures::StreamExt as _;
use objectstore::{Bucket, ObjectEntry, Provider};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::envelopes::{Meaning, Position, Record};
use crate::limits::{BUCKET_IDLE, BUCKET_READS_MAX, BUCKET_RETRY_MAX, CHUNK_EVENTS_MAX};
use crate::recorder::StoredObject;
use crate::{EventSource, Recorder, SourceStatus};
use listing::Batch;
use object::{Chunk, ObjectReader};
use window::{Progress, State, Window};

/// The kind of these sources.
pub const KIND: &str = "Bucket";
/// How long the detector waits for earlier events: objects are read in the order in which they were
/// written, but their events may be older.
pub const LATENESS: Duration = Duration::from_mins(5);

/// Configuration of [`Buckets`].
#[derive(Clone, Debug)]
pub struct BucketSourceConfig {
    /// Name of the source.
    pub name: String,
    /// Name of the cluster in which the events are made.
    pub cluster: String,
    /// The URL of the prefix, which identifies it after a restart.
    pub url: String,
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// The beginning of the keys.
    pub prefix: String,
    /// Pause between two listings.
    pub poll_period: Duration,
    /// Time in which it is normal that there is no new object.
    pub quiet_period: Duration,
    /// A permit for each object that is read at a time, shared by all prefixes.
    pub reads: Arc<Semaphore>,
}

/// Reads the objects of one prefix.
#[derive(Debug)]
pub struct Buckets {
    config: BucketSourceConfig,
    status: Arc<SourceStatus>,
}

/// The names of the sources for these clusters, one each. The second prefix of a cluster gets a
/// number.
pub fn names<'c>(clusters: impl IntoIterator<Item = &'c str>) -> Vec<String> {
    let mut earlier: Vec<&str> = Vec::new();
    let mut names = Vec::new();
    for cluster in clusters {
        let number = 1 + earlier.iter().filter(|other| **other == cluster).count();
        // No name of a cluster has an underscore.
        let suffix = if number == 1 { String::new() } else { format!("_{number}") };
        names.push(format!("bucket-{cluster}{suffix}"));
        earlier.push(cluster);
    }
    names
}

impl Buckets {
    /// A prefix that is not read yet.
    pub fn new(config: BucketSourceConfig) -> Self {
        let status = SourceStatus::new(&config.name, KIND, &config.cluster);
        let status = Arc::new(status.quiet_for(config.quiet_period));
        Self { config, status }
    }
}

#[async_trait]
impl EventSource for Buckets {
    fn statuses(&self) -> Vec<Arc<SourceStatus>> {
        vec![Arc::clone(&self.status)]
    }

    async fn run(self: Box<Self>, recorder: Arc<Recorder>, stop: CancellationToken) {
        let Self { config, status } = *self;
        tracing::info!(
            url = config.url,
            cluster = config.cluster,
            "reading the objects of a bucket"
        );
        let retry = config.poll_period;
        let mut follower = Follower { config, status, recorder, retry };
        tokio::select! {
            () = stop.cancelled() => {}
            () = follower.run() => {}
        }
    }
}

/// Why objects are not read on.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Reads the objects of a prefix and records their events.
struct Follower {
    config: BucketSourceConfig,
    status: Arc<SourceStatus>,
    recorder: Arc<Recorder>,
    /// The pause after the next error.
    retry: Duration,
}

impl Follower {
    async fn run(&mut self) {
        let prefix = Window::prefix(&self.config.cluster, &self.config.url);
        let provider = &self.config.bucket.destination().provider;
        let is_folder = matches!(provider, Provider::File(_));
        let mut window = loop {
            match self.recorder.objects(&prefix).await {
                Ok(objects) => break Window::read(prefix, is_folder, &objects),
                Err(error) => self.fail(&error).await,
            }
        };
        if let Some(newest) = window.newest_with_events() {
            self.status.delivered(newest.min(self.recorder.now()));
        }
        loop {
            match self.pass(&mut window).await {
                Ok(is_complete) => {
                    self.retry = self.config.poll_period;
                    if is_complete {
                        tokio::time::sleep(self.config.poll_period).await;
                    }
                }
                Err(error) => self.fail(&*error).await,
            }
        }
    }

    /// Lists the prefix, and reads the objects that are due. Returns whether these were all. An
    /// object that fails does not keep the others from being read.
    async fn pass(&self, window: &mut Window) -> Result<bool, Failure> {
        let batch = self.list(window).await;
        self.status.set_listed(batch.is_ok());
        let Batch { due, newest, waiting, is_complete, mut missing, removed } = batch?;
        if !missing.is_empty() {
            tracing::warn!(objects = missing.len(), "objects were removed before they were read");
        }
        missing.extend(window.oldest(removed));
        self.store(window.remove(missing)).await?;
        let last = due.last().map(|(object, _)| object.modified);
        let read_up_to = if is_complete { newest } else { last.min(newest) };
        self.status.update_progress(|progress| progress.waiting = waiting);
        let mut failures = Failures::default();
        let reads = due.into_iter().map(|(object, position)| self.read(object, position));
        let mut reads = futures::stream::iter(reads).buffer_unordered(BUCKET_READS_MAX);
        while let Some((object, progress, outcome)) = reads.next().await {
            match outcome {
                Ok(()) => {
                    if progress.has_events {
                        self.status.delivered(object.modified.min(self.recorder.now()));
                    }
                    self.status.update_progress(|progress| {
                        progress.objects += 1;
                        progress.waiting = progress.waiting.saturating_sub(1);
                        progress.last_key.clone_from(&object.key);
                    });
                }
                Err(error) => failures.add(error, object.modified),
            }
            window.insert(object.key, progress);
        }
        if let (Some(read_up_to), Some(newest)) = (read_up_to, newest) {
            self.forget(window, failures.oldest, read_up_to, newest).await?;
        }
        match failures.first {
            None => {
                self.status.clear_error();
                Ok(is_complete)
            }
            Some(error) => Err(error),
        }
    }

    async fn list(&self, window: &Window) -> Result<Batch, Failure> {
        let objects = self.config.bucket.listing(&self.config.prefix)?;
        Ok(listing::due(objects, window, self.recorder.now()).await?)
    }

    /// Reads an object from a position on, and records its events. Returns how far that succeeded.
    async fn read(
        &self,
        object: ObjectEntry,
        position: Position,
    ) -> (ObjectEntry, Progress, Result<(), Failure>) {
        let mut progress = Progress::new(&object, position);
        let outcome = self.read_into(&object, &mut progress).await;
        (object, progress, outcome)
    }

    async fn read_into(
        &self,
        object: &ObjectEntry,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        if is_other_log(&object.key) {
            return self.record(object, progress, Chunk::end(progress.position.clone())).await;
        }
        let _permit = self.config.reads.acquire().await?;
        let salt = [self.config.cluster.as_bytes(), &[0]].concat();
        let bucket = &self.config.bucket;
        let takes_tail = is_idle(object.modified, self.recorder.now());
        let position = progress.position.clone();
        let mut reader = ObjectReader::open(bucket, object, &salt, position).await?;
        loop {
            let chunk = reader.chunk(takes_tail).await?;
            let is_end = chunk.is_end;
            self.record(object, progress, chunk).await?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// Records events and the position after them, in one transaction.
    async fn record(
        &self,
        object: &ObjectEntry,
        progress: &mut Progress,
        chunk: Chunk,
    ) -> Result<(), Failure> {
        let Chunk { records, position, is_end, is_waiting } = chunk;
        let state = match (is_end, is_waiting) {
            (_, true) => State::Waiting,
            (true, false) => State::Done,
            (false, false) => State::Reading,
        };
        let is_event = |record: &Record| matches!(record.meaning, Meaning::Event);
        let has_events = progress.has_events || records.iter().any(is_event);
        let next = Progress { position, state, has_events, ..progress.clone() };
        let mut recording = self.recorder.begin(&self.status);
        recording.write_with_events(StoredObject {
            key: Window::key(&self.config.cluster, &self.config.url, &object.key),
            body: Some(next.body(&object.key)),
        });
        let mut others = 0;
        for record in records {
            recording.set_location(&object.key, record.offset);
            match record.meaning {
                Meaning::Event => recording.add(record.item).await?,
                Meaning::Other => others += 1,
                Meaning::Unknown(reason) => recording.add_rejected(record.item, &reason).await?,
            }
        }
        recording.finish().await?;
        self.status.update_progress(|progress| progress.other += others);
        *progress = next;
        Ok(())
    }

    /// Forgets objects that count as read from now on.
    async fn forget(
        &self,
        window: &mut Window,
        failed: Option<Timestamp>,
        read_up_to: Timestamp,
        newest: Timestamp,
    ) -> Result<(), Failure> {
        // The horizon is the first. What a kill leaves is forgotten later.
        self.store(window.advance(failed, read_up_to, newest).unwrap_or_default()).await
    }

    /// Changes objects of Keepwatch's store.
    async fn store(&self, changes: Vec<StoredObject>) -> Result<(), Failure> {
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            self.recorder.store(changes.by_ref().take(CHUNK_EVENTS_MAX).collect()).await?;
        }
        Ok(())
    }

    /// Waits, each time longer.
    async fn fail(&mut self, error: &(dyn std::error::Error + Send + Sync)) {
        let url = &self.config.url;
        tracing::warn!(url, %error, "objects of a bucket cannot be read; they are read again");
        self.status.failed(&error.to_string());
        tokio::time::sleep(self.retry).await;
        self.retry = (2 * self.retry).min(BUCKET_RETRY_MAX.max(self.config.poll_period));
    }
}

/// The objects that failed in one pass.
#[derive(Default)]
struct Failures {
    first: Option<Failure>,
    /// The time of the oldest.
    oldest: Option<Timestamp>,
}

impl Failures {
    fn add(&mut self, error: Failure, modified: Timestamp) {
        self.first.get_or_insert(error);
        self.oldest = Some(self.oldest.map_or(modified, |oldest| oldest.min(modified)));
    }
}

/// Whether nothing is expected to be added to an object.
fn is_idle(modified: Timestamp, now: Timestamp) -> bool {
    let idle = i64::try_from(BUCKET_IDLE.as_micros()).unwrap_or(i64::MAX);
    now.as_micros().saturating_sub(modified.as_micros()) > idle
}

/// Whether an object has another log of Amazon EKS, by the name of its log stream, or is the one by
/// which Amazon CloudWatch tests an export.
fn is_other_log(key: &str) -> bool {
    const TEST: &str = "aws-logs-write-test";
    const OTHERS: [&str; 5] = [
        "kube-apiserver-",
        "authenticator-",
        "kube-controller-manager-",
        "kube-scheduler-",
        "cloud-controller-manager-",
    ];
    const AUDIT: &str = "kube-apiserver-audit-";
    let Some((folder, name)) = key.rsplit_once('/') else { return key == TEST };
    let stream = folder.rsplit('/').next().unwrap_or_default();
    let is_export = name.strip_suffix(".gz").is_some_and(|number| number.len() == "000000".len());
    let is_other = OTHERS.iter().any(|other| stream.starts_with(other));
    name == TEST || (is_export && is_other && !stream.starts_with(AUDIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_other_logs_are_known_by_their_keys() {
        let audit = "kube-apiserver-audit-0a1b2c3d4e5f60718293a4b5c6d7e8f9";
        for (key, expected) in [
            (format!("exportedlogs/task/{audit}/000000.gz"), false),
            ("exportedlogs/task/kube-apiserver-0a1b/000000.gz".to_owned(), true),
            ("exportedlogs/task/authenticator-0a1b/000001.gz".to_owned(), true),
            ("exportedlogs/aws-logs-write-test".to_owned(), true),
            ("aws-logs-write-test".to_owned(), true),
            ("logs/authenticator-0a1b/audit.json.gz".to_owned(), false),
            ("k10audit/cluster=prod/source=stdout/1.json.gz".to_owned(), false),
        ] {
            assert_eq!(is_other_log(&key), expected, "{key}");
        }
    }

    #[test]
    fn each_prefix_has_a_name() {
        let names = names(["a", "b", "a", "a"]);
        assert_eq!(names, ["bucket-a", "bucket-b", "bucket-a_2", "bucket-a_3"]);
    }
}
