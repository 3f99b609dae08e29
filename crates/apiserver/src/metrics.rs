//! The numbers that dashboards for kube-apiserver look for, by the same names.
//!
//! Labels come from closed lists only: a client cannot make a new time series.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::{Answer, ApiError, RequestInfo, Resource};

/// `Content-Type` of the exposition.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper ends of the histogram's buckets, in seconds; a part of kube-apiserver's.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 5.0, 15.0, 60.0];
/// What a label may say about a verb.
const VERBS: [&str; 10] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "post",
    "put",
];
/// What a label may say about a subresource.
const SUBRESOURCES: [&str; 4] = ["status", "details", "finalize", "scale"];

/// What a request was about.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Target {
    verb: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    scope: &'static str,
    component: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TargetAndCode {
    verb: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    scope: &'static str,
    component: &'static str,
    code: u32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Termination {
    code: u32,
}

type Durations = Family<Target, Histogram, fn() -> Histogram>;

/// The front's numbers.
#[derive(Clone)]
pub struct Metrics {
    /// Group, version and plural of what is served.
    known: Arc<[(&'static str, &'static str, &'static str)]>,
    exposition: Arc<std::sync::OnceLock<Registry>>,
    requests: Family<TargetAndCode, Counter>,
    durations: Durations,
    in_flight: Gauge,
    watches: Gauge,
    audit_events: Counter<u64, AtomicU64>,
    rejected: Counter<u64, AtomicU64>,
    terminations: Family<Termination, Counter>,
    failed_authentications: Counter<u64, AtomicU64>,
    refused_connections: Counter<u64, AtomicU64>,
}

impl Metrics {
    /// Registers everything. `resources` are the values the labels may take.
    pub fn new(registry: &mut Registry, resources: &[Resource]) -> Self {
        let known = resources.iter().map(|one| (one.group, one.version, one.plural)).collect();
        let metrics = Self {
            known,
            exposition: Arc::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
            watches: Gauge::default(),
            audit_events: Counter::default(),
            rejected: Counter::default(),
            terminations: Family::default(),
            failed_authentications: Counter::default(),
            refused_connections: Counter::default(),
        };
        metrics.register(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("apiserver_request", "Requests answered", self.requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "Time until the answer, in seconds",
            self.durations.clone(),
        );
        registry.register(
            "apiserver_current_inflight_requests",
            "Requests under way, watches left out",
            self.in_flight.clone(),
        );
        registry.register(
            "apiserver_longrunning_requests",
            "Watches under way",
            self.watches.clone(),
        );
        registry.register(
            "apiserver_audit_event",
            "Audit events recorded",
            self.audit_events.clone(),
        );
        registry.register(
            "apiserver_audit_requests_rejected",
            "Requests refused because they could not be recorded",
            self.rejected.clone(),
        );
        registry.register(
            "apiserver_request_terminations",
            "Requests given up by the server",
            self.terminations.clone(),
        );
        registry.register(
            "authentication_failures",
            "Requests in which nobody was recognised",
            self.failed_authentications.clone(),
        );
        registry.register(
            "apiserver_connections_refused",
            "Connections closed for want of room or a failed handshake",
            self.refused_connections.clone(),
        );
    }

    /// Hands over the finished registry, which `/metrics` shows from now on. Counts once.
    pub fn expose(&self, registry: Registry) {
        if self.exposition.set(registry).is_err() {
            tracing::warn!("metrics were exposed twice; the first registry stays");
        }
    }

    /// The answer to `/metrics`.
    pub(crate) fn answer(&self) -> Answer {
        let mut text = String::new();
        if let Some(registry) = self.exposition.get()
            && let Err(error) = prometheus_client::encoding::text::encode(&mut text, registry)
        {
            return Answer::from(ApiError::internal(&error.to_string()));
        }
        Answer {
            code: StatusCode::OK,
            headers: HeaderMap::new(),
            content_type: OPEN_METRICS,
            body: Bytes::from(text),
            object: None,
            status: None,
        }
    }

    pub(crate) fn request_began(&self) {
        self.in_flight.inc();
    }

    pub(crate) fn request_ended(&self, info: &RequestInfo, code: StatusCode, micros: i64) {
        self.in_flight.dec();
        let target = self.target(info);
        let Target { verb, group, version, resource, subresource, scope, component } = target;
        let code = u32::from(code.as_u16());
        let labels =
            TargetAndCode { verb, group, version, resource, subresource, scope, component, code };
        self.requests.get_or_create(&labels).inc();
        let micros = u32::try_from(micros.max(0)).unwrap_or(u32::MAX);
        self.durations.get_or_create(&target).observe(f64::from(micros) / 1e6);
        if matches!(code, 429 | 503 | 504) {
            self.terminations.get_or_create(&Termination { code }).inc();
        }
    }

    pub(crate) fn watch_began(&self) {
        self.watches.inc();
    }

    pub(crate) fn watch_ended(&self) {
        self.watches.dec();
    }

    pub(crate) fn recorded(&self) {
        self.audit_events.inc();
    }

    pub(crate) fn rejected(&self) {
        self.rejected.inc();
    }

    pub(crate) fn authentication_failed(&self) {
        self.failed_authentications.inc();
    }

    pub(crate) fn connection_refused(&self) {
        self.refused_connections.inc();
    }

    fn target(&self, info: &RequestInfo) -> Target {
        let word = |list: &[&'static str], text: &str| {
            list.iter().find(|word| **word == text).copied().unwrap_or_default()
        };
        let (group, version, resource) = self
            .known
            .iter()
            .find(|(group, version, plural)| {
                *plural == info.resource && *group == info.api_group && *version == info.api_version
            })
            .copied()
            .unwrap_or_default();
        let scope = match info {
            _ if !info.is_resource_request => "",
            _ if !info.name.is_empty() => "resource",
            _ if !info.namespace.is_empty() => "namespace",
            _ => "cluster",
        };
        Target {
            verb: word(&VERBS, &info.verb),
            group,
            version,
            resource,
            subresource: word(&SUBRESOURCES, &info.subresource),
            scope,
            component: "apiserver",
        }
    }
}
