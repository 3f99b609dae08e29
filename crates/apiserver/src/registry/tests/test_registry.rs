//! A registry on a store in a temporary directory, with helpers for requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use apimachinery::request_info::query_pairs;
use apimachinery::{ApiError, RequestInfo};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use audit::{Policy, Strictness};
use bytes::Bytes;
use event::{Event, Level, ObjectReference, Timestamp, UserInfo};
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use store::{Settings, Sqlite, Storage};
use tempfile::TempDir;

use super::kinds;
use crate::{
    ApiResponse, Attributes, AuditContext, Authorizer, AuthorizerError, Clock, Decision,
    NamespaceSource, NamespaceState, Outcome, Registry, RegistryConfig, Request, WatchReply,
};

pub(super) const WIDGETS: &str = "/apis/test.example.com/v1/namespaces/shop/widgets";
pub(super) const VAULTS: &str = "/apis/test.example.com/v1/vaults";

pub(super) struct TestRegistry {
    pub(super) registry: Registry,
    pub(super) store: Sqlite,
    time: Arc<TestClock>,
    _folder: TempDir,
}

/// A clock that advances only on demand, or by a fixed step at each call.
struct TestClock {
    micros: AtomicI64,
    step: AtomicI64,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let step = self.step.load(Ordering::SeqCst);
        Timestamp::from_micros(self.micros.fetch_add(step, Ordering::SeqCst))
    }
}

/// Authorizes every user except mallory.
struct NotMallory;

#[async_trait]
impl Authorizer for NotMallory {
    async fn authorize(&self, attributes: &Attributes) -> Result<Decision, AuthorizerError> {
        Ok(if attributes.user.username == "mallory" {
            Decision::NoOpinion(String::new())
        } else {
            Decision::Allow(String::new())
        })
    }
}

/// Namespaces from the store itself.
struct StoredNamespaces(Arc<dyn Storage>);

#[async_trait]
impl NamespaceSource for StoredNamespaces {
    async fn state(&self, namespace: &str) -> Result<NamespaceState, ApiError> {
        let stored = self.0.get(&format!("core/namespaces/{namespace}")).await;
        let Some(stored) = stored.expect("the disk is readable") else {
            return Ok(NamespaceState::Missing);
        };
        let object: Value = serde_json::from_slice(&stored.body).unwrap();
        Ok(match object.pointer("/metadata/deletionTimestamp") {
            Some(_) => NamespaceState::Terminating,
            None => NamespaceState::Active,
        })
    }
}

/// The response.
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) json: Value,
    pub(super) response: ApiResponse,
}

impl Reply {
    pub(super) fn reason(&self) -> &str {
        self.json["reason"].as_str().unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.json["message"].as_str().unwrap_or_default()
    }

    pub(super) fn revision(&self) -> String {
        self.json["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Vec<&str> {
        let values = self.response.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).collect()
    }
}

/// An audit policy that records everything.
fn policy() -> Policy {
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n";
    Policy::load(text.as_bytes(), Strictness::Strict).unwrap().policy
}

