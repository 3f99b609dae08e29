//! `keepwatch forward`: sends the lines of kube-apiserver's audit log to the audit webhook of
//! another Keepwatch.
//!
//! The lines are buffered in a journal on disk, together with the position in each file. The only
//! reader of the journal sends them, and moves its cursor when the receiver has recorded them. If
//! the receiver is unavailable, the journal grows up to its limit; then no more lines are read.
//!
//! Deliberately absent: parsing of lines, which the receiver does.

mod buffer;
mod health;
mod logs;
mod receiver;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use delivery::{Delivery, SinkTask};
use prometheus_client::registry::Registry;
use sink::event_list::EventListSink;
use source::limits::IDENTITY_AGE_MAX;
use source::{EventSource, Form, LogFiles, Recorder, SourceStatus};
use store::{Settings, Sqlite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::args::forward::ForwardArgs;
use crate::clock::SystemClock;
use crate::modes::{self, FolderUse, ProvidedFile};
use crate::store_file::{self, STORE_FILE};
use crate::usage_error::UsageError;
use buffer::Buffer;
pub(super) use buffer::register;
use health::HealthServer;
pub(super) use health::{
    CONNECTION_TIME_MAX as HEALTH_CONNECTION_TIME_MAX, CONNECTIONS_MAX as HEALTH_CONNECTIONS_MAX,
};

/// The name of the reader, of its cursor and in metrics.
const READER: &str = "forward";
/// Minimum size of the buffer: the size of an empty file, and some batches.
pub(crate) const BUFFER_BYTES_MIN: u64 = 16 << 20;
/// Memory for the positions in files.
pub(crate) const OBJECT_CACHE_BYTES: usize = 4 << 20;
/// Timeout for remaining blocking threads after shutdown.
const LEAVE_TIME_MAX: Duration = Duration::from_millis(500);

/// Forwards until SIGINT or SIGTERM.
pub(crate) fn run(args: &ForwardArgs) -> Result<ExitCode> {
    check(args)?;
    crate::log::init(args.log_format, false);
    let runtime = app::runtime()?;
    let outcome = runtime.block_on(forward_until_shutdown(args));
    runtime.shutdown_timeout(LEAVE_TIME_MAX);
    outcome.map(|()| ExitCode::SUCCESS)
}

fn check(args: &ForwardArgs) -> Result<(), UsageError> {
    let mut errors = Vec::new();
    if args.buffer_size < BUFFER_BYTES_MIN {
        let size = args.buffer_size;
        errors.push(format!("--buffer-size={size} must be at least {BUFFER_BYTES_MIN} bytes"));
    }
    logs::check(&args.audit_log_path, &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(UsageError(errors)) }
}

async fn forward_until_shutdown(args: &ForwardArgs) -> Result<()> {
    let path = args.webhook_config.clone();
    modes::warn_of_provided([ProvidedFile {
        flag: "--webhook-config",
        path: &path,
        is_secret: true,
    }]);
    let receiver = receiver::read(&path)?;
    let logs = logs::find(&args.audit_log_path)?;
    let store = open_store(args)?;
    tracing::info!(receiver = %receiver.url, logs = logs.len(), "forwarding audit events");
    let forwarder = Forwarder::open(args, store.clone(), logs).await?;
    let outcome = forwarder.run(app::shutdown_signal()).await;
    store.close().await;
    outcome
}

fn open_store(args: &ForwardArgs) -> Result<Sqlite> {
    modes::tighten(&args.data_dir, FolderUse::Volume)?;
    let settings = Settings {
        // Long enough to recognize lines that are read again after a crash.
        journal_retention_age: IDENTITY_AGE_MAX,
        journal_retention_bytes: args.buffer_size / 4,
        limit_bytes: args.buffer_size,
        object_cache_bytes: OBJECT_CACHE_BYTES,
        ..Settings::default()
    };
    store_file::open_store(&args.data_dir.join(STORE_FILE), settings)
}

/// The parts that run.
struct Forwarder {
    sources: Vec<LogFiles>,
    recorder: Arc<Recorder>,
    task: SinkTask,
    delivery: Arc<Delivery>,
    buffer: Buffer,
    health: HealthServer,
}

impl Forwarder {
    async fn open(
        args: &ForwardArgs,
        store: Sqlite,
        logs: Vec<source::log_files::LogFilesConfig>,
    ) -> Result<Self> {
        let journal = store.journal();
        // Before the first record, which would otherwise count as delivered.
        journal.register(READER, 0).await.context("cannot register the reader of the buffer")?;
        let mut metrics = Registry::default();
        let mut delivery = Delivery::new(Arc::clone(&journal), &mut metrics);
        let path = args.webhook_config.clone();
        let read = move || receiver::read(&path).map_err(Into::into);
        let sink = EventListSink::new(READER, env!("CARGO_PKG_VERSION"), Box::new(read));
        let task = delivery.sink_task(Box::new(sink));
        let storage = Arc::new(store.clone());
        let recorder = Recorder::open(storage, journal, Arc::new(SystemClock), Form::Raw)
            .await
            .context("cannot read which lines are in the buffer")?;
        let sources: Vec<LogFiles> = logs.into_iter().map(LogFiles::new).collect();
        let statuses: Vec<Arc<SourceStatus>> =
            sources.iter().flat_map(EventSource::statuses).collect();
        source::register(&mut metrics, statuses.clone());
        let buffer = Buffer::new(store, &mut metrics);
        let delivery = Arc::new(delivery);
        let health = HealthServer::bind(
            args.health_address,
            health::Parts {
                metrics,
                statuses,
                buffer: buffer.clone(),
                delivery: Arc::clone(&delivery),
            },
        )
        .await?;
        Ok(Self { sources, recorder, task, delivery, buffer, health })
    }

    /// Runs until `closing` resolves. Lines in the buffer are then sent within a time limit, and
    /// the rest after the next start. A second signal ends it immediately.
    async fn run(self, closing: impl Future<Output = ()>) -> Result<()> {
        let (reading, sending) = (CancellationToken::new(), CancellationToken::new());
        let (mut readers, mut sender) = (JoinSet::new(), JoinSet::new());
        for source in self.sources {
            let source: Box<dyn EventSource> = Box::new(source);
            readers.spawn(source.run(Arc::clone(&self.recorder), reading.clone()));
        }
        sender.spawn(self.task.run(sending.clone()));
        let mut background = JoinSet::new();
        background.spawn(self.buffer.watch());
        background.spawn(self.health.run());
        let outcome = tokio::select! {
            () = closing => Ok(()),
            _ended = readers.join_next() => Err(anyhow!("a reader of a log stopped unexpectedly")),
            _ended = sender.join_next() => Err(anyhow!("the sender stopped unexpectedly")),
        };
        let ending = async {
            reading.cancel();
            while readers.join_next().await.is_some() {}
            sending.cancel();
            while sender.join_next().await.is_some() {}
            self.delivery.close().await;
            background.shutdown().await;
        };
        tokio::select! {
            () = ending => outcome,
            () = app::shutdown_signal() => Err(anyhow!("second signal: stopped immediately")),
        }
    }
}
