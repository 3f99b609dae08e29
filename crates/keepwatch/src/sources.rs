//! The sources of events that other servers recorded, and their interface to the rest of the
//! server.
//!
//! Deliberately absent: receiving and recording events (crate `source`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apiserver::health::{Advisory, Degradation};
use prometheus_client::registry::Registry;
use siem::event_source::{EventSourceState, EventSources, ObjectState};
use source::{
    AdmissionWebhook, AuditWebhook, Buckets, EventSource, Form, LogFiles, RECEIPT_PERIOD, Recorder,
    SourceStatus, admission_webhook, audit_webhook, buckets, log_files, record_downtime,
    run_receipts,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::Components;
use crate::clock::SystemClock;

/// The sources of a server.
#[derive(Default)]
pub(crate) struct Sources {
    /// `None` without sources, because the journal need not be read.
    opened: Option<Opened>,
    statuses: SourceStatuses,
}

/// The sources, and the recorder that they use.
struct Opened {
    recorder: Arc<Recorder>,
    sources: Vec<Box<dyn EventSource>>,
}

/// The states of the sources. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct SourceStatuses(Arc<[Arc<SourceStatus>]>);

impl Sources {
    /// Binds the listeners, reads the most recently recorded events, and registers the metrics.
    pub(crate) async fn open(parts: &Components, metrics: &mut Registry) -> Result<Self> {
        let mut sources: Vec<Box<dyn EventSource>> = Vec::new();
        if let Some(config) = &parts.audit_webhook {
            let webhook = AuditWebhook::bind(config.clone()).await?;
            source::register_refusals(metrics, &webhook.refusals());
            sources.push(Box::new(webhook));
        }
        if let Some(config) = &parts.admission_webhook {
            let webhook = AdmissionWebhook::bind(config.clone()).await?;
            source::register_refusals(metrics, &webhook.refusals());
            sources.push(Box::new(webhook));
        }
        for config in &parts.log_files {
            sources.push(Box::new(LogFiles::new(config.clone())));
        }
        for config in &parts.buckets {
            sources.push(Box::new(Buckets::new(config.clone())));
        }
        if sources.is_empty() {
            return Ok(Self::default());
        }
        let (storage, clock) = (Arc::new(parts.store.clone()), Arc::new(SystemClock));
        let recorder = Recorder::open(storage, parts.store.journal(), clock, Form::Events)
            .await
            .context("cannot read which events of sources were recorded")?;
        let statuses: Vec<Arc<SourceStatus>> =
            sources.iter().flat_map(|source| source.statuses()).collect();
        record_downtime(&statuses, &recorder).await;
        source::register(metrics, statuses.clone());
        let opened = Opened { recorder, sources };
        Ok(Self { opened: Some(opened), statuses: SourceStatuses(statuses.into()) })
    }

    /// Whether there are no sources.
    pub(crate) const fn is_empty(&self) -> bool {
        self.opened.is_none()
    }

    /// The states of the sources.
    pub(crate) fn statuses(&self) -> SourceStatuses {
        self.statuses.clone()
    }

    /// Time for which the detector waits for earlier events of each source.
    pub(crate) fn lateness(&self) -> BTreeMap<String, Duration> {
        let lateness = |source: &Arc<SourceStatus>| match source.kind() {
            log_files::KIND => log_files::LATENESS,
            buckets::KIND => buckets::LATENESS,
            admission_webhook::KIND => admission_webhook::LATENESS,
            _ => audit_webhook::LATENESS,
        };
        self.statuses.0.iter().map(|source| (source.name().to_owned(), lateness(source))).collect()
    }

    /// Runs the sources until `stop`.
    pub(crate) fn spawn(self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let Some(Opened { recorder, sources }) = self.opened else { return };
        let (running, ended) = (TaskTracker::new(), CancellationToken::new());
        for source in sources {
            let run = source.run(Arc::clone(&recorder), stop.clone());
            tasks.spawn(running.track_future(run));
        }
        running.close();
        let statuses = self.statuses.0.to_vec();
        tasks.spawn(run_receipts(statuses, recorder, RECEIPT_PERIOD, ended.clone()));
        // The last requests of the sources may note an outage, which is stored after them.
        tasks.spawn(async move {
            running.wait().await;
            ended.cancel();
        });
    }
}

impl SourceStatuses {
    /// The advisories of `/readyz` about the sources. The server stays ready without them.
    pub(crate) fn advisories(&self) -> impl Iterator<Item = Advisory> {
        self.0.iter().map(|source| {
            let source = source.snapshot();
            let extent = match source.kind {
                log_files::KIND => format!("{} events were recorded", source.recorded),
                buckets::KIND => format!("{} objects wait", source.objects.waiting),
                admission_webhook::KIND => {
                    format!("{} reviews were allowed without a record", source.rejected)
                }
                _ => format!("{} requests were rejected", source.rejected),
            };
            let degradation = source.error.map(|reason| Degradation { extent, reason });
            Advisory { name: format!("source-{}", source.name), degradation }
        })
    }
}

impl EventSources for SourceStatuses {
    fn states(&self) -> Vec<EventSourceState> {
        let state = |source: &Arc<SourceStatus>| {
            let source = source.snapshot();
            EventSourceState {
                name: source.name,
                kind: source.kind.to_owned(),
                cluster: source.cluster,
                last_event: source.last_event,
                lag: source.lag,
                events: source.recorded,
                duplicates: source.duplicates,
                quarantined: source.quarantined,
                rejected: source.rejected,
                error: source.error,
                objects: (source.kind == buckets::KIND).then_some(ObjectState {
                    read: source.objects.objects,
                    waiting: source.objects.waiting,
                    other_records: source.objects.other,
                    last_key: source.objects.last_key,
                }),
            }
        };
        self.0.iter().map(state).collect()
    }
}
