//! Metrics with the names that dashboards for kube-apiserver use.
//!
//! Label values come from closed lists only: a client cannot create a new time series.

mod exposition;
mod labels;

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use apimachinery::{ApiError, RequestInfo};
use bytes::Bytes;
use event::Level;
use http::{HeaderMap, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::{ApiResponse, Decision, Resource};
use labels::{
    LevelLabel, PluginLabel, RequestKind, RequestLabels, ResultLabel, ServedLabels, TargetLabels,
    UsernameLabel, WatchLabels,
};

/// Upper bounds of duration buckets, in seconds: those of kube-apiserver and a smaller one.
const SECONDS: [f64; 24] = [
    0.001, 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0,
    8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];
/// Upper bounds of the buckets of the SLI duration, in seconds.
const SLI_SECONDS: [f64; 21] = [
    0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0,
    30.0, 45.0, 60.0,
];
/// Upper bounds of the buckets of authentication and authorization durations, in seconds.
const LATENCY_SECONDS: [f64; 15] = [
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096,
    8.192, 16.384,
];
/// Upper bounds of the buckets of response sizes, in bytes.
const RESPONSE_BYTES: [f64; 7] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Upper bounds of the buckets of watch event sizes, in bytes.
const FRAME_BYTES: [f64; 8] =
    [1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0, 131_072.0];

/// Label of the audit backend.
const JOURNAL: PluginLabel = PluginLabel { plugin: "journal" };

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Metrics of the API server.
#[derive(Clone)]
pub struct Metrics {
    /// Group, version and plural of the served resources.
    served: Arc<[ServedLabels]>,
    exposition: Arc<std::sync::OnceLock<Registry>>,
    requests: Family<RequestLabels, Counter>,
    durations: Histograms<TargetLabels>,
    sli_durations: Histograms<TargetLabels>,
    response_sizes: Histograms<TargetLabels>,
    terminations: Family<RequestLabels, Counter>,
    in_flight: Family<RequestKind, Gauge>,
    watches: Family<TargetLabels, Gauge>,
    watch_events: Family<WatchLabels, Counter>,
    watch_event_sizes: Histograms<WatchLabels>,
    audit_events: Counter<u64, AtomicU64>,
    audit_levels: Family<LevelLabel, Counter>,
    audit_errors: Family<PluginLabel, Counter>,
    rejected: Counter<u64, AtomicU64>,
    late_outcomes: Gauge,
    authentications: Family<ResultLabel, Counter>,
    authentication_durations: Histograms<ResultLabel>,
    users: Family<UsernameLabel, Counter>,
    authorizations: Family<ResultLabel, Counter>,
    authorization_durations: Histograms<ResultLabel>,
    rejected_connections: Counter<u64, AtomicU64>,
    failed_handshakes: Counter<u64, AtomicU64>,
    rejected_heads: Counter<u64, AtomicU64>,
}

/// Registers metrics. A metric with labels is registered together with default values of its
/// labels, so that none is missing from the reference page.
struct Registrar<'r> {
    registry: &'r mut Registry,
    /// Whether each metric gets a time series with default labels.
    creates_series: bool,
}

impl Registrar<'_> {
    fn counter(&mut self, name: &str, help: &str, counter: &Counter<u64, AtomicU64>) {
        self.registry.register(name, help, counter.clone());
    }

    fn family<L, M, C>(&mut self, name: &str, help: &str, family: &Family<L, M, C>)
    where
        L: Clone + Default + Eq + Hash + EncodeLabelSet + Debug + Send + Sync + 'static,
        M: EncodeMetric + TypedMetric + Debug + Send + Sync + 'static,
        C: MetricConstructor<M> + Clone + Send + Sync + 'static,
        Family<L, M, C>: Metric,
    {
        if self.creates_series {
            drop(family.get_or_create(&L::default()));
        }
        self.registry.register(name, help, family.clone());
    }
}

impl Metrics {
    /// Registers all metrics. `resources` are the values that labels may have.
    pub fn new(registry: &mut Registry, resources: &[Resource]) -> Self {
        Self::register(Registrar { registry, creates_series: false }, resources)
    }

    /// Registers all metrics with one time series each, so that an exposition contains the labels
    /// of all of them. For the reference page; in a server, a time series appears with its first
    /// value.
    pub fn with_example_series(registry: &mut Registry) -> Self {
        Self::register(Registrar { registry, creates_series: true }, &[])
    }

