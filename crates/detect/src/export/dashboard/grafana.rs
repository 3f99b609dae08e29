//! The common parts of Grafana dashboards.
//!
//! The data source is a variable of each dashboard, so that a file can be imported or provisioned
//! unchanged. The modules `loki`, `elastic` and `server` write the queries.

use serde_json::{Value, json};

use super::{GridPosition, Panel, Shape, grid_positions};
use crate::export::target::File;

/// Version of the dashboard schema. A newer Grafana migrates the dashboard when it loads it.
const SCHEMA_VERSION: u32 = 39;

/// All Grafana dashboards for a profile.
pub(super) fn all(profile: &str) -> Vec<File> {
    let events = crate::export::loki::dashboards(profile)
        .into_iter()
        .chain(crate::export::elastic::dashboards(profile));
    events.chain([super::server::dashboard()]).collect()
}

/// The parts that differ between dashboards.
pub(in crate::export) struct Dashboard<'d> {
    /// Name of the file, and UID in the dashboard's URL.
    pub(in crate::export) name: &'d str,
    pub(in crate::export) title: &'d str,
    pub(in crate::export) description: &'d str,
    /// The data source plugin, such as `loki`.
    pub(in crate::export) source: &'static str,
    /// Start of the initial time range, such as `now-24h`.
    pub(in crate::export) from: &'static str,
    /// Variables, without the data source.
    pub(in crate::export) variables: Vec<Value>,
    pub(in crate::export) panels: Vec<Value>,
}

impl Dashboard<'_> {
    /// Adds the common parts and returns the file to import.
    pub(in crate::export) fn file(self) -> File {
        let data_source = json!({
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": self.source,
            "multi": false,
            "includeAll": false,
            "refresh": 1,
        });
        let mut panels = self.panels;
        for (index, panel) in panels.iter_mut().enumerate() {
            panel["id"] = json!(index + 1);
        }
        let variables: Vec<Value> = std::iter::once(data_source).chain(self.variables).collect();
        let dashboard = json!({
            "uid": self.name,
            "title": self.title,
            "description": self.description,
            "tags": ["keepwatch"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": true,
            "graphTooltip": 1,
            "timezone": "browser",
            "time": {"from": self.from, "to": "now"},
            "refresh": "",
            "templating": {"list": variables},
            "annotations": {"list": []},
            "panels": panels,
        });
        super::file(self.name, &dashboard)
    }
}

/// A reference to the data source that the user selected. `kind` is its plugin.
pub(in crate::export) fn data_source(kind: &str) -> Value {
    json!({"type": kind, "uid": "${datasource}"})
}

/// The panels of a dashboard over events. A panel for which `query` returns `None` is omitted.
pub(in crate::export) fn event_panels(
    source: &str,
    query: impl Fn(&Panel) -> Option<Value>,
) -> Vec<Value> {
    let positions = grid_positions(super::PANELS.iter().map(|panel| panel.shape.size()));
    let panels = super::PANELS.iter().zip(positions);
    let panel_of = |(panel, position): (&Panel, GridPosition)| {
        let (kind, options) = visualization(panel.shape, source);
        let mut target = query(panel)?;
        target["refId"] = json!("A");
        target["datasource"] = data_source(source);
        Some(json!({
            "type": kind,
            "title": panel.title,
            "description": panel.description,
            "datasource": data_source(source),
            "gridPos": grid(position),
            "targets": [target],
            "options": options,
            "fieldConfig": field_config(panel.shape),
        }))
    };
    panels.filter_map(panel_of).collect()
}

/// The `gridPos` of a panel.
pub(super) fn grid(position: GridPosition) -> Value {
    json!({"x": position.x, "y": position.y, "w": position.width, "h": position.height})
}

/// Grafana's panel type for a shape, and its options.
fn visualization(shape: Shape, source: &str) -> (&'static str, Value) {
    // For each value of a field, Loki returns a series and Elasticsearch a row.
    let is_table = source == "elasticsearch";
    match shape {
        // Elasticsearch returns a count for each time bucket, Loki a single value.
        Shape::Number => ("stat", stat(if is_table { "sum" } else { "lastNotNull" }, false)),
        Shape::Series => ("timeseries", time_series()),
        Shape::Top => {
            let options = json!({
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": is_table},
                "orientation": "horizontal",
                "displayMode": "basic",
                "valueMode": "color",
                "namePlacement": "auto",
                "showUnfilled": true,
                "sizing": "auto",
                "minVizWidth": 8,
                "minVizHeight": 16,
                "maxVizHeight": 300,
                "legend": legend(false),
            });
            ("bargauge", options)
        }
        Shape::List if is_table => ("table", json!({"showHeader": true, "frameIndex": 0})),
        Shape::List => {
            let options = json!({
                "showTime": true,
                "showLabels": false,
                "showCommonLabels": false,
                "showLogContextToggle": false,
                "wrapLogMessage": true,
                "prettifyLogMessage": false,
                "enableLogDetails": true,
                "dedupStrategy": "none",
                "sortOrder": "Descending",
            });
            ("logs", options)
        }
    }
}

/// Options of a stat panel: one number, calculated from a series.
pub(super) fn stat(calculation: &str, has_graph: bool) -> Value {
    json!({
        "reduceOptions": {"calcs": [calculation], "fields": "", "values": false},
        "colorMode": if has_graph { "value" } else { "none" },
        "graphMode": if has_graph { "area" } else { "none" },
        "justifyMode": "auto",
        "textMode": "auto",
        "orientation": "auto",
        "wideLayout": true,
        "showPercentChange": false,
        "percentChangeColorMode": "standard",
    })
}

/// Options of a time series panel.
pub(super) fn time_series() -> Value {
    json!({"legend": legend(true), "tooltip": {"mode": "multi", "sort": "desc"}})
}

fn legend(is_shown: bool) -> Value {
    json!({"displayMode": "list", "placement": "bottom", "showLegend": is_shown, "calcs": []})
}

/// Field options: bars for a series, and a single colour for counts, because a number of events is
/// neither good nor bad.
fn field_config(shape: Shape) -> Value {
    let mut defaults = json!({"unit": "short", "noValue": "0", "min": 0});
    match shape {
        Shape::Series => {
            let stacking = json!({"mode": "normal", "group": "A"});
            defaults["custom"] = json!({
                "drawStyle": "bars",
                "fillOpacity": 100,
                "lineWidth": 0,
                "stacking": stacking,
            });
        }
        Shape::Number | Shape::Top => {
            defaults["color"] = json!({"mode": "fixed", "fixedColor": "blue"});
        }
        Shape::List => defaults = json!({}),
    }
    json!({"defaults": defaults, "overrides": []})
}
