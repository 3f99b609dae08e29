//! A test double of kube-apiserver that has `AuditConfigs` and counts requests.
//!
//! Deliberately absent: events of changes. A watch ends without any.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use serde_json::{Value, json};
use tower_service::Service;

const GROUP: &str = "/apis/config.kio.kasten.io/v1alpha1";

/// An injected fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Discovery of the group returns 404.
    NoDiscovery,
    /// Every write of an `AuditConfig` is rejected.
    NoWrites,
    /// A watch ends at once.
    ShortWatches,
    /// No watch may be started, although objects may be listed.
    NoWatches,
    /// The definition drops the status.
    NoStatus,
    /// Objects of namespace `shop` may not be read, and those of namespace `other` neither.
    NoShop,
    /// Lists fail.
    FailingLists,
    /// Each watch sends an event that cannot be decoded, and ends.
    UndecodableEvents,
}

#[derive(Default)]
struct State {
    fault: Fault,
    configs: BTreeMap<String, Value>,
    /// Number of requests by method and path, without names and queries.
    requests: BTreeMap<String, usize>,
    events: Vec<Value>,
}

/// The double.
#[derive(Clone, Default)]
pub(crate) struct KubeApiserver(Arc<Mutex<State>>);

impl KubeApiserver {
    /// A server with this many `AuditConfigs`, whose Profile does not exist.
    pub(crate) fn new(configs: usize, fault: Fault) -> Self {
        let config = |number: usize| {
            let name = format!("c{number}");
            let config = json!({
                "apiVersion": "config.kio.kasten.io/v1alpha1",
                "kind": "AuditConfig",
                "metadata": {"name": name, "namespace": "kasten-io", "uid": format!("u{number}")},
                "spec": {"profile": {"name": "p", "namespace": "kasten-io"}},
            });
            (name, config)
        };
        let configs = (0..configs).map(config).collect();
        Self(Arc::new(Mutex::new(State { fault, configs, ..State::default() })))
    }

    pub(crate) fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "kasten-io")
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        self.0.lock().unwrap().fault = fault;
    }

    /// Number of requests of this kind, such as `PATCH auditconfigs`.
    pub(crate) fn requests(&self, resource: &str) -> usize {
        self.0.lock().unwrap().requests.get(resource).copied().unwrap_or_default()
    }

    /// Adds an `AuditConfig` in namespace `other`, with the finalizer and status of an earlier server.
    pub(crate) fn add_in_other(&self) {
        let config = json!({
            "apiVersion": "config.kio.kasten.io/v1alpha1",
            "kind": "AuditConfig",
            "metadata": {"name": "away", "namespace": "other", "uid": "u7",
                         "finalizers": ["x.io/y", "audit.keepwatch.io/delivery"]},
            "spec": {"profile": {"name": "p", "namespace": "other"}},
            "status": {"validation": "Success"},
        });
        self.0.lock().unwrap().configs.insert("away".to_owned(), config);
    }

    /// An `AuditConfig`.
    pub(crate) fn config(&self, name: &str) -> Value {
        self.0.lock().unwrap().configs[name].clone()
    }

    /// The messages of the Events with this reason.
    pub(crate) fn events(&self, reason: &str) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let events = state.events.iter().filter(|event| event["reason"] == reason);
        events.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The status of each `AuditConfig` that has one.
    pub(crate) fn statuses(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let status =
            |config: &Value| config.pointer("/status/validation")?.as_str().map(str::to_owned);
        state.configs.values().filter_map(status).collect()
    }
}

impl State {
    fn respond(
        &mut self,
        method: &Method,
        path: &str,
        is_watch: bool,
        body: &[u8],
    ) -> (u16, Value) {
        let path_in_group = path.strip_prefix(GROUP).unwrap_or(path);
        let segments: Vec<&str> = path_in_group.trim_start_matches('/').split('/').collect();
        let resource = match segments.as_slice() {
            [""] => "discovery",
            ["namespaces", _, plural, ..] => *plural,
            _ => "events",
        };
        let method_name = if is_watch { "WATCH" } else { method.as_str() };
        *self.requests.entry(format!("{method_name} {resource}")).or_default() += 1;
        match (method_name, segments.as_slice()) {
            ("WATCH", _) if self.fault == Fault::NoWatches => (403, error_status(403)),
            ("WATCH", _) if self.fault == Fault::UndecodableEvents => {
                (200, json!({"type": "MODIFIED", "object": {"metadata": {"name": 1}}}))
            }
            ("WATCH", _) => (200, Value::Null),
            ("GET", [""]) if self.fault == Fault::NoDiscovery => (404, error_status(404)),
            ("GET", [""]) => (
                200,
                json!({"kind": "APIResourceList", "groupVersion": "config.kio.kasten.io/v1alpha1",
                "resources": [{"name": "auditconfigs", "singularName": "auditconfig", "namespaced": true,
                               "kind": "AuditConfig", "verbs": ["patch"]}]}),
            ),
            ("GET", ["namespaces", "shop" | "other", _]) if self.fault == Fault::NoShop => {
                (403, error_status(403))
            }
            ("GET", ["namespaces", ..]) if self.fault == Fault::FailingLists => {
                (500, error_status(500))
            }
            ("GET", ["namespaces", namespace, plural]) => {
                let items: Vec<&Value> = match (*namespace, *plural) {
                    (namespace, "auditconfigs") => {
                        let is_in = |config: &&Value| config["metadata"]["namespace"] == namespace;
                        self.configs.values().filter(is_in).collect()
                    }
                    _ => Vec::new(),
                };
                (200, json!({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}))
            }
            ("PATCH", _) if self.fault == Fault::NoWrites => (403, error_status(403)),
            ("PATCH", ["namespaces", _, "auditconfigs", name]) => {
                let mut changes: Value = serde_json::from_slice(body).unwrap();
                if self.fault == Fault::NoStatus {
                    changes.as_object_mut().unwrap().remove("status");
                }
                let config = self.configs.get_mut(*name).unwrap();
                merge(config, &changes);
                (200, config.clone())
            }
            ("POST", _) => {
                let event: Value = serde_json::from_slice(body).unwrap();
                self.events.push(event.clone());
                (201, event)
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A merge patch (RFC 7386), as far as the tests need it.
fn merge(target: &mut Value, patch: &Value) {
    let (Value::Object(target), Value::Object(patch)) = (&mut *target, patch) else {
        *target = patch.clone();
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

fn error_status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Refused",
           "message": "refused", "code": code})
}

impl Service<Request<Body>> for KubeApiserver {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let (context, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let is_watch = context.uri.query().is_some_and(|query| query.contains("watch=true"));
            let (code, response) = {
                let mut state = state.lock().unwrap();
                state.respond(&context.method, context.uri.path(), is_watch, &body)
            };
            let fault = state.lock().unwrap().fault;
            let is_short = [Fault::ShortWatches, Fault::UndecodableEvents].contains(&fault);
            if is_watch && code == 200 && !is_short {
                tokio::time::sleep(Duration::from_secs(290)).await;
            }
            let body = if response.is_null() { Bytes::new() } else { response.to_string().into() };
            let response =
                Response::builder().status(code).header("content-type", "application/json");
            Ok(response.body(Full::new(body)).unwrap())
        })
    }
}
