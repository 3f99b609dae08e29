//! The Grafana dashboard on the server's own metrics, from Prometheus.
//!
//! A test of the server compares the metric names with those that it exposes.

use serde_json::{Value, json};

use super::grafana::{Dashboard, data_source, grid, stat, time_series};
use super::{GRID_COLUMNS, grid_positions};
use crate::export::target::File;

const SOURCE: &str = "prometheus";
/// A metric that only Keepwatch exposes, to find its jobs.
const OWN: &str = "keepwatch_delivery_lag_events";

/// A part of the dashboard.
enum Part {
    /// A row with a title.
    Row(&'static str),
    /// The last value of an expression: title, expression, unit and threshold of a bad value.
    Stat(&'static str, &'static str, &'static str, &'static str, f64),
    /// A graph of expressions, each with the legend of its series.
    Graph(&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]),
}

use Part::{Graph, Row, Stat};

/// The panels. `{job` is replaced by the selector of the chosen jobs.
const PARTS: &[Part] = &[
    Stat(
        "Requests refused for want of a record",
        "In the last hour. A request that cannot be recorded is refused.",
        "sum(increase(apiserver_audit_requests_rejected_total{job}[1h]))",
        "short",
        1.0,
    ),
    Stat(
        "Store in use",
        "Of the bytes at which requests are refused.",
        "max(keepwatch_delivery_journal_used_bytes{job} / keepwatch_delivery_journal_limit_bytes{job})",
        "percentunit",
        0.8,
    ),
    Stat(
        "Largest lag",
        "Events that the slowest reader of the journal has not got yet.",
        "max(keepwatch_delivery_lag_events{job})",
        "short",
        10_000.0,
    ),
    Stat(
        "Open signals",
        "Signals that have not ended.",
        "sum(keepwatch_detector_open_signals{job})",
        "short",
        1.0,
    ),
    Row("Requests"),
    Graph(
        "Requests by verb",
        "Answered, a second.",
        "reqps",
        &[("sum by (verb) (rate(apiserver_request_total{job}[$__rate_interval]))", "{{verb}}")],
    ),
    Graph(
        "Refused and failed requests",
        "Error responses per second, by status code.",
        "reqps",
        &[(
            "sum by (code) (rate(apiserver_request_total{job,code=~\"4..|5..\"}[$__rate_interval]))",
            "{{code}}",
        )],
    ),
    Graph(
        "Time until the answer",
        "Watches left out. An answer waits until its event is on disk.",
        "s",
        &[
            (
                "histogram_quantile(0.5, sum by (le) \
                 (rate(apiserver_request_sli_duration_seconds_bucket{job}[$__rate_interval])))",
                "half of them",
            ),
            (
                "histogram_quantile(0.99, sum by (le) \
                 (rate(apiserver_request_sli_duration_seconds_bucket{job}[$__rate_interval])))",
                "99 of 100",
            ),
        ],
    ),
    Graph(
        "Requests under way",
        "A watch counts until it begins.",
        "short",
        &[("sum by (request_kind) (apiserver_current_inflight_requests{job})", "{{request_kind}}")],
    ),
    Graph(
        "Refused access",
        "Attempts that were not authenticated, not authorized, or ended in an error, a second.",
        "reqps",
        &[
            (
                "sum by (result) \
                 (rate(authentication_attempts_total{job,result!=\"success\"}[$__rate_interval]))",
                "authentication: {{result}}",
            ),
            (
                "sum by (result) \
                 (rate(authorization_attempts_total{job,result!=\"allowed\"}[$__rate_interval]))",
                "authorization: {{result}}",
            ),
        ],
    ),
    Graph(
        "Refused connections",
        "A second.",
        "cps",
        &[
            (
                "sum(rate(apiserver_connections_refused_total{job}[$__rate_interval]))",
                "too many at a time",
            ),
            (
                "sum(rate(apiserver_tls_handshake_errors_total{job}[$__rate_interval]))",
                "no TLS handshake",
            ),
        ],
    ),
    Row("Recording and delivery"),
    Graph(
        "Events recorded",
        "A second.",
        "eps",
        &[
            ("sum(rate(apiserver_audit_event_total{job}[$__rate_interval]))", "recorded"),
            ("sum(rate(apiserver_audit_error_total{job}[$__rate_interval]))", "not recorded"),
        ],
    ),
    Graph(
        "Store",
        "Bytes in use, and bytes at which requests are refused.",
        "bytes",
        &[
            ("max(keepwatch_delivery_journal_used_bytes{job})", "in use"),
            ("max(keepwatch_delivery_journal_limit_bytes{job})", "limit"),
        ],
    ),
    Graph(
        "Events delivered",
        "By each sink, a second.",
        "eps",
        &[(
            "sum by (sink) (rate(keepwatch_delivery_delivered_total{job}[$__rate_interval]))",
            "{{sink}}",
        )],
    ),
    Graph(
        "Lag",
        "Events in the journal that a reader has not got yet.",
        "short",
        &[("max by (sink) (keepwatch_delivery_lag_events{job})", "{{sink}}")],
    ),
    Graph(
        "Failed deliveries",
        "Attempts that failed and are repeated, and records that could not be read.",
        "short",
        &[
            (
                "sum by (sink) (increase(keepwatch_delivery_errors_total{job}[$__rate_interval]))",
                "{{sink}}",
            ),
            (
                "sum by (sink) (increase(keepwatch_delivery_unreadable_total{job}[$__rate_interval]))",
                "{{sink}}: unreadable",
            ),
        ],
    ),
    Row("Detection"),
    Graph(
        "Signals raised",
        "By rule.",
        "short",
        &[(
            "sum by (rule) (increase(keepwatch_detector_signals_total{job}[$__rate_interval])) > 0",
            "{{rule}}",
        )],
    ),
    Graph(
        "Open signals",
        "By rule.",
        "short",
        &[("sum by (rule) (keepwatch_detector_open_signals{job}) > 0", "{{rule}}")],
    ),
    Graph(
        "Signals not raised",
        "Because of a suppression.",
        "short",
        &[(
            "sum by (suppression) \
             (increase(keepwatch_detector_suppressed_signals_total{job}[$__rate_interval]))",
            "{{suppression}}",
        )],
    ),
    Graph(
        "Notifications",
        "By notifier.",
        "short",
        &[
            (
                "sum by (notifier) (increase(keepwatch_notifier_sent_total{job}[$__rate_interval]))",
                "{{notifier}}: sent",
            ),
            (
                "sum by (notifier) (increase(keepwatch_notifier_errors_total{job}[$__rate_interval]))",
                "{{notifier}}: failed",
            ),
            ("sum by (notifier) (keepwatch_notifier_pending{job})", "{{notifier}}: waiting"),
        ],
    ),
];

