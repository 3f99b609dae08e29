//! `EventSource`: a source of events that another server recorded, readable with kubectl.
//!
//! The objects are not stored: they are computed from the state of the running sources, and their
//! counters start with the server. The resource is read-only and has no watch.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::ApiError;
use apimachinery::duration::human_duration;
use apiserver::resource::DefaultStrategy;
use apiserver::{
    Column, ReadBatch, ReadOnlyStorage, ReadPage, ReadQuery, Resource, ResourceId, Scope, Verb,
};
use async_trait::async_trait;
use bytes::Bytes;
use event::{Level, Timestamp};
use futures::stream::BoxStream;
use http::StatusCode;
use serde_json::{Value, json};

use crate::schema::{self, count, object, text, time};
use crate::{API_VERSION, GROUP, VERSION, column};

/// The resource.
pub const EVENT_SOURCES: ResourceId = ResourceId { group: GROUP, plural: "eventsources" };

const KIND: &str = "EventSource";
const READ_ONLY: &[Verb] = &[Verb::Get, Verb::List];

const COLUMNS: &[Column] = &[
    column("Kind", "string", "spec.kind", "Kind of the source."),
    column("Cluster", "string", "spec.cluster", "Cluster in which its events were generated."),
    column("Last Event", "date", "status.lastEventTime", "Time since its newest event."),
    column("Lag", "string", "status.lag", "Time between its newest event and the record of it."),
    column("Events", "integer", "status.events", "Number of events that were recorded."),
    column(
        "Duplicates",
        "integer",
        "status.duplicates",
        "Number of events that were already recorded.",
    ),
    column("Quarantined", "integer", "status.quarantined", "Number of texts that are not events."),
    column("Error", "string", "status.error", "Why events are not recorded now."),
];

/// The state of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventSourceState {
    /// Name of the source and of its object.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The cluster in which its events were generated.
    pub cluster: String,
    /// Stage timestamp of its newest event.
    pub last_event: Option<Timestamp>,
    /// Time between its newest event and the record.
    pub lag: Option<Duration>,
    /// Number of events that were recorded.
    pub events: u64,
    /// Number of events that were already recorded.
    pub duplicates: u64,
    /// Number of texts that are not events.
    pub quarantined: u64,
    /// Number of requests that were rejected.
    pub rejected: u64,
    /// Why the last request was rejected; `None` if it was accepted.
    pub error: Option<String>,
    /// Progress of a source that reads the objects of a bucket; `None` for other sources.
    pub objects: Option<ObjectState>,
}

/// Progress of a source that reads the objects of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectState {
    /// Number of objects that were read.
    pub read: u64,
    /// Number of objects that are not read yet.
    pub waiting: u64,
    /// Number of records of other logs.
    pub other_records: u64,
    /// Key of the object that was read last.
    pub last_key: String,
}

/// The running sources.
pub trait EventSources: Send + Sync {
    /// The state of each source, by name.
    fn states(&self) -> Vec<EventSourceState>;
}

/// The resource for the API server.
pub fn resource(sources: Arc<dyn EventSources>) -> Resource {
    Resource {
        group: GROUP,
        version: VERSION,
        kind: KIND,
        plural: EVENT_SOURCES.plural,
        singular: "eventsource",
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: READ_ONLY,
        columns: COLUMNS,
        schema: schema().into(),
        subresources: &[],
        selectable_fields: &[],
        omit_bodies: false,
        audit_level_min: Level::None,
        read_only: Some(Arc::new(States(sources))),
        strategy: Arc::new(DefaultStrategy),
    }
}

fn schema() -> Value {
    schema::kind(
        "EventSource is a source of events that other servers recorded. The counts begin with the \
         start of this server.",
        object(
            "Kind and cluster of the source.",
            &[
                (
                    "kind",
                    text(
                        "AuditWebhook: kube-apiserver sends its events. AuditLog: the files of its \
                         audit log are read. Bucket: the objects of a bucket are read. \
                         AdmissionWebhook: kube-apiserver asks before it changes an object.",
                    ),
                ),
                ("cluster", text("The cluster in which its events were generated.")),
            ],
        ),
        object(
            "What the source has received.",
            &[
                ("lastEventTime", time("Stage timestamp of its newest event.")),
                ("lag", text("Time between its newest event and the record of it.")),
                ("events", count("Number of events that were recorded.")),
                ("duplicates", count("Number of events that were already recorded.")),
                (
                    "quarantined",
                    count("Number of texts that are not events; their beginning is recorded."),
                ),
                (
                    "rejectedRequests",
                    count(
                        "Number of requests that were rejected, and of failed attempts to record lines.",
                    ),
                ),
                (
                    "objects",
                    object(
                        "How far the objects of a bucket are read; absent for other sources.",
                        &[
                            ("read", count("Number of objects that were read to their end.")),
                            (
                                "waiting",
                                count(
                                    "Number of objects of the last listing that are not read yet.",
                                ),
                            ),
                            (
                                "otherRecords",
                                count("Number of records of other logs, which are not recorded."),
                            ),
                            ("lastKey", text("Key of the object that was read last.")),
                        ],
                    ),
                ),
                ("error", text("Why events are not recorded now; absent if they are.")),
            ],
        ),
    )
}

/// The API object of a state.
fn body(state: &EventSourceState) -> Bytes {
    let seconds = |lag: Duration| i64::try_from(lag.as_secs()).unwrap_or(i64::MAX);
    let mut object = json!({
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {"name": state.name},
        "spec": {"kind": state.kind, "cluster": state.cluster},
        "status": {
            "events": state.events,
            "duplicates": state.duplicates,
            "quarantined": state.quarantined,
            "rejectedRequests": state.rejected,
        },
    });
    for (field, value) in [
        ("lastEventTime", state.last_event.map(|time| time.to_string())),
        ("lag", state.lag.map(|lag| human_duration(seconds(lag)))),
        ("error", state.error.clone()),
    ] {
        if let Some(value) = value {
            object["status"][field] = value.into();
        }
    }
    if let Some(ObjectState { read, waiting, other_records, last_key }) = &state.objects {
        object["status"]["objects"] = json!({
            "read": read,
            "waiting": waiting,
            "otherRecords": other_records,
            "lastKey": last_key,
        });
    }
    Bytes::from(object.to_string())
}

struct States(Arc<dyn EventSources>);

#[async_trait]
impl ReadOnlyStorage for States {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, ApiError> {
        Ok(self.0.states().iter().find(|state| state.name == name).map(body))
    }

    /// There are only a few sources, so there is one page.
    async fn list(&self, _query: ReadQuery) -> Result<ReadPage, ApiError> {
        let items = self.0.states().iter().map(body).collect();
        Ok(ReadPage { items, ..ReadPage::default() })
    }

    async fn watch(
        &self,
        _query: ReadQuery,
        _after: Option<u64>,
    ) -> Result<BoxStream<'static, Result<ReadBatch, ApiError>>, ApiError> {
        let message = "eventsources cannot be watched: list them again";
        Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message))
    }
}
