//! From an `AuditConfig` to objects in a folder, in a standalone server.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::server::{TestServer, create, kind, runtime};

/// Timeout of each wait.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Cluster {
    pub(crate) configs: Api<DynamicObject>,
    profiles: Api<DynamicObject>,
    events: Api<DynamicObject>,
    pub(crate) admin: kube::Client,
}

impl Cluster {
    pub(crate) async fn connect(server: &TestServer) -> Self {
        let admin = server.client("admin", None).await;
        let api = |group: &str, name: &str, plural: &str| {
            Api::namespaced_with(admin.clone(), "kasten-io", &kind(group, name, plural))
        };
        Self {
            configs: api("config.kio.kasten.io", "AuditConfig", "auditconfigs"),
            profiles: api("config.kio.kasten.io", "Profile", "profiles"),
            events: api("", "Event", "events"),
            admin,
        }
    }

    pub(crate) async fn profile(&self, name: &str, spec: Value) {
        create_object(&self.profiles, "config.kio.kasten.io", "Profile", "profiles", name, spec)
            .await;
    }

    pub(crate) async fn config(&self, name: &str, profile: &str) {
        let spec = json!({"profile": {"name": profile, "namespace": ""}});
        create_object(
            &self.configs,
            "config.kio.kasten.io",
            "AuditConfig",
            "auditconfigs",
            name,
            spec,
        )
        .await;
    }
}