    fn register(mut registrar: Registrar<'_>, resources: &[Resource]) -> Self {
        let served = resources
            .iter()
            .map(|resource| (resource.group, resource.version, resource.plural))
            .collect();
        let metrics = Self {
            served,
            exposition: Arc::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            sli_durations: Family::new_with_constructor(|| Histogram::new(SLI_SECONDS)),
            response_sizes: Family::new_with_constructor(|| Histogram::new(RESPONSE_BYTES)),
            terminations: Family::default(),
            in_flight: Family::default(),
            watches: Family::default(),
            watch_events: Family::default(),
            watch_event_sizes: Family::new_with_constructor(|| Histogram::new(FRAME_BYTES)),
            audit_events: Counter::default(),
            audit_levels: Family::default(),
            audit_errors: Family::default(),
            rejected: Counter::default(),
            late_outcomes: Gauge::default(),
            authentications: Family::default(),
            authentication_durations: Family::new_with_constructor(latency_histogram),
            users: Family::default(),
            authorizations: Family::default(),
            authorization_durations: Family::new_with_constructor(latency_histogram),
            rejected_connections: Counter::default(),
            failed_handshakes: Counter::default(),
            rejected_heads: Counter::default(),
        };
        // The series starts at zero, so that the first failure is visible as an increase.
        drop(metrics.audit_errors.get_or_create(&JOURNAL));
        metrics.register_requests(&mut registrar);
        metrics.register_watches(&mut registrar);
        metrics.register_records(&mut registrar);
        metrics.register_access(&mut registrar);
        metrics
    }

    fn register_requests(&self, registrar: &mut Registrar<'_>) {
        registrar.family("apiserver_request", "Responses sent", &self.requests);
        registrar.family(
            "apiserver_request_duration_seconds",
            "Time from the request to the response, in seconds",
            &self.durations,
        );
        registrar.family(
            "apiserver_request_sli_duration_seconds",
            "Time from the request to the response without watches, in seconds",
            &self.sli_durations,
        );
        registrar.family(
            "apiserver_response_sizes",
            "Size of responses without watches, in bytes",
            &self.response_sizes,
        );
        registrar.family(
            "apiserver_request_terminations",
            "Requests that the server terminated, with 429, 503 or 504",
            &self.terminations,
        );
        registrar.family(
            "apiserver_current_inflight_requests",
            "Requests in flight; a watch counts until its response begins",
            &self.in_flight,
        );
    }

    fn register_watches(&self, registrar: &mut Registrar<'_>) {
        registrar.family("apiserver_longrunning_requests", "Open watches", &self.watches);
        registrar.family(
            "apiserver_watch_events",
            "Watch events sent to clients",
            &self.watch_events,
        );
        registrar.family(
            "apiserver_watch_events_sizes",
            "Size of watch events sent to clients, in bytes",
            &self.watch_event_sizes,
        );
    }

    fn register_records(&self, registrar: &mut Registrar<'_>) {
        registrar.counter("apiserver_audit_event", "Audit events recorded", &self.audit_events);
        registrar.family(
            "apiserver_audit_level",
            "Requests by the audit level of the policy",
            &self.audit_levels,
        );
        registrar.family(
            "apiserver_audit_error",
            "Audit events that could not be recorded",
            &self.audit_errors,
        );
        registrar.counter(
            "apiserver_audit_requests_rejected",
            "Requests rejected because they could not be recorded",
            &self.rejected,
        );
        registrar.registry.register(
            "keepwatch_late_outcomes",
            "Outcomes of forwarded requests that wait until the store accepts them",
            self.late_outcomes.clone(),
        );
    }

    fn register_access(&self, registrar: &mut Registrar<'_>) {
        registrar.family(
            "authentication_attempts",
            "Requests by the result of authentication",
            &self.authentications,
        );
        registrar.family(
            "authentication_duration_seconds",
            "Duration of authentication, in seconds",
            &self.authentication_durations,
        );
        registrar.family(
            "authenticated_user_requests",
            "Requests of authenticated users by the kind of user name",
            &self.users,
        );
        registrar.family(
            "authorization_attempts",
            "Requests by the result of authorization",
            &self.authorizations,
        );
        registrar.family(
            "authorization_duration_seconds",
            "Duration of authorization, in seconds",
            &self.authorization_durations,
        );
        registrar.counter(
            "apiserver_connections_refused",
            "Connections closed because of a connection limit",
            &self.rejected_connections,
        );
        registrar.counter(
            "apiserver_tls_handshake_errors",
            "Connections whose TLS handshake failed",
            &self.failed_handshakes,
        );
        registrar.counter(
            "keepwatch_malformed_requests",
            "Requests with a malformed head, which are not processed and not recorded",
            &self.rejected_heads,
        );
    }

    /// Sets the registry that `/metrics` exposes. Only the first call has an effect.
    pub fn expose(&self, registry: Registry) {
        if self.exposition.set(registry).is_err() {
            tracing::warn!("the metrics registry was set twice; the first one stays in use");
        }
    }

    /// Response to `/metrics`.
    pub(crate) fn response(&self, request: &HeaderMap) -> ApiResponse {
        let mut text = String::new();
        if let Some(registry) = self.exposition.get()
            && let Err(error) = prometheus_client::encoding::text::encode(&mut text, registry)
        {
            return ApiResponse::from(ApiError::internal(&error.to_string()));
        }
        exposition::response(text, request)
    }

