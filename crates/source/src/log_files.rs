//! kube-apiserver's audit log: a file to which it adds a line for each event.
//!
//! The log is read on whatever happens to its files: rotated by renaming or by copying and
//! truncating, compressed, removed. Each line is recorded once. How far each file was read is stored
//! in the transaction of the events, so that this holds after a crash too. If the journal is full,
//! the log waits.
//!
//! The files are looked at every [`LOG_POLL_PERIOD`]; no notification of the operating system is
//! needed, which network file systems do not have.
//!
//! Deliberately absent: rotated files that are older than the first start, and other compressions
//! than gzip.

mod entry;
mod file;
mod folder;
mod lines;
mod positions;
mod reader;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::limits::{LOG_POLL_PERIOD, LOG_RETRY_MAX};
use crate::recorder::StoredObject;
use crate::{EventSource, Recorder, SourceStatus, Transfer};
use entry::{Chunk, Step};
use positions::{Position, Positions};
use reader::LogReader;

/// The kind of these sources.
pub const KIND: &str = "AuditLog";
/// Time within which an event arrives: kube-apiserver writes its line at once, and the file is
/// looked at several times a second.
pub const LATENESS: Duration = Duration::from_secs(5);
/// Reads between two looks at the files, if there is always more to read.
const READS_MAX: u32 = 16;

/// Configuration of a [`LogFiles`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilesConfig {
    /// Name of the source.
    pub name: String,
    /// Name of the cluster in which the events are made.
    pub cluster: String,
    /// Path of the log: kube-apiserver's `--audit-log-path`.
    pub path: PathBuf,
    /// Pause between two looks at the files.
    pub poll_period: Duration,
}

/// The names of sources for these logs, one each. The second log of a cluster, for example of
/// another control-plane node, gets a number.
pub fn configs(logs: &[(String, PathBuf)]) -> Vec<LogFilesConfig> {
    let mut configs: Vec<LogFilesConfig> = Vec::with_capacity(logs.len());
    for (cluster, path) in logs {
        if configs.iter().any(|config| config.cluster == *cluster && config.path == *path) {
            continue;
        }
        let number = 1 + configs.iter().filter(|config| config.cluster == *cluster).count();
        // No name of a cluster has an underscore.
        let suffix = if number == 1 { String::new() } else { format!("_{number}") };
        configs.push(LogFilesConfig {
            name: format!("audit-log-{cluster}{suffix}"),
            cluster: cluster.clone(),
            path: path.clone(),
            poll_period: LOG_POLL_PERIOD,
        });
    }
    configs
}

/// Reads one log.
#[derive(Debug)]
pub struct LogFiles {
    config: LogFilesConfig,
    status: Arc<SourceStatus>,
}

impl LogFiles {
    /// A log that is not read yet.
    pub fn new(config: LogFilesConfig) -> Self {
        let status = Arc::new(SourceStatus::new(&config.name, KIND, &config.cluster));
        Self { config, status }
    }
}

#[async_trait]
impl EventSource for LogFiles {
    fn statuses(&self) -> Vec<Arc<SourceStatus>> {
        vec![Arc::clone(&self.status)]
    }

    async fn run(self: Box<Self>, recorder: Arc<Recorder>, stop: CancellationToken) {
        let Self { config, status } = *self;
        tracing::info!(path = %config.path.display(), cluster = config.cluster, "reading a log");
        let period = config.poll_period;
        let mut follower = Follower { config, status, recorder, retry: period, notice: None };
        tokio::select! {
            () = stop.cancelled() => {}
            () = follower.run() => {}
        }
    }
}

/// Why a log is not read on.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Reads a log and records its lines.
struct Follower {
    config: LogFilesConfig,
    status: Arc<SourceStatus>,
    recorder: Arc<Recorder>,
    /// The pause after the next error.
    retry: Duration,
    /// What the status says about the files.
    notice: Option<String>,
}

