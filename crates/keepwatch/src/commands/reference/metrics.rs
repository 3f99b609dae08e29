//! The page of the metrics: read from an exposition in which each metric has one time series.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use apiserver::metrics::Metrics;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::commands::forward::register as register_forward;

const HEAD: &str = "# Metrics\n\n\
    Generated from the code: `cargo xtask codegen` writes this page.\n\n\
    `/metrics` serves these metrics in the OpenMetrics format, over TLS and to users with the verb \
    `get` on the non-resource URL `/metrics`. Metrics that begin with `apiserver_`, `authentication_`, \
    `authenticated_` or `authorization_` have kube-apiserver's names and labels where kube-apiserver \
    has the metric. A time series appears with its first value.\n\n\
    | Metric | Type | Labels | Meaning |\n|---|---|---|---|\n";

/// Labels that belong to the format.
const FORMAT_LABELS: [&str; 2] = ["le", "quantile"];

/// One metric of the exposition.
#[derive(Default)]
struct Row {
    kind: String,
    help: String,
    labels: Vec<String>,
}

/// The page.
pub(super) fn page() -> Result<String> {
    let mut registry = Registry::default();
    Metrics::with_example_series(&mut registry);
    delivery::register_each(&mut registry);
    source::register_each(&mut registry);
    register_forward(&mut registry, Gauge::default());
    drop(proxy::UpstreamMetrics::new(&mut registry));
    let mut exposition = String::new();
    prometheus_client::encoding::text::encode(&mut exposition, &registry)?;
    let mut page = HEAD.to_owned();
    for (name, row) in rows(&exposition)? {
        let suffix = if row.kind == "counter" { "_total" } else { "" };
        let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels, help) = (row.kind, labels.join(", "), row.help);
        writeln!(page, "| `{name}{suffix}` | {kind} | {labels} | {help} |")?;
    }
    Ok(page)
}

/// The metrics of an exposition by name.
fn rows(exposition: &str) -> Result<BTreeMap<&str, Row>> {
    let mut rows = BTreeMap::<&str, Row>::new();
    let mut last = "";
    for line in exposition.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            let (name, help) = described.split_once(' ').context("a metric without a help text")?;
            help.trim_end_matches('.').clone_into(&mut rows.entry(name).or_default().help);
        } else if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').context("a metric without a type")?;
            kind.clone_into(&mut rows.entry(name).or_default().kind);
            last = name;
        } else if !line.starts_with('#') {
            rows.entry(last).or_default().labels = labels(line);
        }
    }
    Ok(rows)
}

/// The names of the labels of a sample. Values are empty or numbers, so they contain no comma.
fn labels(sample: &str) -> Vec<String> {
    let labels = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let labels = labels.map_or("", |(labels, _)| labels);
    let names = labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name);
    names.filter(|name| !FORMAT_LABELS.contains(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_type_labels_and_meaning_of_each_metric() {
        let page = page().unwrap();
        for row in [
            "| `apiserver_audit_level_total` | counter | `level` |",
            "| `apiserver_response_sizes` | histogram | `verb`, `dry_run`, `group`,",
            "| `keepwatch_delivery_lag_events` | gauge | `sink` |",
            "| `keepwatch_delivery_journal_used_bytes` | gauge |  |",
            "| `keepwatch_detector_suppressed_signals_total` | counter | `suppression` |",
            "| `keepwatch_source_duplicate_events_total` | counter | `source` |",
            "| `keepwatch_notifier_last_success_timestamp_seconds` | gauge | `notifier` |",
        ] {
            assert!(page.contains(row), "{row}\n{page}");
        }
    }
}