    pub(crate) fn request_started(&self, info: &RequestInfo) {
        self.in_flight.get_or_create(&request_kind(info)).inc();
    }

    /// Records a finished request.
    pub(crate) fn request_ended(&self, ended: &RequestOutcome<'_>) {
        let RequestOutcome { info, is_dry_run, code, micros, bytes } = *ended;
        self.in_flight.get_or_create(&request_kind(info)).dec();
        let target = TargetLabels::of(&self.served, info, is_dry_run);
        let code = u32::from(code.as_u16());
        let labels = target.labels(code);
        self.requests.get_or_create(&labels).inc();
        let seconds = seconds(micros);
        self.durations.get_or_create(&target).observe(seconds);
        if let Some(bytes) = bytes {
            self.sli_durations.get_or_create(&target).observe(seconds);
            self.response_sizes.get_or_create(&target).observe(size(bytes));
        }
        if matches!(code, 429 | 503 | 504) {
            self.terminations.get_or_create(&labels).inc();
        }
    }

    /// Records the start of a watch and returns its metrics.
    pub(crate) fn watch_started(&self, info: &RequestInfo) -> WatchMetrics {
        let target = TargetLabels::of(&self.served, info, false);
        let metrics = WatchMetrics {
            open: self.watches.get_or_create_owned(&target),
            events: self.watch_events.get_or_create_owned(&target.watch_labels()),
            sizes: self.watch_event_sizes.get_or_create_owned(&target.watch_labels()),
        };
        metrics.open.inc();
        metrics
    }

    pub(crate) fn audit_level(&self, level: Level) {
        self.audit_levels.get_or_create(&LevelLabel { level: level.as_str() }).inc();
    }

    pub(crate) fn event_logged(&self) {
        self.audit_events.inc();
    }

    pub(crate) fn event_not_logged(&self) {
        self.audit_errors.get_or_create(&JOURNAL).inc();
    }

    /// Sets the number of outcomes that could not be recorded yet.
    pub(crate) fn late_outcomes(&self, count: usize) {
        self.late_outcomes.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn rejected(&self) {
        self.rejected.inc();
    }

    /// Records an authentication attempt. `user` is `None` if it failed; `micros` is the latency in
    /// microseconds.
    pub(crate) fn authenticated(&self, user: Option<&str>, micros: i64) {
        let attempt = ResultLabel { result: if user.is_some() { "success" } else { "failure" } };
        self.authentications.get_or_create(&attempt).inc();
        self.authentication_durations.get_or_create(&attempt).observe(seconds(micros));
        if let Some(user) = user {
            self.users.get_or_create(&UsernameLabel { username: labels::username(user) }).inc();
        }
    }

    /// Records an authorization decision. `decision` is `None` on an error; `micros` is the latency
    /// in microseconds.
    pub(crate) fn authorized(&self, decision: Option<&Decision>, micros: i64) {
        let result = match decision {
            Some(Decision::Allow(_)) => "allowed",
            Some(Decision::Deny(_)) => "denied",
            Some(Decision::NoOpinion(_)) => "no-opinion",
            None => "error",
        };
        self.authorizations.get_or_create(&ResultLabel { result }).inc();
        self.authorization_durations
            .get_or_create(&ResultLabel { result })
            .observe(seconds(micros));
    }

    pub(crate) fn connection_rejected(&self) {
        self.rejected_connections.inc();
    }

    pub(crate) fn handshake_failed(&self) {
        self.failed_handshakes.inc();
    }

    pub(crate) fn head_rejected(&self) {
        self.rejected_heads.inc();
    }
}

/// Result of a request.
#[derive(Clone, Copy)]
pub(crate) struct RequestOutcome<'r> {
    pub(crate) info: &'r RequestInfo,
    pub(crate) is_dry_run: bool,
    pub(crate) code: StatusCode,
    pub(crate) micros: i64,
    /// Length of the response in bytes; `None` for a watch.
    pub(crate) bytes: Option<usize>,
}

/// Metrics of one watch, looked up once.
pub(crate) struct WatchMetrics {
    open: Gauge,
    events: Counter,
    sizes: Histogram,
}

impl WatchMetrics {
    pub(crate) fn sent(&self, frame: &Bytes) {
        self.events.inc();
        self.sizes.observe(size(frame.len()));
    }

    pub(crate) fn ended(&self) {
        self.open.dec();
    }
}

fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_SECONDS)
}

fn request_kind(info: &RequestInfo) -> RequestKind {
    let is_read = matches!(info.verb.as_str(), "get" | "list" | "watch");
    RequestKind { request_kind: if is_read { "readOnly" } else { "mutating" } }
}

fn seconds(micros: i64) -> f64 {
    f64::from(u32::try_from(micros.max(0)).unwrap_or(u32::MAX)) / 1e6
}

fn size(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX))
}
