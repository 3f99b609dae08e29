//! The Grafana dashboard on events, from Elasticsearch, in Lucene's query language, which Grafana
//! uses.

use serde_json::{Value, json};

use super::kql::literal;
use crate::export::condition::{Attribute, Condition, Operator, Relation};
use crate::export::dashboard::grafana::{Dashboard, data_source, event_panels};
use crate::export::dashboard::{COLUMNS, DESCRIPTION, Panel, Shape, TITLE, TOP_ROWS, VARIABLES};
use crate::export::profile::Profile;
use crate::export::target::File;

/// The time field of data views and Grafana.
const TIME: &str = "@timestamp";
/// Maximum number of values of a variable.
const VALUES_MAX: u32 = 1000;
/// Maximum number of rows of the list.
const ROWS_MAX: u32 = 500;
/// The value of a variable that matches all events, including those without the field.
const EVERYTHING: &str = "* OR *:*";

/// The dashboard.
pub(super) fn of(profile: &Profile) -> File {
    let panels = event_panels("elasticsearch", |panel| query(panel, profile));
    let panels = panels.into_iter().map(|panel| listed(panel, profile));
    let variables = VARIABLES.iter().filter_map(|variable| {
        let (field, _) = profile.named(&Attribute::named(variable.field)).ok()?;
        let query = json!({"find": "terms", "field": field, "size": VALUES_MAX});
        Some(json!({
            "name": variable.name,
            "label": variable.label,
            "type": "query",
            "datasource": data_source("elasticsearch"),
            "query": query.to_string(),
            "multi": true,
            "includeAll": true,
            "allValue": EVERYTHING,
            "current": {"text": "All", "value": "$__all"},
            "refresh": 2,
            "sort": 1,
        }))
    });
    let dashboard = Dashboard {
        name: "keepwatch-events-elasticsearch",
        title: TITLE,
        description: DESCRIPTION,
        source: "elasticsearch",
        from: "now-24h",
        variables: variables.collect(),
        panels: panels.collect(),
    };
    dashboard.file()
}

fn query(panel: &Panel, profile: &Profile) -> Option<Value> {
    let mut search = lucene(&panel.events.condition(), profile)?;
    for variable in &VARIABLES {
        let (field, _) = profile.named(&Attribute::named(variable.field)).ok()?;
        search = format!("{search} AND ({field}:${{{}:lucene}})", variable.name);
    }
    let by = match panel.by() {
        Some(by) => Some(profile.named(&by).ok()?.0),
        None => None,
    };
    let over_time = json!({
        "id": "3",
        "type": "date_histogram",
        "field": TIME,
        "settings": {"interval": "auto", "min_doc_count": "0"},
    });
    let values = by.map(|field| {
        json!({
            "id": "2",
            "type": "terms",
            "field": field,
            "settings": {
                "size": TOP_ROWS.to_string(),
                "order": "desc",
                "orderBy": "_count",
                "min_doc_count": "1",
            },
        })
    });
    let (metric, groups) = match panel.shape {
        Shape::Number => (json!({"id": "1", "type": "count"}), vec![over_time]),
        Shape::Series => {
            (json!({"id": "1", "type": "count"}), values.into_iter().chain([over_time]).collect())
        }
        Shape::Top => (json!({"id": "1", "type": "count"}), values.into_iter().collect()),
        Shape::List => {
            let settings = json!({"size": ROWS_MAX.to_string()});
            (json!({"id": "1", "type": "raw_data", "settings": settings}), Vec::new())
        }
    };
    Some(json!({"query": search, "timeField": TIME, "metrics": [metric], "bucketAggs": groups}))
}

/// Selects and orders the fields of a list panel.
fn listed(mut panel: Value, profile: &Profile) -> Value {
    if panel["type"] != "table" {
        return panel;
    }
    let columns = COLUMNS.iter().filter_map(|field| profile.named(&Attribute::named(field)).ok());
    let names: Vec<String> =
        std::iter::once(TIME.to_owned()).chain(columns.map(|(name, _)| name)).collect();
    let order: serde_json::Map<String, Value> =
        names.iter().enumerate().map(|(index, name)| (name.clone(), json!(index))).collect();
    panel["transformations"] = json!([
        {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
        {"id": "organize", "options": {"indexByName": order}},
    ]);
    panel
}

/// Writes a condition; `None` if the language cannot express it.
fn lucene(condition: &Condition, profile: &Profile) -> Option<String> {
    let all = |parts: &[Condition], with: &str| {
        let parts: Option<Vec<String>> = parts.iter().map(|part| lucene(part, profile)).collect();
        Some(parts?.join(with))
    };
    match condition {
        Condition::All(parts) if !parts.is_empty() => all(parts, " AND "),
        Condition::Test(attribute, Operator::OneOf(texts, _)) => {
            let (field, _) = profile.named(attribute).ok()?;
            let values: Vec<String> = texts.iter().map(|text| literal(text)).collect();
            Some(format!("{field}:({})", values.join(" OR ")))
        }
        Condition::Test(attribute, Operator::Number(relation, number)) => {
            let (field, _) = profile.named(attribute).ok()?;
            let range = match relation {
                Relation::GreaterOrEqual => format!("[{number} TO *]"),
                Relation::Less => format!("[* TO {number}}}"),
                _ => return None,
            };
            Some(format!("{field}:{range}"))
        }
        _ => None,
    }
}
