//! Carries actions out, as K10's executor does: takes them up, reports progress, makes what they
//! are to make.
//!
//! Acts through the API as K10's service account. An action that was cancelled is noticed because
//! the server refuses the next report; nothing more is done for it then. Nothing is really backed
//! up: there is no cluster. Objects are called as K10 calls them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kasten::domain::{self, Names};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::{api, follow, kind_of, retry, text};
use crate::clock::SystemClock;

/// How long an action takes.
const ACTION_TIME: Duration = Duration::from_secs(3);
/// How long one takes while the demo runs.
pub(crate) const ACTION_TIME_STORY: Duration = Duration::from_millis(240);
/// How far an action has come each time it is reported.
const PROGRESS: [u8; 3] = [10, 45, 80];
/// Actions under way of each kind; more wait.
const UNDER_WAY_MAX: usize = 16;

/// What is carried out.
const KINDS: [Names; 12] = [
    domain::BACKUP_ACTION,
    domain::RESTORE_ACTION,
    domain::EXPORT_ACTION,
    domain::IMPORT_ACTION,
    domain::RUN_ACTION,
    domain::RETIRE_ACTION,
    domain::BACKUP_CLUSTER_ACTION,
    domain::RESTORE_CLUSTER_ACTION,
    domain::BATCH_RESTORE_ACTION,
    domain::REPORT_ACTION,
    domain::UPGRADE_ACTION,
    domain::VALIDATE_ACTION,
];

/// Carries actions out.
pub(crate) struct Executor {
    client: kube::Client,
    action_time: Duration,
}

impl Executor {
    /// An executor that hurries while the demo runs.
    pub(crate) fn new(client: kube::Client, in_story: bool) -> Self {
        let action_time = if in_story { ACTION_TIME_STORY } else { ACTION_TIME };
        Self { client, action_time }
    }

    /// Runs for ever.
    pub(crate) async fn run(self) {
        let this = Arc::new(self);
        join_all(KINDS.map(|kind| Arc::clone(&this).run_kind(kind))).await;
    }

    async fn run_kind(self: Arc<Self>, kind: Names) {
        let (found, mut work) = mpsc::unbounded_channel::<DynamicObject>();
        let mut known = HashSet::new();
        let all: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind_of(kind));
        let watching = follow(all, move |action| {
            let uid = action.metadata.uid.clone().unwrap_or_default();
            if is_finished(&action) {
                known.remove(&uid);
            } else if known.insert(uid) {
                // The receiver lives as long as this function.
                found.send(action).ok();
            }
        });
        let working = async {
            // Ends them all when the executor goes.
            let mut under_way = JoinSet::new();
            loop {
                tokio::select! {
                    Some(action) = work.recv(), if under_way.len() < UNDER_WAY_MAX => {
                        under_way.spawn(Arc::clone(&self).carry_out(kind, action));
                    }
                    Some(_) = under_way.join_next() => {}
                    else => return,
                }
            }
        };
        tokio::join!(watching, working);
    }

    /// From Pending to Complete, unless somebody stops it on the way.
    async fn carry_out(self: Arc<Self>, kind: Names, action: DynamicObject) {
        let task = Task::of(&self.client, kind, &action);
        let mut first = json!({"state": "Running", "startTime": now(), "progress": 0});
        if kind == domain::VALIDATE_ACTION || kind == domain::UPGRADE_ACTION {
            // They begin in Running, and have no progress.
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
        let made = task.make(&self.client).await;
        let mut last = json!({"state": "Complete", "endTime": now(), "progress": 100});
        if let (Some(made), Some(last)) = (made, last.as_object_mut()) {
            last.insert("restorePoint".to_owned(), made);
        }
        task.report(last).await;
    }
}

/// One action under way.
struct Task<'a> {
    kind: Names,
    action: &'a DynamicObject,
    api: Api<DynamicObject>,
    name: &'a str,
    namespace: &'a str,
}

