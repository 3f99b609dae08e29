//! Exports dashboards over recorded events to other systems, and one over the server's metrics.
//!
//! [`PANELS`] defines the panels once, by the fields of rules. Each system writes them in its
//! language with the field names of its exported rules, so that a field has the same name in both.
//! Deliberately absent: colours, alerts, and API calls.

pub(super) mod grafana;
pub(super) mod server;

use super::condition::{Attribute, Condition, Operator, Relation};
use super::target::File;

/// A system with dashboards.
#[derive(Debug)]
pub struct System {
    /// Name on the command line.
    pub name: &'static str,
    /// Display name.
    pub title: &'static str,
    /// Names of its profiles; the first is the default.
    pub profiles: &'static [&'static str],
    write: fn(&str) -> Vec<File>,
}

impl System {
    /// Writes its dashboards for a profile, one file each.
    pub fn write(&self, profile: &str) -> Vec<File> {
        (self.write)(profile)
    }
}

/// The profiles that every system has.
const PROFILES: [&str; 2] = ["kasten", "kubernetes.audit"];

/// All systems, in the order in which they are listed.
pub fn all() -> &'static [System] {
    &[
        System {
            name: "datadog",
            title: "Datadog",
            profiles: &PROFILES,
            write: super::datadog::dashboards,
        },
        System { name: "grafana", title: "Grafana", profiles: &PROFILES, write: grafana::all },
    ]
}

/// Name of the dashboard on events.
pub(super) const TITLE: &str = "Keepwatch: who did what to backups";
/// Description of the dashboard on events.
pub(super) const DESCRIPTION: &str = "Recorded requests to the Kubernetes APIs of backups. Select a user to see what they did, and when.";
/// Number of rows in a list of the most frequent values.
pub(super) const TOP_ROWS: u32 = 10;

/// A panel of the dashboard on events.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) shape: Shape,
    pub(super) events: Events,
    /// The field that groups events; `None` for a number and a list.
    pub(super) by: Option<&'static str>,
}

/// The visualization of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The number of events.
    Number,
    /// The number of events over time, by the values of a field.
    Series,
    /// The most frequent values of a field.
    Top,
    /// The events themselves.
    List,
}

/// The events of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Events {
    /// Each request once.
    Requests,
    /// Requests with a client error (4xx): forbidden, invalid, not found.
    Refused,
    /// Successful deletions.
    Deletions,
    /// Successful deletions of restore points and their contents.
    RestorePointDeletions,
}

/// A field that filters the whole dashboard.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) field: &'static str,
}

pub(super) const VARIABLES: [Variable; 3] = [
    Variable { name: "user", label: "User", field: "user.username" },
    Variable { name: "cluster", label: "Cluster", field: "cluster" },
    Variable { name: "namespace", label: "Namespace", field: "objectRef.namespace" },
];

/// The columns of a list of events.
pub(super) const COLUMNS: [&str; 7] = [
    "user.username",
    "verb",
    "objectRef.resource",
    "objectRef.namespace",
    "objectRef.name",
    "responseStatus.code",
    "sourceIPs",
];

/// The panels of the dashboard on events, from left to right and from top to bottom.
pub(super) const PANELS: [Panel; 15] = [
    number("Requests", "Recorded requests; each counts once.", Events::Requests),
    number(
        "Refused",
        "Requests that were forbidden or invalid, or named an object that does not exist.",
        Events::Refused,
    ),
    number("Deletions", "Successful deletions, including dry runs.", Events::Deletions),
    number(
        "Restore points deleted",
        "Restore points and their contents, including those that K10's retention deleted.",
        Events::RestorePointDeletions,
    ),
    series("Requests by verb", "Requests over time, by verb.", Events::Requests, "verb"),
    series(
        "Deletions by kind",
        "Deletions over time, by kind.",
        Events::Deletions,
        "objectRef.resource",
    ),
    top("Users", "Users with the most requests.", Events::Requests, "user.username"),
    top("Users who delete", "Users with the most deletions.", Events::Deletions, "user.username"),
    top(
        "Users who are refused",
        "Users with the most refused requests.",
        Events::Refused,
        "user.username",
    ),
    top("Refusals", "Status codes of refused requests.", Events::Refused, "responseStatus.code"),
    top("Kinds", "Kinds with the most requests.", Events::Requests, "objectRef.resource"),
    top(
        "Namespaces",
        "Namespaces with the most deletions.",
        Events::Deletions,
        "objectRef.namespace",
    ),
    top("Addresses", "Source addresses with the most requests.", Events::Requests, "sourceIPs"),
    top("Clients", "User agents with the most requests.", Events::Requests, "userAgent"),
    Panel {
        title: "Timeline",
        description: "All requests, newest first.",
        shape: Shape::List,
        events: Events::Requests,
        by: None,
    },
];