/// The dashboard.
pub(super) fn dashboard() -> File {
    let sizes = PARTS.iter().map(Part::size);
    let panels = PARTS.iter().zip(grid_positions(sizes)).map(|(part, position)| {
        let mut panel = part.panel();
        panel["gridPos"] = grid(position);
        panel
    });
    let jobs = format!("label_values({OWN}, job)");
    let job = json!({
        "name": "job",
        "label": "Job",
        "type": "query",
        "datasource": data_source(SOURCE),
        "definition": jobs,
        "query": {"query": jobs, "refId": "jobs"},
        "multi": true,
        "includeAll": true,
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    });
    let dashboard = Dashboard {
        name: "keepwatch-server",
        title: "Keepwatch: the server",
        description: "Requests, what is recorded and delivered, and signals, by the server's metrics.",
        source: SOURCE,
        from: "now-6h",
        variables: vec![job],
        panels: panels.collect(),
    };
    dashboard.file()
}

impl Part {
    const fn size(&self) -> (u32, u32) {
        match self {
            Row(_) => (GRID_COLUMNS, 1),
            Stat(..) => (6, 4),
            Graph(..) => (8, 8),
        }
    }

    fn panel(&self) -> Value {
        match self {
            Row(title) => json!({"type": "row", "title": title, "collapsed": false, "panels": []}),
            Stat(title, description, expression, unit, threshold) => {
                let steps = json!([{"color": "green", "value": null}, {"color": "red", "value": threshold}]);
                json!({
                    "type": "stat",
                    "title": title,
                    "description": description,
                    "datasource": data_source(SOURCE),
                    "targets": [target("A", expression, "")],
                    "options": stat("lastNotNull", true),
                    "fieldConfig": {
                        "defaults": {
                            "unit": unit,
                            "noValue": "0",
                            "color": {"mode": "thresholds"},
                            "thresholds": {"mode": "absolute", "steps": steps},
                        },
                        "overrides": [],
                    },
                })
            }
            Graph(title, description, unit, expressions) => {
                let names = ["A", "B", "C"].into_iter();
                let targets: Vec<Value> = names
                    .zip(*expressions)
                    .map(|(name, (expression, legend))| target(name, expression, legend))
                    .collect();
                json!({
                    "type": "timeseries",
                    "title": title,
                    "description": description,
                    "datasource": data_source(SOURCE),
                    "targets": targets,
                    "options": time_series(),
                    "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                })
            }
        }
    }
}

/// A query for the metrics of the chosen jobs.
fn target(name: &str, expression: &str, legend: &str) -> Value {
    let expression = expression.replace("{job", "{job=~\"$job\"");
    json!({
        "refId": name,
        "datasource": data_source(SOURCE),
        "expr": expression,
        "legendFormat": legend,
        "range": true,
    })
}
