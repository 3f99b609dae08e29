//! The dashboard on events for Datadog: `POST /api/v1/dashboard`.

use serde_json::{Value, json};

use super::profiles;
use super::query::Writer;
use crate::export::condition::Attribute;
use crate::export::dashboard::{
    COLUMNS, DESCRIPTION, GridPosition, PANELS, Panel, Shape, TITLE, TOP_ROWS, VARIABLES, file,
    grid_positions,
};
use crate::export::fidelity::Reason;
use crate::export::profile::Profile;
use crate::export::target::File;

/// Grafana's grid cells per Datadog cell: half as many columns, rows twice as high.
const CELL: u32 = 2;
/// Maximum number of series in a graph.
const SERIES_MAX: u32 = 20;

/// The dashboard.
pub(super) fn of(profile: &Profile) -> File {
    let positions = grid_positions(PANELS.iter().map(|panel| panel.shape.size()));
    let panels = PANELS.iter().zip(positions);
    // Omit fields that the profile lacks.
    let widgets: Vec<Value> =
        panels.filter_map(|(panel, position)| widget(panel, position, profile).ok()).collect();
    let variables: Vec<Value> = VARIABLES
        .iter()
        .filter_map(|variable| {
            let (prefix, _) = profile.named(&Attribute::named(variable.field)).ok()?;
            Some(json!({"name": variable.name, "prefix": prefix, "defaults": ["*"]}))
        })
        .collect();
    let dashboard = json!({
        "title": TITLE,
        "description": DESCRIPTION,
        "layout_type": "ordered",
        "reflow_type": "fixed",
        "template_variables": variables,
        "widgets": widgets,
    });
    file("keepwatch-events", &dashboard)
}

fn widget(panel: &Panel, position: GridPosition, profile: &Profile) -> Result<Value, Reason> {
    let search = search(panel, profile)?;
    let group_by =
        panel.by().map(|group_by| profile.named(&group_by)).transpose()?.map(|(name, _)| name);
    let mut definition = match panel.shape {
        Shape::Number => json!({
            "type": "query_value",
            "autoscale": true,
            "precision": 0,
            "requests": [counted(&search, None, "scalar", 0)],
        }),
        Shape::Series => {
            let mut request = counted(&search, group_by.as_deref(), "timeseries", SERIES_MAX);
            request["display_type"] = json!("bars");
            json!({"type": "timeseries", "show_legend": true, "requests": [request]})
        }
        Shape::Top => json!({
            "type": "toplist",
            "requests": [counted(&search, group_by.as_deref(), "scalar", TOP_ROWS)],
        }),
        Shape::List => json!({"type": "list_stream", "requests": [listed(&search, profile)?]}),
    };
    definition["title"] = json!(panel.title);
    let layout = json!({
        "x": position.x / CELL,
        "y": position.y / CELL,
        "width": position.width / CELL,
        "height": position.height / CELL,
    });
    Ok(json!({"definition": definition, "layout": layout}))
}

/// The query of a panel, filtered by the variables.
fn search(panel: &Panel, profile: &Profile) -> Result<String, Reason> {
    let mut writer = Writer { profile, reasons: Vec::new() };
    let query = writer.query(&panel.events.condition())?;
    let scope = profiles::scope(profile).map(str::to_owned).into_iter();
    let variables = VARIABLES.iter().map(|variable| format!("${}", variable.name));
    Ok(scope.chain([query]).chain(variables).collect::<Vec<_>>().join(" "))
}

/// A request for the number of logs.
fn counted(search: &str, group_by: Option<&str>, format: &str, limit: u32) -> Value {
    let groups = group_by.into_iter().map(|facet| {
        let sort = json!({"aggregation": "count", "order": "desc"});
        json!({"facet": facet, "limit": limit, "sort": sort})
    });
    json!({
        "response_format": format,
        "formulas": [{"formula": "events"}],
        "queries": [{
            "name": "events",
            "data_source": "logs",
            "search": {"query": search},
            "indexes": ["*"],
            "compute": {"aggregation": "count"},
            "group_by": groups.collect::<Vec<_>>(),
        }],
    })
}

/// A request for a list of logs.
fn listed(search: &str, profile: &Profile) -> Result<Value, Reason> {
    let mut columns = vec![json!({"field": "timestamp", "width": "auto"})];
    for field in COLUMNS {
        let (name, _) = profile.named(&Attribute::named(field))?;
        columns.push(json!({"field": name, "width": "auto"}));
    }
    Ok(json!({
        "response_format": "event_list",
        "columns": columns,
        "query": {
            "data_source": "logs_stream",
            "query_string": search,
            "indexes": [],
            "sort": {"column": "timestamp", "order": "desc"},
        },
    }))
}
