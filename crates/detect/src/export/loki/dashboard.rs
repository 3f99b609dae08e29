//! The Grafana dashboard on events, from Loki.

use serde_json::{Value, json};

use super::profiles;
use super::stage::Labels;
use crate::export::condition::Attribute;
use crate::export::dashboard::grafana::{Dashboard, event_panels};
use crate::export::dashboard::{
    COLUMNS, DESCRIPTION, Events, Panel, Shape, TITLE, TOP_ROWS, VARIABLES,
};
use crate::export::fidelity::Reason;
use crate::export::profile::Profile;
use crate::export::target::File;

/// The dashboard.
pub(super) fn of(profile: &Profile) -> File {
    let panels = event_panels("loki", |panel| query(panel, profile).ok());
    let variables = VARIABLES.iter().map(|variable| {
        let every = json!({"text": ".*", "value": ".*"});
        json!({
            "name": variable.name,
            "label": format!("{} (regular expression)", variable.label),
            "type": "textbox",
            "query": ".*",
            "current": every,
        })
    });
    let dashboard = Dashboard {
        name: "keepwatch-events-loki",
        title: TITLE,
        description: DESCRIPTION,
        source: "loki",
        from: "now-24h",
        variables: variables.collect(),
        panels,
    };
    dashboard.file()
}

fn query(panel: &Panel, profile: &Profile) -> Result<Value, Reason> {
    let columns = COLUMNS.map(Attribute::named);
    let by = panel.by();
    let shown_fields = if panel.shape == Shape::List { columns.as_slice() } else { by.as_slice() };
    let lines = lines(panel.events, shown_fields, profile)?;
    let label = by.as_ref().map(super::stage::label).unwrap_or_default();
    Ok(match panel.shape {
        Shape::Number => {
            let expression = format!("sum(count_over_time({lines} [$__range]))");
            json!({"expr": expression, "queryType": "instant"})
        }
        Shape::Series => {
            let expression = format!("sum by ({label}) (count_over_time({lines} [$__interval]))");
            json!({"expr": expression, "queryType": "range", "legendFormat": legend(&label)})
        }
        Shape::Top => {
            let each = format!("sum by ({label}) (count_over_time({lines} [$__range]))");
            let expression = format!("topk({TOP_ROWS}, {each})");
            json!({"expr": expression, "queryType": "instant", "legendFormat": legend(&label)})
        }
        Shape::List => {
            let columns =
                columns.iter().map(|column| format!("{{{{.{}}}}}", super::stage::label(column)));
            let text = columns.collect::<Vec<_>>().join(" ");
            let expression = format!("{lines} | line_format `{text}`");
            json!({"expr": expression, "queryType": "range"})
        }
    })
}

fn legend(label: &str) -> String {
    format!("{{{{{label}}}}}")
}

/// The query for the lines of events, with labels of the shown fields.
fn lines(events: Events, shown_fields: &[Attribute], profile: &Profile) -> Result<String, Reason> {
    let mut labels = Labels::new(profile);
    let filter = labels.filter(&events.condition())?;
    let mut narrowed = String::new();
    for variable in &VARIABLES {
        let label = labels.of(&Attribute::named(variable.field))?;
        // The line has the cluster as the tag `cluster-name`.
        let is_tag = label == "cluster" && !profiles::has_cluster_label(profile);
        let start = if is_tag { "(?:.*cluster-name:)?" } else { "" };
        narrowed.extend([" | ", &label, "=~\"", start, "(?:${", variable.name, "})\""]);
    }
    for attribute in shown_fields {
        labels.of(attribute)?;
    }
    let selector = profiles::selector(profile);
    let stage = labels.stage();
    Ok(format!("{selector} {stage} | __error__=\"\" {filter}{narrowed}"))
}