impl<'a> Task<'a> {
    fn of(client: &kube::Client, kind: Names, action: &'a DynamicObject) -> Self {
        let name = action.metadata.name.as_deref().unwrap_or_default();
        let namespace = action.metadata.namespace.as_deref().unwrap_or_default();
        Self { kind, action, api: api(client, kind, namespace), name, namespace }
    }

    /// Says how far it has come; `None` when the server will not hear of it any more.
    async fn report(&self, status: Value) -> Option<()> {
        let patch = Patch::Merge(json!({"status": status}));
        let parameters = PatchParams::default();
        let reported =
            retry(|| async { self.api.patch_status(self.name, &parameters, &patch).await }).await?;
        (text(&reported, &["status", "state"]) != "Cancelled").then_some(())
    }

    /// What the action leaves behind, as its status names it.
    async fn make(&self, client: &kube::Client) -> Option<Value> {
        match self.kind.kind {
            "BackupAction" => self.make_restore_point(client).await,
            "BackupClusterAction" => self.make_cluster_restore_point(client).await,
            _ => None,
        }
    }

    async fn make_restore_point(&self, client: &kube::Client) -> Option<Value> {
        let content_name = format!("{}-{}", self.namespace, self.name);
        let labels = self.labels(self.namespace, "namespace");
        let content = object(domain::RESTORE_POINT_CONTENT, "", &content_name, &labels);
        create(client, domain::RESTORE_POINT_CONTENT, "", &content).await?;
        let status = Patch::Merge(json!({"status": {
            "scheduledTime": self.action.data.pointer("/spec/scheduledTime"),
            "actionTime": now(),
            "logicalSizeBytes": 52_428_800,
            "physicalSizeBytes": 13_107_200,
        }}));
        let contents = api(client, domain::RESTORE_POINT_CONTENT, "");
        retry(|| async {
            contents.patch_status(&content_name, &PatchParams::default(), &status).await
        })
        .await;
        let mut point = object(domain::RESTORE_POINT, self.namespace, self.name, &labels);
        point.data = json!({"spec": {"restorePointContentRef": {"name": content_name}}});
        create(client, domain::RESTORE_POINT, self.namespace, &point).await?;
        Some(json!({"name": self.name, "namespace": self.namespace}))
    }

    async fn make_cluster_restore_point(&self, client: &kube::Client) -> Option<Value> {
        let labels = self.labels(domain::CLUSTER_APPLICATION, "cluster");
        let point = object(domain::CLUSTER_RESTORE_POINT, "", self.name, &labels);
        create(client, domain::CLUSTER_RESTORE_POINT, "", &point).await?;
        Some(json!({"name": self.name}))
    }

    /// The labels K10 puts on what an action makes.
    fn labels(&self, application: &str, kind: &str) -> Value {
        let mut labels = json!({
            (domain::APP_NAME): application,
            (domain::APP_NAMESPACE): application,
            (domain::APP_TYPE): kind,
        });
        let own = self.action.metadata.labels.as_ref();
        for policy in [domain::POLICY_NAME, domain::POLICY_NAMESPACE] {
            if let (Some(value), Some(labels)) =
                (own.and_then(|own| own.get(policy)), labels.as_object_mut())
            {
                labels.insert(policy.to_owned(), value.clone().into());
            }
        }
        labels
    }
}

fn object(kind: Names, namespace: &str, name: &str, labels: &Value) -> DynamicObject {
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
    kind: Names,
    namespace: &str,
    object: &DynamicObject,
) -> Option<DynamicObject> {
    let api = api(client, kind, namespace);
    retry(|| async { api.create(&PostParams::default(), object).await }).await
}

fn is_finished(action: &DynamicObject) -> bool {
    let is_going = action.metadata.deletion_timestamp.is_some();
    is_going
        || matches!(
            text(action, &["status", "state"]),
            "Complete" | "Failed" | "Skipped" | "Cancelled" | "Deleting"
        )
}

/// Now, as Kubernetes writes times.
pub(crate) fn now() -> String {
    use apiserver::Clock as _;
    let seconds = SystemClock.now().as_micros().div_euclid(1_000_000);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
