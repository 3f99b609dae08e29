//! A program that writes a log and rotates it, and a reader of the log.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use source::log_files::LogFilesConfig;
use source::{EventSource, LogFiles, SourceSnapshot, SourceStatus};
use store::{Sqlite, Storage as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fixture::{TestStore, event};

/// Time in which everything that was written must be recorded.
const TIME_MAX: Duration = Duration::from_secs(20);

/// A program that writes a log, and rotates it in all ways.
pub(super) struct Log {
    pub(super) path: PathBuf,
    /// What the program has open.
    pub(super) file: Option<File>,
    /// Where it writes, if not at the end: it was not opened to append.
    offset: Option<u64>,
    /// The number of the next event.
    pub(super) next: usize,
    rotations: usize,
}

impl Log {
    pub(super) fn new(on: &TestStore) -> Self {
        let folder = on.folder.path().join("logs");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("audit.log");
        Self { path, file: None, offset: None, next: 0, rotations: 0 }
    }

    /// Writes this number of events.
    pub(super) fn write(&mut self, events: usize) {
        for _ in 0..events {
            let line = self.line();
            self.write_text(&line);
        }
    }

    /// The line of the next event.
    pub(super) fn line(&mut self) -> String {
        self.next += 1;
        format!("{}\n", event(&format!("id-{}", self.next - 1)))
    }

    pub(super) fn write_text(&mut self, text: &str) {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            self.file = Some(options.append(true).create(true).open(&self.path).unwrap());
        }
        let file = self.file.as_mut().unwrap();
        match &mut self.offset {
            Some(offset) => {
                file.write_all_at(text.as_bytes(), *offset).unwrap();
                *offset += text.len() as u64;
            }
            None => file.write_all(text.as_bytes()).unwrap(),
        }
    }

    /// From now on, the program writes at its own offset.
    pub(super) fn open_without_append(&mut self) {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&self.path).unwrap();
        self.offset = Some(file.metadata().unwrap().len());
        self.file = Some(file);
    }

    /// The name that kube-apiserver gives to the next rotated file.
    pub(super) fn rotated(&mut self) -> PathBuf {
        self.rotations += 1;
        let name = format!("audit-2026-11-30T20-40-40.{:03}.log", self.rotations);
        self.path.with_file_name(name)
    }

    /// Renames the file and opens a new one, as kube-apiserver does.
    pub(super) fn rename(&mut self) -> PathBuf {
        let to = self.rotated();
        std::fs::rename(&self.path, &to).unwrap();
        (self.file, self.offset) = (None, None);
        to
    }

    /// Shifts the older files, and renames the file to `audit.log.1`.
    pub(super) fn shift(&mut self) -> PathBuf {
        let name =
            |number: usize, end: &str| self.path.with_file_name(format!("audit.log.{number}{end}"));
        for number in (1..50).rev() {
            for end in ["", ".gz"] {
                let old = name(number, end);
                if old.exists() {
                    std::fs::rename(old, name(number + 1, end)).unwrap();
                }
            }
        }
        name(1, "")
    }

    /// Copies the file and truncates it.
    pub(super) fn copy_and_truncate(&mut self) -> PathBuf {
        let to = self.shift();
        std::fs::copy(&self.path, &to).unwrap();
        File::options().write(true).open(&self.path).unwrap().set_len(0).unwrap();
        to
    }
}

/// Compresses a file as gzip does: the original is removed at the end.
pub(super) fn compress(path: &Path) -> PathBuf {
    let to = PathBuf::from(format!("{}.gz", path.display()));
    let mut file = File::open(path).unwrap();
    let mut encoder = GzEncoder::new(File::create(&to).unwrap(), Compression::fast());
    std::io::copy(&mut file, &mut encoder).unwrap();
    let compressed = encoder.finish().unwrap();
    compressed.set_modified(file.metadata().unwrap().modified().unwrap()).unwrap();
    std::fs::remove_file(path).unwrap();
    to
}

/// A reader of a log, which a test kills and starts again.
pub(super) struct Reader {
    store: Sqlite,
    pub(super) status: Arc<SourceStatus>,
    tasks: JoinSet<()>,
}

impl Reader {
    pub(super) async fn start(on: &TestStore, store: &Sqlite, log: &Log) -> Self {
        // What a killed reader has submitted is committed first.
        store.submit(Box::new(|_| {})).await.unwrap();
        let config = LogFilesConfig {
            name: "audit-log-prod".to_owned(),
            cluster: "prod".to_owned(),
            path: log.path.clone(),
            poll_period: Duration::from_millis(1),
        };
        let source = LogFiles::new(config);
        let status = source.statuses().remove(0);
        let (recorder, stop) = (on.recorder(store).await, CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(Box::new(source).run(recorder, stop));
        Self { store: store.clone(), status, tasks }
    }

    pub(super) async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Waits until the log was read, and that often.
    pub(super) async fn wait(
        &self,
        what: &str,
        mut is_done: impl AsyncFnMut(&SourceSnapshot) -> bool,
    ) {
        let poll = async {
            while !is_done(&self.status.snapshot()).await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let is_in_time = tokio::time::timeout(TIME_MAX, poll).await.is_ok();
        assert!(is_in_time, "{what}: {:?}", self.status.snapshot());
    }

    /// Waits until the journal has this number of records.
    pub(super) async fn wait_recorded(&self, what: &str, records: usize) {
        let journal = self.store.journal();
        self.wait(what, async |_| journal.last_seq() >= records as u64).await;
    }
}
