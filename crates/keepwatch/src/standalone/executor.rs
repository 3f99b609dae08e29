//! Executes actions as K10's executor does: starts them, reports progress, and creates the
//! resulting objects.
//!
//! It uses the API as K10's service account. When an action is cancelled, the server rejects the
//! next report, and the executor drops the action. No data is backed up, because there is no
//! cluster. The objects have the names that K10 gives them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kasten::kinds;
use kasten::names::{self, ResourceNames};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::{api, follow, kind_of, retry, text};
use crate::clock::SystemClock;

/// Duration of an action.
const ACTION_TIME: Duration = Duration::from_secs(3);
/// Duration of an action in the demo.
const ACTION_TIME_DEMO: Duration = Duration::from_millis(240);
/// The reported progress, in percent.
const PROGRESS: [u8; 3] = [10, 45, 80];
/// Maximum number of concurrent actions of each kind; others wait.
const CONCURRENT_MAX: usize = 16;

/// The kinds that are executed.
const KINDS: [ResourceNames; 12] = [
    kinds::BACKUP_ACTION,
    kinds::RESTORE_ACTION,
    kinds::EXPORT_ACTION,
    kinds::IMPORT_ACTION,
    kinds::RUN_ACTION,
    kinds::RETIRE_ACTION,
    kinds::BACKUP_CLUSTER_ACTION,
    kinds::RESTORE_CLUSTER_ACTION,
    kinds::BATCH_RESTORE_ACTION,
    kinds::REPORT_ACTION,
    kinds::UPGRADE_ACTION,
    kinds::VALIDATE_ACTION,
];

/// Executes actions.
pub(crate) struct Executor {
    client: kube::Client,
    action_time: Duration,
}

impl Executor {
    /// An executor. Actions take less time in the demo.
    pub(crate) fn new(client: kube::Client, in_demo: bool) -> Self {
        let action_time = if in_demo { ACTION_TIME_DEMO } else { ACTION_TIME };
        Self { client, action_time }
    }

    /// Runs forever.
    pub(crate) async fn run(self) {
        let this = Arc::new(self);
        join_all(KINDS.map(|kind| Arc::clone(&this).run_kind(kind))).await;
    }

    async fn run_kind(self: Arc<Self>, kind: ResourceNames) {
        let (sender, mut actions) = mpsc::unbounded_channel::<DynamicObject>();
        let mut known = HashSet::new();
        let resource = kind_of(kind);
        let watching = follow(&self.client, &resource, move |action| {
            let uid = action.metadata.uid.clone().unwrap_or_default();
            if is_finished(&action) {
                known.remove(&uid);
            } else if known.insert(uid) {
                // It cannot fail: the receiver lives as long as this function.
                sender.send(action).ok();
            }
        });
        let working = async {
            // Aborts them all when the executor is dropped.
            let mut running = JoinSet::new();
            loop {
                tokio::select! {
                    Some(action) = actions.recv(), if running.len() < CONCURRENT_MAX => {
                        running.spawn(Arc::clone(&self).execute(kind, action));
                    }
                    Some(_) = running.join_next() => {}
                    else => return,
                }
            }
        };
        tokio::join!(watching, working);
    }

    /// Takes an action from Pending to Complete, unless it is cancelled.
    async fn execute(self: Arc<Self>, kind: ResourceNames, action: DynamicObject) {
        let task = Task::new(&self.client, kind, &action);
        let mut first = json!({"state": "Running", "startTime": now(), "progress": 0});
        if kind == kinds::VALIDATE_ACTION || kind == kinds::UPGRADE_ACTION {
            // Their lifecycle starts in Running, and they have no progress.
            first = json!({"startTime": now()});
        }
        if task.report(first).await.is_none() {
            return;
        }
        for percent in PROGRESS {
            tokio::time::sleep(self.action_time / 4).await;
            if task.report(json!({"state": "Running", "progress": percent})).await.is_none() {
                return;
            }
        }
        tokio::time::sleep(self.action_time / 4).await;
        let restore_point = task.create_results(&self.client).await;
        let mut last = json!({"state": "Complete", "endTime": now(), "progress": 100});
        if let (Some(restore_point), Some(last)) = (restore_point, last.as_object_mut()) {
            last.insert("restorePoint".to_owned(), restore_point);
        }
        task.report(last).await;
    }
}

/// A running action.
struct Task<'a> {
    kind: ResourceNames,
    action: &'a DynamicObject,
    api: Api<DynamicObject>,
    name: &'a str,
    namespace: &'a str,
}

