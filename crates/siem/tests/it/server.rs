//! A registry with the kinds on a store in a temporary folder, with helpers for requests.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use apimachinery::{ApiError, RequestInfo};
use apiserver::{
    ApiResponse, Attributes, AuditContext, Authorizer, AuthorizerError, Clock, Decision,
    NamespaceSource, NamespaceState, Objects, Outcome, Registry, RegistryConfig, Request, Resource,
    WatchReply,
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use audit::{Policy, Strictness};
use bytes::Bytes;
use event::{Event, Level, ObjectReference, Timestamp, UserInfo};
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use siem::audit_event::{EventLog, LogBatch, LogRecord, Order};
use store::{Direction, Journal, Settings, Sqlite};
use tempfile::TempDir;

/// The start time of the tests, in microseconds: 2026-11-23T09:30:00Z.
pub(super) const START: i64 = 1_795_426_200_000_000;
pub(super) const SIGNALS: &str = "/apis/siem.keepwatch.io/v1alpha1/signals";

/// A registry on a store in a temporary folder, without HTTP.
pub(super) struct TestServer {
    pub(super) registry: Registry,
    pub(super) store: Sqlite,
    clock: Arc<TestClock>,
    _folder: TempDir,
}

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Authorizes every request; every namespace is active.
struct AllowAll;

#[async_trait]
impl Authorizer for AllowAll {
    async fn authorize(&self, _attributes: &Attributes) -> Result<Decision, AuthorizerError> {
        Ok(Decision::Allow(String::new()))
    }
}

#[async_trait]
impl NamespaceSource for AllowAll {
    async fn state(&self, _namespace: &str) -> Result<NamespaceState, ApiError> {
        Ok(NamespaceState::Active)
    }
}

/// An audit policy that records everything.
fn policy() -> Policy {
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n";
    Policy::load(text.as_bytes(), Strictness::Strict).unwrap().policy
}

impl TestServer {
    pub(super) fn open(resources: Vec<Resource>) -> Self {
        Self::open_on(|_| resources)
    }

    /// A server whose kinds need the store.
    pub(super) fn open_with(services: impl FnOnce(&Sqlite) -> siem::Services) -> Self {
        Self::open_on(|store| siem::resources(&services(store)))
    }

    fn open_on(resources: impl FnOnce(&Sqlite) -> Vec<Resource>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(START)));
        let store_clock = Arc::clone(&clock);
        let store_clock: store::Clock = Arc::new(move || store_clock.now().as_micros());
        let path = folder.path().join("db");
        let store = Sqlite::open(&path, Settings::default(), store_clock).unwrap();
        let registry = Registry::new(RegistryConfig {
            resources: resources(&store),
            store: Arc::new(store.clone()),
            authorizer: Arc::new(AllowAll),
            namespaces: Arc::new(AllowAll),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            policy: Arc::new(ArcSwap::from_pointee(policy())),
            server_user: Arc::new(UserInfo {
                username: "system:keepwatch".to_owned(),
                ..UserInfo::default()
            }),
            has_garbage_collector: false,
        });
        Self { registry, store, clock, _folder: folder }
    }

    pub(super) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// Sends a request as alice and returns the status code and the response body.
    pub(super) async fn send(&self, line: &str, body: &str) -> (u16, Value) {
        self.send_with(line, body, &[]).await
    }

    pub(super) async fn send_with(
        &self,
        line: &str,
        body: &str,
        headers: &[(&'static str, &'static str)],
    ) -> (u16, Value) {
        let response = self.response(line, body, headers).await;
        let json = serde_json::from_slice(&response.body).unwrap_or_default();
        (response.code.as_u16(), json)
    }

    /// The warnings of a response.
    pub(super) async fn warnings(&self, line: &str) -> Vec<String> {
        let response = self.response(line, "", &[]).await;
        let warnings = response.headers.get_all("warning").iter();
        warnings.map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn response(
        &self,
        line: &str,
        body: &str,
        headers: &[(&'static str, &'static str)],
    ) -> ApiResponse {
        let request = request(line, body, headers);
        let mut audit = self.audit(&request);
        match self.registry.handle(&request, &mut audit).await {
            Ok(Outcome::Committed(response)) => response,
            Ok(Outcome::Unlogged(response)) => self.record(audit, response).await,
            Ok(Outcome::Watch(_) | Outcome::InDoubt(_) | Outcome::Forwarded(_)) => {
                panic!("{line} has no answer of the registry")
            }
            Err(error) => self.record(audit, error.into()).await,
        }
    }

    async fn record(&self, audit: AuditContext, response: ApiResponse) -> ApiResponse {
        store::append(&self.store, audit.complete(&response).unwrap()).await.unwrap();
        response
    }

    /// Status code and message of a response, or the code alone.
    pub(super) async fn outcome(&self, line: &str, body: &str) -> String {
        let (code, json) = self.send(line, body).await;
        match json["message"].as_str() {
            Some(message) => format!("{code} {message}"),
            None => code.to_string(),
        }
    }

    /// The table that kubectl prints, cells separated by two spaces.
    pub(super) async fn table(&self, line: &str) -> String {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let (_, table) = self.send_with(line, "", &[("accept", accept)]).await;
        let columns: Vec<Value> = table["columnDefinitions"].as_array().unwrap().clone();
        let names = columns.iter().map(|column| column["name"].clone());
        let mut rows = vec![Value::Array(names.collect())];
        rows.extend(table["rows"].as_array().unwrap().iter().map(|row| row["cells"].clone()));
        let cell = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
        let line = |row: &Value| {
            let cells: Vec<String> = row.as_array().unwrap().iter().map(cell).collect();
            cells.join("  ") + "\n"
        };
        rows.iter().map(line).collect()
    }

    pub(super) async fn watch_reply(&self, line: &str) -> WatchReply {
        let request = request(line, "", &[]);
        let mut audit = self.audit(&request);
        match self.registry.handle(&request, &mut audit).await {
            Ok(Outcome::Watch(watch)) => watch,
            _ => panic!("{line} is no watch"),
        }
    }

    /// The first `count` events of a watch, as type and name.
    pub(super) async fn watch(&self, line: &str, count: usize) -> Vec<String> {
        let frames: Vec<Bytes> = self.watch_reply(line).await.frames.take(count).collect().await;
        let frame = |frame: &Bytes| {
            let frame: Value = serde_json::from_slice(frame).unwrap();
            let text = |path: &str| frame.pointer(path).and_then(Value::as_str).unwrap().to_owned();
            format!("{} {}", text("/type"), text("/object/metadata/name"))
        };
        frames.iter().map(frame).collect()
    }

    /// Changes objects in a transaction without audit events, as the detector does.
    pub(super) async fn write(
        &self,
        work: impl FnOnce(&mut Objects<'_>) -> Result<(), ApiError> + Send + 'static,
    ) {
        let registry = self.registry.clone();
        let done = store::write(&self.store, move |tx| registry.unaudited(tx, work));
        done.await.unwrap().unwrap();
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
            source_ips: vec!["192.0.2.7".to_owned()],
            object_ref: Some(ObjectReference {
                resource: info.resource.clone(),
                name: info.name.clone(),
                api_group: info.api_group.clone(),
                subresource: info.subresource.clone(),
                ..ObjectReference::default()
            }),
            received: request.received,
            ..audit::RequestMetadata::default()
        });
        AuditContext::new(builder, Arc::clone(&self.clock) as Arc<dyn Clock>)
    }
}