impl TestRegistry {
    /// A registry with the namespace `shop`.
    pub(super) async fn open() -> Self {
        let registry = Self::open_with(Settings {
            // Tests need not wait for revisions that are never committed.
            revision_wait: Duration::from_millis(50),
            ..Settings::default()
        });
        registry.ok("POST /api/v1/namespaces", r#"{"metadata":{"name":"shop"}}"#).await;
        registry
    }

    pub(super) fn open_with(settings: Settings) -> Self {
        Self::open_with_collector(settings, true)
    }

    /// A registry with or without a garbage collector.
    pub(super) fn open_with_collector(settings: Settings, has_garbage_collector: bool) -> Self {
        Self::open_on(settings, has_garbage_collector, |store| Arc::new(store))
    }

    /// A registry whose store is wrapped.
    pub(super) fn open_on(
        settings: Settings,
        has_garbage_collector: bool,
        storage: impl FnOnce(Sqlite) -> Arc<dyn Storage>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let time = Arc::new(TestClock {
            micros: AtomicI64::new(1_700_000_000_000_000),
            step: AtomicI64::new(0),
        });
        let clock = Arc::clone(&time);
        let clock: store::Clock = Arc::new(move || clock.now().as_micros());
        let store = Sqlite::open(&folder.path().join("db"), settings, clock).unwrap();
        let shared = storage(store.clone());
        let registry = Registry::new(RegistryConfig {
            resources: kinds::all(),
            store: Arc::clone(&shared),
            authorizer: Arc::new(NotMallory),
            namespaces: Arc::new(StoredNamespaces(shared)),
            clock: Arc::clone(&time) as Arc<dyn Clock>,
            policy: Arc::new(ArcSwap::from_pointee(policy())),
            server_user: Arc::new(UserInfo {
                username: "system:serviceaccount:keep:watch".to_owned(),
                ..UserInfo::default()
            }),
            has_garbage_collector,
        });
        Self { registry, store, time, _folder: folder }
    }

    pub(super) fn advance(&self, seconds: i64) {
        self.time.micros.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// From now on, the clock advances by 200 ms at each call.
    pub(super) fn slow_down(&self) {
        self.time.step.store(200_000, Ordering::SeqCst);
    }

    /// Sends a request and expects success.
    pub(super) async fn ok(&self, line: &str, body: &str) -> Reply {
        let reply = self.send(line, body, &[]).await;
        assert!(reply.code < 300, "{line}: {}", reply.json);
        reply
    }

    /// Sends a request as alice. `line` is the method and the path with its query.
    pub(super) async fn send(&self, line: &str, body: &str, headers: &[(&str, &str)]) -> Reply {
        self.send_as("alice", line, body, headers).await
    }

    pub(super) async fn send_as(
        &self,
        user: &str,
        line: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        let request = request(user, line, body, headers);
        let mut audit = self.audit(&request);
        let response = match self.registry.handle(&request, &mut audit).await {
            Ok(Outcome::Unlogged(response)) => self.record(audit, response).await,
            Ok(Outcome::Committed(response)) => response,
            Ok(Outcome::Watch(_) | Outcome::InDoubt(_) | Outcome::Forwarded(_)) => {
                panic!("{line} is a watch, or the store fails")
            }
            Err(error) => self.record(audit, error.into()).await,
        };
        let json = serde_json::from_slice(&response.body).unwrap_or_default();
        Reply { code: response.code.as_u16(), json, response }
    }

    /// Starts a watch and reads `count` of its frames.
    pub(super) async fn watch(&self, line: &str, count: usize) -> Vec<Value> {
        self.watch_with(line, count, &[]).await
    }

    pub(super) async fn watch_with(
        &self,
        line: &str,
        count: usize,
        headers: &[(&str, &str)],
    ) -> Vec<Value> {
        frames(&mut self.begin_watch(line, headers).await, count).await
    }

    pub(super) async fn begin_watch(&self, line: &str, headers: &[(&str, &str)]) -> WatchReply {
        let request = request("alice", line, "", headers);
        let mut audit = self.audit(&request);
        match self.registry.handle(&request, &mut audit).await {
            Ok(Outcome::Watch(watch)) => watch,
            Ok(_) => {
                panic!("{line} is no watch")
            }
            Err(error) => panic!("{line}: {}", error.status.message),
        }
    }

    pub(super) fn document(&self, line: &str, headers: &[(&str, &str)]) -> Option<ApiResponse> {
        self.registry.route_non_resource(&request("alice", line, "", headers))
    }

    /// All audit events so far.
    pub(super) async fn events(&self) -> Vec<Event> {
        let records = self.store.journal().read(0, 10_000, usize::MAX).await.unwrap();
        records.into_iter().map(|record| event::record::read(record.bytes).unwrap()).collect()
    }

    fn audit(&self, request: &Request) -> AuditContext {
        let info = &request.info;
        let decision = audit::Decision {
            level: Level::RequestResponse,
            rule: None,
            omit_stages: audit::Stages::default(),
            omit_managed_fields: false,
        };
        let builder = audit::EventBuilder::begin(&decision, || audit::RequestMetadata {
            audit_id: uuid::Uuid::new_v4().to_string(),
            request_uri: info.path.clone(),
            verb: info.verb.clone(),
            user: (*request.user).clone(),
            object_ref: Some(ObjectReference {
                resource: info.resource.clone(),
                namespace: info.namespace.clone(),
                name: info.name.clone(),
                ..ObjectReference::default()
            }),
            received: request.received,
            ..audit::RequestMetadata::default()
        });
        AuditContext::new(builder, Arc::clone(&self.time) as Arc<dyn Clock>)
    }

    async fn record(&self, audit: AuditContext, response: ApiResponse) -> ApiResponse {
        let record = audit.complete(&response).unwrap();
        store::append(&self.store, record).await.unwrap();
        response
    }
}

fn request(user: &str, line: &str, body: &str, headers: &[(&str, &str)]) -> Request {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method: Method = method.parse().unwrap();
    let query = query_pairs(Some(query));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    Request {
        info: RequestInfo::parse(&method, path, &query),
        method,
        query,
        headers: map,
        user: Arc::new(UserInfo { username: user.to_owned(), ..UserInfo::default() }),
        body: Bytes::copy_from_slice(body.as_bytes()),
        received: Timestamp::from_micros(1_700_000_000_000_000),
    }
}

/// Up to `count` frames of a watch.
pub(super) async fn frames(watch: &mut WatchReply, count: usize) -> Vec<Value> {
    let frames: Vec<Bytes> = watch.frames.by_ref().take(count).collect().await;
    assert!(frames.iter().all(|frame| frame.ends_with(b"}\n")));
    frames.iter().map(|frame| serde_json::from_slice(frame).unwrap()).collect()
}