const fn number(title: &'static str, description: &'static str, events: Events) -> Panel {
    Panel { title, description, shape: Shape::Number, events, by: None }
}

const fn series(
    title: &'static str,
    description: &'static str,
    events: Events,
    by: &'static str,
) -> Panel {
    Panel { title, description, shape: Shape::Series, events, by: Some(by) }
}

const fn top(
    title: &'static str,
    description: &'static str,
    events: Events,
    by: &'static str,
) -> Panel {
    Panel { title, description, shape: Shape::Top, events, by: Some(by) }
}

impl Panel {
    /// The field that groups events.
    pub(super) fn by(&self) -> Option<Attribute> {
        self.by.map(Attribute::named)
    }
}

impl Events {
    /// The condition that selects these events.
    pub(super) fn condition(self) -> Condition {
        let code = |relation, number| {
            let attribute = Attribute::named("responseStatus.code");
            Condition::Test(attribute, Operator::Number(relation, number))
        };
        // A watch also has an event at ResponseStarted.
        let mut all = vec![Condition::one_of("stage", &["ResponseComplete", "Panic"])];
        match self {
            Self::Requests => {}
            Self::Refused => {
                all.extend([code(Relation::GreaterOrEqual, 400.0), code(Relation::Less, 500.0)]);
            }
            Self::Deletions | Self::RestorePointDeletions => all.extend([
                Condition::one_of("verb", &["delete", "deletecollection"]),
                code(Relation::GreaterOrEqual, 200.0),
                code(Relation::Less, 300.0),
            ]),
        }
        if self == Self::RestorePointDeletions {
            let kinds = ["restorepoints", "restorepointcontents", "clusterrestorepoints"];
            all.push(Condition::one_of("objectRef.resource", &kinds));
        }
        Condition::All(all)
    }
}

/// Position and size of a panel, in columns and rows of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GridPosition {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Number of columns of Grafana's grid; other grids are coarser.
pub(super) const GRID_COLUMNS: u32 = 24;

/// Lays out panels of these widths and heights in rows.
pub(super) fn grid_positions(sizes: impl Iterator<Item = (u32, u32)>) -> Vec<GridPosition> {
    let (mut x, mut y, mut row_height) = (0, 0, 0);
    sizes
        .map(|(width, height)| {
            if x + width > GRID_COLUMNS {
                (x, y, row_height) = (0, y + row_height, 0);
            }
            let position = GridPosition { x, y, width, height };
            (x, row_height) = (x + width, row_height.max(height));
            position
        })
        .collect()
}

impl Shape {
    /// Width in columns and height in rows.
    pub(super) const fn size(self) -> (u32, u32) {
        match self {
            Self::Number => (6, 4),
            Self::Series => (12, 8),
            Self::Top => (6, 8),
            Self::List => (GRID_COLUMNS, 14),
        }
    }
}

/// The import file of a dashboard.
pub(super) fn file(name: &str, dashboard: &serde_json::Value) -> File {
    // Serialization cannot fail: the value contains only texts and numbers.
    let text = serde_json::to_string_pretty(dashboard).unwrap_or_default();
    File { name: format!("{name}.json"), text: text + "\n" }
}