impl Follower {
    async fn run(&mut self) {
        let mut reader = loop {
            match self.open().await {
                Ok(reader) => break reader,
                Err(error) => self.fail(&*error).await,
            }
        };
        let mut reads = 0;
        loop {
            let (now, is_due) = (self.recorder.now(), reads == 0);
            let read = tokio::task::spawn_blocking(move || {
                if is_due {
                    reader.scan(now);
                }
                let step = reader.read(now);
                (reader, step)
            });
            // It ends with the process, or it has panicked.
            let Ok((returned, step)) = read.await else { return };
            reader = returned;
            reads = if reads < READS_MAX { reads + 1 } else { 0 };
            match step {
                Step::Chunk(chunk) => {
                    let (content, position) = (chunk.content, chunk.position);
                    match self.record(reader.positions(), chunk).await {
                        Ok(()) => {
                            reader.commit(content, position, self.recorder.now());
                            self.retry = self.config.poll_period;
                        }
                        Err(error) => {
                            // Files that are removed meanwhile must be open.
                            reads = 0;
                            self.fail(&*error).await;
                        }
                    }
                }
                Step::Again => reads = 0,
                Step::Idle => {
                    reads = 0;
                    self.forget(&mut reader).await;
                    self.report(reader.notice());
                    tokio::time::sleep(self.config.poll_period).await;
                }
            }
        }
    }

    /// Reads the stored positions. At the first start, rotated files count as read.
    async fn open(&self) -> Result<LogReader, Failure> {
        let LogFilesConfig { cluster, path, .. } = &self.config;
        let prefix = Positions::prefix(cluster, path);
        let objects = self.recorder.objects(&prefix).await?;
        let positions = Positions::read(prefix, &objects);
        let is_started = positions.is_started();
        let seed = Sha256::new().chain_update(cluster).chain_update([0]);
        let mut reader = LogReader::new(path, seed, positions);
        if is_started {
            return Ok(reader);
        }
        let now = self.recorder.now();
        let look = move || (reader.older(now), reader);
        let (older, mut reader) = tokio::task::spawn_blocking(look).await?;
        let positions = reader.positions();
        let start = (positions.start_key(), Bytes::from_static(b"{}"));
        let done = older.iter().map(|content| positions.object(*content, Position::Done, now));
        let objects = done.chain([start]);
        let objects = objects.map(|(key, body)| StoredObject { key, body: Some(body) }).collect();
        self.recorder.store(objects).await?;
        tracing::info!(files = older.len(), "older rotated files of the log are not read");
        for content in older {
            reader.commit(content, Position::Done, now);
        }
        Ok(reader)
    }

    /// Records lines and the position after them, in one transaction.
    async fn record(&self, positions: &Positions, chunk: Chunk) -> Result<(), Failure> {
        let now = self.recorder.now();
        let (key, body) = positions.object(chunk.content, chunk.position, now);
        let mut recording = self.recorder.begin(&self.status);
        recording.write_with_events(StoredObject { key, body: Some(body) });
        for item in chunk.items {
            recording.add(item).await?;
        }
        recording.finish().await?;
        Ok(())
    }

    /// Deletes positions that are not needed.
    async fn forget(&self, reader: &mut LogReader) {
        let keys = reader.forget();
        if keys.is_empty() {
            return;
        }
        let objects = keys.into_iter().map(|key| StoredObject { key, body: None }).collect();
        if let Err(error) = self.recorder.store(objects).await {
            tracing::warn!(%error, "old positions in a log are deleted at a later start");
        }
    }

    /// Waits, each time longer.
    async fn fail(&mut self, error: &(dyn std::error::Error + Send + Sync)) {
        let path = self.config.path.display();
        tracing::warn!(%path, %error, "lines of a log cannot be recorded; they are read again");
        self.status.failed(&format!("its lines cannot be recorded: {error}"));
        tokio::time::sleep(self.retry).await;
        self.retry = (2 * self.retry).min(LOG_RETRY_MAX);
    }

    /// Shows in the status what is wrong about the files.
    fn report(&mut self, notice: Option<&str>) {
        if self.notice.as_deref() != notice {
            match notice {
                Some(notice) => tracing::warn!(notice, "a log is not read completely"),
                None => self.status.succeeded(&Transfer::default(), self.recorder.now()),
            }
            self.notice = notice.map(str::to_owned);
        }
        // Lines of other files may have been recorded since.
        if let Some(notice) = notice {
            self.status.show_error(notice);
        }
    }
}
