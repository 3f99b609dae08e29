//! The sinks for audit lines of a server in a cluster.

use std::sync::Arc;
use std::time::Duration;

use apiserver::Clock as _;
use delivery::Delivery;
use sink::file::{Reopen, Settings};
use sink::{Encoding, FileSink, Sink, StdoutSink};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::EncodingName;
use crate::args::serve::AuditArgs;
use crate::clock::SystemClock;

/// Bytes in a megabyte, as Kubernetes' log backend counts them.
const MEGABYTE: u64 = 1 << 20;
/// A day.
const DAY: Duration = Duration::from_hours(24);

/// Sinks and the handle of those that can be reopened.
#[derive(Default)]
pub(super) struct Sinks {
    pub(super) sinks: Vec<Box<dyn Sink>>,
    pub(super) reopen: Option<Reopen>,
}

/// The sinks that the flags configure. The values have been validated.
pub(super) fn open(args: &AuditArgs) -> Sinks {
    let mut sinks = Sinks::default();
    if !args.enable_k10_audit_cluster {
        if args.enable_k10_audit_cloud_aws_s3 {
            tracing::info!(
                "no audit lines are written; events are delivered to the destinations of \
                 AuditConfigs"
            );
        } else {
            tracing::warn!("no audit lines are written; events stay in the journal only");
        }
        return sinks;
    }
    let encoding = match args.audit_log_format {
        EncodingName::V1 => Encoding::V1,
        // The check of the flags refuses `short` here.
        EncodingName::Kasten | EncodingName::Short => Encoding::Kasten(args.labels()),
    };
    if args.is_stdout() {
        match StdoutSink::open(encoding) {
            Ok(sink) => sinks.sinks.push(Box::new(sink)),
            Err(error) => tracing::error!(reason = %error, "cannot use standard output"),
        }
        return sinks;
    }
    let days = u32::try_from(args.audit_log_maxage).unwrap_or(u32::MAX);
    let file = FileSink::new(
        Settings {
            path: args.audit_log_file.clone(),
            size_max: u64::try_from(args.audit_log_file_size).unwrap_or(1).saturating_mul(MEGABYTE),
            backups_max: usize::try_from(args.audit_log_maxbackup).unwrap_or(usize::MAX),
            age_max: DAY.saturating_mul(days),
            clock: Arc::new(|| SystemClock.now()),
        },
        encoding,
    );
    sinks.reopen = Some(file.reopen());
    sinks.sinks.push(Box::new(file));
    sinks
}

/// Reopens the audit file on SIGHUP. Without a file, the signal is ignored.
pub(super) async fn reopen_on_hangup(reopen: Option<Reopen>, delivery: Arc<Delivery>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be received");
        return;
    };
    while hangup.recv().await.is_some() {
        if let Some(reopen) = &reopen {
            tracing::info!("audit file is reopened");
            reopen.request_reopen();
            delivery.wake();
        }
    }
}
