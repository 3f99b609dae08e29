//! What a watch logs and does when kube-apiserver refuses or garbles its requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use controller::watch::{Config, watch};
use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::kube_apiserver::{Fault, KubeApiserver};

/// Duration of the fault.
const OUTAGE: Duration = Duration::from_mins(26);

/// Counts the warnings of the watch.
struct WarningCounter(Arc<AtomicUsize>);

impl Subscriber for WarningCounter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "controller::watch" && *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Watches for some time. Returns the number of warnings.
async fn watch_during_outage(server: &KubeApiserver) -> usize {
    let warnings = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(WarningCounter(Arc::clone(&warnings)));
    let gvk = GroupVersionKind::gvk("config.kio.kasten.io", "v1alpha1", "AuditConfig");
    let kind = ApiResource::from_gvk_with_plural(&gvk, "auditconfigs");
    let api = |client| Api::<DynamicObject>::namespaced_with(client, "kasten-io", &kind);
    let updates = watch(&server.client(), Config::default(), api);
    let drain = updates.for_each(|_| async {});
    tokio::time::timeout(OUTAGE, drain).await.unwrap_err();
    warnings.load(Ordering::Relaxed)
}

/// Regression: each list that was sent instead of a refused watch led to a warning.
#[tokio::test(start_paused = true)]
async fn a_refused_watch_is_a_warning_only_once() {
    let server = KubeApiserver::new(1, Fault::NoWatches);
    assert_eq!(watch_during_outage(&server).await, 1);
    assert!(server.requests("WATCH auditconfigs") > 2);
}

/// Regression: a list that failed for another reason than a missing permission was not a warning.
#[tokio::test(start_paused = true)]
async fn a_failing_list_is_a_warning_only_once() {
    let server = KubeApiserver::new(1, Fault::FailingLists);
    assert_eq!(watch_during_outage(&server).await, 1);
    assert!(server.requests("GET auditconfigs") > 2);
}

/// Regression: the change in the event was lost.
#[tokio::test(start_paused = true)]
async fn objects_are_listed_again_after_an_event_that_cannot_be_decoded() {
    let server = KubeApiserver::new(1, Fault::UndecodableEvents);
    watch_during_outage(&server).await;
    let (lists, watches) =
        (server.requests("GET auditconfigs"), server.requests("WATCH auditconfigs"));
    assert!(lists > 2 && lists >= watches, "{lists} lists, {watches} watches");
}