/// The journal of a store, as a log.
pub(super) fn log_of(store: &Sqlite) -> Arc<dyn EventLog> {
    damaged_log_of(store, &[])
}

/// The same with some records that cannot be read.
pub(super) fn damaged_log_of(store: &Sqlite, damaged: &[u64]) -> Arc<dyn EventLog> {
    Arc::new(Log(store.journal(), damaged.to_vec()))
}

struct Log(Arc<dyn Journal>, Vec<u64>);

#[async_trait]
impl EventLog for Log {
    fn first_seq(&self) -> u64 {
        self.0.first_seq()
    }

    fn last_seq(&self) -> u64 {
        self.0.last_seq()
    }

    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, ApiError> {
        let records = self.0.read(after, rows_max, bytes_max).await.unwrap();
        Ok(records.into_iter().map(record).collect())
    }

    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        order: Order,
        bytes_max: usize,
    ) -> Result<LogBatch, ApiError> {
        let direction = match order {
            Order::Oldest => Direction::Forward,
            Order::Newest => Direction::Backward,
        };
        let batch = self.0.read_ranges(ranges, direction, bytes_max).await.unwrap();
        let records = batch.records.into_iter().map(record);
        let records = records.filter(|record| !self.1.contains(&record.seq)).collect();
        Ok(LogBatch { records, is_truncated: batch.is_truncated })
    }

    fn unreadable(&self, within: &RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let damaged = self.1.iter().filter(|seq| within.contains(seq));
        damaged.map(|&seq| seq..=seq).collect()
    }

    async fn wait_past(&self, seq: u64) -> Result<(), ApiError> {
        self.0.wait_past(seq).await.unwrap();
        Ok(())
    }
}

fn request(line: &str, body: &str, headers: &[(&'static str, &'static str)]) -> Request {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method: Method = method.parse().unwrap();
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key.to_owned(), value.to_owned())
    });
    let query: Vec<(String, String)> = pairs.collect();
    let mut map = HeaderMap::new();
    if method == Method::PATCH {
        map.insert("content-type", HeaderValue::from_static("application/merge-patch+json"));
    }
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_static(value));
    }
    Request {
        info: RequestInfo::parse(&method, path, &query),
        method,
        query,
        headers: map,
        user: Arc::new(UserInfo { username: "alice".to_owned(), ..UserInfo::default() }),
        body: Bytes::copy_from_slice(body.as_bytes()),
        received: Timestamp::from_micros(START),
    }
}

fn record(record: store::Record) -> LogRecord {
    let store::Record { seq, time, bytes } = record;
    LogRecord { seq, time: Timestamp::from_micros(time), bytes }
}