impl<'a> Task<'a> {
    fn new(client: &kube::Client, kind: ResourceNames, action: &'a DynamicObject) -> Self {
        let name = action.metadata.name.as_deref().unwrap_or_default();
        let namespace = action.metadata.namespace.as_deref().unwrap_or_default();
        Self { kind, action, api: api(client, kind, namespace), name, namespace }
    }

    /// Reports progress; `None` if the server rejects it.
    async fn report(&self, status: Value) -> Option<()> {
        let patch = Patch::Merge(json!({"status": status}));
        let parameters = PatchParams::default();
        let reported =
            retry(|| async { self.api.patch_status(self.name, &parameters, &patch).await }).await?;
        (text(&reported, &["status", "state"]) != "Cancelled").then_some(())
    }

    /// Creates the objects that result from the action, as named in its status.
    async fn create_results(&self, client: &kube::Client) -> Option<Value> {
        match self.kind.kind {
            "BackupAction" => self.create_restore_point(client).await,
            "BackupClusterAction" => self.create_cluster_restore_point(client).await,
            _ => None,
        }
    }

    async fn create_restore_point(&self, client: &kube::Client) -> Option<Value> {
        let content_name = format!("{}-{}", self.namespace, self.name);
        let labels = self.labels(self.namespace, "namespace");
        let content = object(kinds::RESTORE_POINT_CONTENT, "", &content_name, &labels);
        create(client, kinds::RESTORE_POINT_CONTENT, "", &content).await?;
        let status = Patch::Merge(json!({"status": {
            "scheduledTime": self.action.data.pointer("/spec/scheduledTime"),
            "actionTime": now(),
            "logicalSizeBytes": 52_428_800,
            "physicalSizeBytes": 13_107_200,
        }}));
        let contents = api(client, kinds::RESTORE_POINT_CONTENT, "");
        retry(|| async {
            contents.patch_status(&content_name, &PatchParams::default(), &status).await
        })
        .await;
        let mut point = object(kinds::RESTORE_POINT, self.namespace, self.name, &labels);
        point.data = json!({"spec": {"restorePointContentRef": {"name": content_name}}});
        create(client, kinds::RESTORE_POINT, self.namespace, &point).await?;
        Some(json!({"name": self.name, "namespace": self.namespace}))
    }

    async fn create_cluster_restore_point(&self, client: &kube::Client) -> Option<Value> {
        let labels = self.labels(names::CLUSTER_APPLICATION, "cluster");
        let point = object(kinds::CLUSTER_RESTORE_POINT, "", self.name, &labels);
        create(client, kinds::CLUSTER_RESTORE_POINT, "", &point).await?;
        Some(json!({"name": self.name}))
    }

    /// The labels that K10 sets on the resulting objects.
    fn labels(&self, application: &str, kind: &str) -> Value {
        let mut labels = json!({
            (names::APP_NAME): application,
            (names::APP_NAMESPACE): application,
            (names::APP_TYPE): kind,
        });
        let action_labels = self.action.metadata.labels.as_ref();
        for policy in [names::POLICY_NAME, names::POLICY_NAMESPACE] {
            if let (Some(value), Some(labels)) =
                (action_labels.and_then(|labels| labels.get(policy)), labels.as_object_mut())
            {
                labels.insert(policy.to_owned(), value.clone().into());
            }
        }
        labels
    }
}

fn object(kind: ResourceNames, namespace: &str, name: &str, labels: &Value) -> DynamicObject {
    let mut object = DynamicObject::new(name, &kind_of(kind));
    if !namespace.is_empty() {
        object.metadata.namespace = Some(namespace.to_owned());
    }
    object.metadata.labels = serde_json::from_value(labels.clone()).ok();
    object.data = json!({});
    object
}

async fn create(
    client: &kube::Client,
    kind: ResourceNames,
    namespace: &str,
    object: &DynamicObject,
) -> Option<DynamicObject> {
    let api = api(client, kind, namespace);
    retry(|| async { api.create(&PostParams::default(), object).await }).await
}

fn is_finished(action: &DynamicObject) -> bool {
    let is_deleted = action.metadata.deletion_timestamp.is_some();
    is_deleted
        || matches!(
            text(action, &["status", "state"]),
            "Complete" | "Failed" | "Skipped" | "Cancelled" | "Deleting"
        )
}

/// The current time, in Kubernetes' format.
pub(crate) fn now() -> String {
    use apiserver::Clock as _;
    SystemClock.now().to_rfc3339_seconds()
}