async fn create_object(
    api: &Api<DynamicObject>,
    group: &str,
    name_of_kind: &str,
    plural: &str,
    name: &str,
    spec: Value,
) {
    let mut object = DynamicObject::new(name, &kind(group, name_of_kind, plural));
    object.data = json!({"spec": spec});
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// Waits until `status.validation` has this value. Returns `status.error`.
pub(crate) async fn wait_for_validation(
    api: &Api<DynamicObject>,
    name: &str,
    validation: &str,
) -> String {
    let start = Instant::now();
    loop {
        let object = api.get(name).await.unwrap();
        let status = object.data.get("status").cloned().unwrap_or_default();
        if status["validation"] == validation {
            return status["error"].to_string();
        }
        assert!(start.elapsed() < PATIENCE, "{name} does not become {validation}: {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until an Event of the `AuditConfig` has this reason and mentions `of`. Polling the status
/// could miss short states.
async fn wait_for_event(events: &Api<DynamicObject>, reason: &str, of: &str) {
    let start = Instant::now();
    let matches_event = |event: &DynamicObject| {
        let message = event.data["message"].as_str().unwrap_or_default();
        event.data["involvedObject"]["name"] == "siem"
            && event.data["reason"] == reason
            && message.contains(of)
    };
    while !events.list(&ListParams::default()).await.unwrap().iter().any(matches_event) {
        assert!(start.elapsed() < PATIENCE, "no Event has the reason {reason} and mentions {of}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_until_deleted(api: &Api<DynamicObject>, name: &str) {
    let start = Instant::now();
    while api.get_opt(name).await.unwrap().is_some() {
        assert!(start.elapsed() < PATIENCE, "{name} still exists");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn volume(claim: &str) -> Value {
    json!({"type": "Location", "locationSpec": {
        "type": "FileStore", "fileStore": {"claimName": claim},
    }})
}

/// Number of recorded creates of each `RunAction`, by name, in the objects of a folder.
pub(crate) fn run_action_counts(folder: &Path) -> BTreeMap<String, usize> {
    counts_by_name(folder, |event| {
        let is_create = event["Verb"] == "create" && event["ObjectRef"]["Resource"] == "runactions";
        is_create.then(|| event["ObjectRef"]["Name"].as_str().unwrap().to_owned())
    })
}

/// Number of events with each verb in the objects of a folder. Signals have no verb.
pub(crate) fn verbs(folder: &Path) -> BTreeMap<String, usize> {
    counts_by_name(folder, |event| Some(event["Verb"].as_str()?.to_owned()))
}

fn counts_by_name(folder: &Path, name: fn(&Value) -> Option<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return counts };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for (name, count) in counts_by_name(&path, name) {
                *counts.entry(name).or_insert(0) += count;
            }
        } else if path.to_string_lossy().ends_with(".json.gz") {
            let mut lines = String::new();
            let file = std::fs::File::open(&path).unwrap();
            MultiGzDecoder::new(file).read_to_string(&mut lines).unwrap();
            for line in lines.lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                if let Some(name) = name(&event) {
                    *counts.entry(name).or_insert(0) += 1;
                }
            }
        }
    }
    counts
}

pub(crate) fn once(names: &[&str]) -> BTreeMap<String, usize> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

#[test]
fn a_config_waits_for_its_profile_delivers_switches_and_is_deleted_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let server = TestServer::up(&home, &[], Stdio::null());
    let volumes = home.join("volumes");
    runtime().block_on(async {
        let cluster = Cluster::connect(&server).await;
        cluster.config("siem", "p1").await;
        let message = wait_for_validation(&cluster.configs, "siem", "Pending").await;
        assert!(message.contains("Profile kasten-io/p1 does not exist"), "{message}");
        create(&cluster.admin, "while-waiting", 10).await.unwrap();
        cluster.profile("p1", volume("one")).await;
        wait_for_validation(&cluster.configs, "siem", "Success").await;
        wait_for_validation(&cluster.profiles, "p1", "Success").await;
        create(&cluster.admin, "to-one", 10).await.unwrap();
        wait_until(|| {
            run_action_counts(&volumes.join("one")) == once(&["while-waiting", "to-one"])
        })
        .await;

        cluster.profile("p2", volume("two")).await;
        let switched = Patch::Merge(json!({"spec": {"profile": {"name": "p2"}}}));
        cluster.configs.patch("siem", &PatchParams::default(), &switched).await.unwrap();
        wait_for_event(&cluster.events, "UpdateRequested", "two").await;
        wait_for_event(&cluster.events, "Delivering", "two").await;
        wait_for_validation(&cluster.configs, "siem", "Success").await;
        create(&cluster.admin, "to-two", 10).await.unwrap();
        cluster.configs.delete("siem", &DeleteParams::default()).await.unwrap();
        wait_until_deleted(&cluster.configs, "siem").await;
        assert_eq!(run_action_counts(&volumes.join("two")), once(&["to-two"]));
        assert_eq!(run_action_counts(&volumes.join("one")), once(&["while-waiting", "to-one"]));

        create(&cluster.admin, "after", 10).await.unwrap();
        let events = cluster.events.list(&ListParams::default()).await.unwrap().items;
        let mut reasons: Vec<&str> = events
            .iter()
            .filter(|event| event.data["involvedObject"]["name"] == "siem")
            .map(|event| event.data["reason"].as_str().unwrap())
            .collect();
        reasons.sort_unstable();
        assert_eq!(reasons.iter().filter(|reason| **reason == "Stopped").count(), 1, "{reasons:?}");
        assert!(reasons.contains(&"Delivering") && reasons.contains(&"DeleteRequested"));
    });
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert_eq!(run_action_counts(&volumes.join("two")), once(&["to-two"]));
}

#[test]
fn a_restart_continues_at_the_cursor_and_oldest_delivers_everything() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let volumes = home.join("volumes");
    let server = TestServer::up(&home, &[], Stdio::null());
    let runtime = runtime();
    runtime.block_on(async {
        let cluster = Cluster::connect(&server).await;
        create(&cluster.admin, "first", 10).await.unwrap();
        cluster.profile("p", volume("all")).await;
        let mut config = DynamicObject::new(
            "siem",
            &kind("config.kio.kasten.io", "AuditConfig", "auditconfigs"),
        );
        let start = ("audit.keepwatch.io/start-from".to_owned(), "oldest".to_owned());
        config.metadata.annotations = Some([start].into());
        config.data = json!({"spec": {"profile": {"name": "p"}}});
        cluster.configs.create(&PostParams::default(), &config).await.unwrap();
        wait_for_validation(&cluster.configs, "siem", "Success").await;
        create(&cluster.admin, "second", 10).await.unwrap();
    });
    assert!(server.stop().0.success());
    let server = TestServer::up(&home, &[], Stdio::null());
    runtime.block_on(async {
        let cluster = Cluster::connect(&server).await;
        create(&cluster.admin, "third", 10).await.unwrap();
        wait_until(|| {
            run_action_counts(&volumes.join("all")) == once(&["first", "second", "third"])
        })
        .await;
        let config = cluster.configs.get("siem").await.unwrap();
        assert_eq!(config.data["status"]["validation"], "Success");
    });
    assert!(server.stop().0.success());
}

#[test]
fn invalid_destinations_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let server = TestServer::up(&home, &[], Stdio::null());
    runtime().block_on(async {
        let cluster = Cluster::connect(&server).await;
        let vbr = json!({"type": "Location", "locationSpec": {"type": "VBR"}});
        cluster.profile("vbr", vbr).await;
        cluster.config("to-vbr", "vbr").await;
        let message = wait_for_validation(&cluster.configs, "to-vbr", "Failed").await;
        assert!(message.contains("cannot take events"), "{message}");
        let message = wait_for_validation(&cluster.profiles, "vbr", "Failed").await;
        assert!(message.contains("cannot take events"), "{message}");

        let metadata = json!({"type": "Location", "locationSpec": {
            "type": "ObjectStore",
            "objectStore": {
                "objectStoreType": "S3", "name": "bucket", "endpoint": "http://169.254.169.254",
            },
            "credential": {"secretType": "AwsAccessKey", "secret": {"name": "keys"}},
        }});
        cluster.profile("imds", metadata).await;
        cluster.config("to-imds", "imds").await;
        let message = wait_for_validation(&cluster.configs, "to-imds", "Pending").await;
        assert!(message.contains("Secret kasten-io/keys"), "{message}");
        let kind = kind("", "Secret", "secrets");
        let secrets: Api<DynamicObject> =
            Api::namespaced_with(cluster.admin.clone(), "kasten-io", &kind);
        let mut keys = DynamicObject::new("keys", &kind);
        keys.data = json!({"stringData": {
            "aws_access_key_id": "AKIA", "aws_secret_access_key": "canary-7Hq",
        }});
        secrets.create(&PostParams::default(), &keys).await.unwrap();
        let message = wait_for_validation(&cluster.configs, "to-imds", "Failed").await;
        assert!(
            message.contains("which is not allowed as a destination")
                && !message.contains("canary-7Hq"),
            "{message}"
        );
        for name in ["to-vbr", "to-imds"] {
            cluster.configs.delete(name, &DeleteParams::default()).await.unwrap();
            wait_until_deleted(&cluster.configs, name).await;
        }
    });
    let (status, stderr) = server.stop();
    assert!(status.success() && !stderr.contains("canary-7Hq"), "{stderr}");
}

pub(crate) async fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "the condition is not met in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
