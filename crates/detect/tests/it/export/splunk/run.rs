//! Evaluates saved searches on events: a run at each interval, over the events in the look-back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use detect::export::Exported;
use event::{Event, EventRef, k10, v1};
use serde_json::Value;

use super::spl::{self, Aggregates, Command, Search};
use super::value::{Cell, Row, eval, seconds};
use crate::acts::MINUTE;
use crate::export::meaning::{Evaluator, Groups};

/// Duration of the runs after the last event: long enough to find a silence before it, too short to
/// find the one after it.
const RUNS_AFTER: i64 = 15 * MINUTE;

struct Splunk {
    profile: &'static str,
    rules: Vec<Option<Rule>>,
}

struct Rule {
    search: Search,
    /// Microseconds.
    frequency: i64,
    period: i64,
    groups: Vec<String>,
    /// Whether runs without new events are skipped.
    is_driven: bool,
}

/// Reads exported rules.
pub(in crate::export) fn evaluator(
    profile: &'static str,
    rules: &[Exported],
) -> Box<dyn Evaluator> {
    let read = |rule: &Exported| rule.files.first().map(|file| Rule::read(&file.text));
    Box::new(Splunk { profile, rules: rules.iter().map(read).collect() })
}

/// The settings of a stanza. A backslash at the end of a line continues it.
pub(super) fn settings(text: &str) -> BTreeMap<String, String> {
    let text = text.replace(" \\\n", " ");
    let pairs = text.lines().filter_map(|line| line.split_once(" = "));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Rule {
    fn read(text: &str) -> Self {
        let settings = settings(text);
        let search = &settings["search"];
        let back = settings["dispatch.earliest_time"].trim_start_matches('-');
        let groups = settings["alert.suppress.fields"].split(',');
        Self {
            search: spl::read(search).unwrap_or_else(|error| panic!("{error}\n{search}")),
            frequency: if settings["cron_schedule"].starts_with('*') { 5 } else { 60 } * MINUTE,
            period: spl::span(back).unwrap(),
            groups: groups.filter(|name| name.starts_with("group_")).map(str::to_owned).collect(),
            is_driven: search.contains("new>0") || search.contains("all_new=1"),
        }
    }
}

/// The fields that Splunk extracts from JSON.
fn extract(json: &Value, name: &str, cells: &mut BTreeMap<String, Vec<String>>) {
    let mut leaf = |text: String| cells.entry(name.to_owned()).or_default().push(text);
    match json {
        Value::Object(members) => {
            for (key, value) in members {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                extract(value, &name, cells);
            }
        }
        Value::Array(items) => {
            for item in items {
                extract(item, &format!("{name}{{}}"), cells);
            }
        }
        Value::String(text) => leaf(text.clone()),
        other => leaf(other.to_string()),
    }
}

impl Splunk {
    fn row(&self, event: &Event, cluster: &str) -> Row {
        let view = EventRef::from(event);
        let mut line = Vec::new();
        if self.profile == "keepwatch" {
            k10::write(&view, &k10::LineContext::default(), &mut line);
        } else {
            v1::write(&view, &mut line);
        }
        let raw: Value = serde_json::from_slice(&line).unwrap();
        let mut fields = BTreeMap::new();
        extract(&raw, "", &mut fields);
        let cell = |(name, mut texts): (String, Vec<String>)| {
            let cell_of_field =
                if texts.len() == 1 { Cell::Text(texts.remove(0)) } else { Cell::List(texts) };
            (name, cell_of_field)
        };
        let mut cells: BTreeMap<String, Cell> = fields.into_iter().map(cell).collect();
        let time = event.stage_timestamp.as_micros();
        cells.insert("_time".to_owned(), Cell::Number(seconds(time)));
        cells.insert("keepwatch_cluster".to_owned(), Cell::Text(cluster.to_owned()));
        Row { indexed: time, raw: Arc::new(raw), cells }
    }
}

impl Evaluator for Splunk {
    fn alerts(&self, cluster: &str, events: &[Event]) -> Vec<Groups> {
        let rows: Vec<Row> = events.iter().map(|event| self.row(event, cluster)).collect();
        let rules = self.rules.iter();
        rules.map(|rule| rule.as_ref().map(|rule| rule.alerts(&rows)).unwrap_or_default()).collect()
    }
}

impl Rule {
    fn alerts(&self, rows: &[Row]) -> Groups {
        // The commands that do not depend on time are evaluated once.
        let is_timeless = |command: &&Command| match command {
            Command::FillNull(_) | Command::Where(_) => true,
            Command::Eval(columns) => !columns.iter().any(|(name, _)| name == "is_new"),
            _ => false,
        };
        let done = self.search.commands.iter().take_while(is_timeless).count();
        let mut left: Vec<Row> =
            rows.iter().filter(|row| self.search.has_terms(row)).cloned().collect();
        for command in &self.search.commands[..done] {
            left = run(command, left, 0);
        }
        let mut runs: BTreeSet<i64> = left.iter().map(|row| self.run_after(row.indexed)).collect();
        let (Some(first), Some(last)) = (left.first(), rows.last()) else {
            return Groups::new();
        };
        if !self.is_driven {
            let mut run = self.run_after(first.indexed);
            while run < last.indexed + RUNS_AFTER {
                runs.insert(run);
                run += self.frequency;
            }
        }
        let mut groups = Groups::new();
        for now in runs {
            let is_seen = |row: &&Row| row.indexed > now - self.period && row.indexed <= now;
            let mut rows: Vec<Row> = left.iter().filter(is_seen).cloned().collect();
            for command in &self.search.commands[done..] {
                rows = run(command, rows, now);
            }
            for row in rows {
                groups.insert(self.groups.iter().map(|name| row.cells[name].text()).collect());
            }
        }
        groups
    }

    /// The first run that sees an event.
    fn run_after(&self, time: i64) -> i64 {
        time - time.rem_euclid(self.frequency) + self.frequency
    }
}

impl Search {
    fn has_terms(&self, row: &Row) -> bool {
        self.terms.iter().all(|alternatives| {
            alternatives.iter().any(|(name, text)| {
                let texts = row.cells.get(name).map(Cell::each).unwrap_or_default();
                texts.iter().any(|value| value.eq_ignore_ascii_case(text))
            })
        })
    }
}

fn run(command: &Command, mut rows: Vec<Row>, now: i64) -> Vec<Row> {
    match command {
        Command::FillNull(names) => {
            for row in &mut rows {
                for name in names {
                    let cell = row.cells.entry(name.clone());
                    cell.or_insert_with(|| Cell::Text(String::new()));
                }
            }
        }
        Command::Where(test) => rows.retain(|row| eval(test, row, now).is_true()),
        Command::Eval(columns) => {
            for row in &mut rows {
                for (name, expr) in columns {
                    let cell = eval(expr, row, now);
                    if cell == Cell::Null {
                        row.cells.remove(name);
                    } else {
                        row.cells.insert(name.clone(), cell);
                    }
                }
            }
        }
        Command::Sort(fields) => rows.sort_by(|left, right| {
            let orders = fields.iter().map(|(name, is_reverse)| {
                let order = compare(&left.cells[name], &right.cells[name]);
                if *is_reverse { order.reverse() } else { order }
            });
            orders.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        }),
        Command::Expand(name) => {
            return rows
                .iter()
                .flat_map(|row| {
                    row.cells.get(name).map(Cell::each).unwrap_or_default().into_iter().map(
                        |text| {
                            let mut copy = row.clone();
                            copy.cells.insert(name.clone(), Cell::Text(text));
                            copy
                        },
                    )
                })
                .collect();
        }
        Command::Stats(aggregates) => return stats(aggregates, &rows),
        Command::EventStats(aggregates) => {
            let groups = stats(aggregates, &rows);
            for row in &mut rows {
                let own = groups
                    .iter()
                    .find(|group| key(group, &aggregates.by) == key(row, &aggregates.by));
                for (_, _, name) in &aggregates.each {
                    let cell = own.and_then(|group| group.cells.get(name)).cloned();
                    row.cells.insert(name.clone(), cell.unwrap_or(Cell::Null));
                }
            }
        }
        Command::StreamStats(aggregates, window, is_previous) => {
            stream(aggregates, *window, *is_previous, &mut rows);
        }
    }
    rows
}

fn compare(left: &Cell, right: &Cell) -> std::cmp::Ordering {
    match (left.number(), right.number()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => left.text().cmp(&right.text()),
    }
}

/// `None` if a group-by field is missing.
fn key(row: &Row, by: &[String]) -> Option<Vec<String>> {
    by.iter().map(|name| row.cells.get(name).map(Cell::text)).collect()
}

fn stats(aggregates: &Aggregates, rows: &[Row]) -> Vec<Row> {
    let mut groups: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if let Some(key) = key(row, &aggregates.by) {
            groups.entry(key).or_default().push(row);
        }
    }
    let mut summary = Vec::new();
    for (key, rows) in groups {
        let keys = aggregates.by.iter().cloned().zip(key.into_iter().map(Cell::Text));
        let mut cells: BTreeMap<String, Cell> = keys.collect();
        for (function, field, name) in &aggregates.each {
            let cell = aggregate(function, field, &rows);
            if cell != Cell::Null {
                cells.insert(name.clone(), cell);
            }
        }
        summary.push(Row { cells, ..rows[0].clone() });
    }
    summary
}

/// For each row, the aggregates of the rows of its group up to it.
fn stream(aggregates: &Aggregates, window: Option<i64>, is_previous: bool, rows: &mut [Row]) {
    let before = rows.to_vec();
    for at in 0..before.len() {
        let own = &before[at];
        let key_of = key(own, &aggregates.by);
        let Some(time) = own.cells["_time"].number().filter(|_| key_of.is_some()) else { continue };
        let is_in = |row: &&Row| {
            let since = window.is_none_or(|window| {
                row.cells["_time"].number().is_some_and(|number| number > time - seconds(window))
            });
            since && key(row, &aggregates.by) == key_of
        };
        let of_group: Vec<&Row> = if is_previous {
            before[..at].iter().rev().find(is_in).into_iter().collect()
        } else {
            before[..=at].iter().filter(is_in).collect()
        };
        for (function, field, name) in &aggregates.each {
            let cell = aggregate(function, field, &of_group);
            if cell == Cell::Null {
                rows[at].cells.remove(name);
            } else {
                rows[at].cells.insert(name.clone(), cell);
            }
        }
    }
}

fn aggregate(function: &str, field: &str, rows: &[&Row]) -> Cell {
    let count = |count: usize| Cell::Number(u32::try_from(count).unwrap().into());
    let cells = || rows.iter().filter_map(|row| row.cells.get(field));
    let numbers = || cells().filter_map(Cell::number);
    match function {
        "count" => count(rows.len()),
        "sum" => Cell::Number(numbers().sum()),
        "dc" => count(cells().flat_map(Cell::each).collect::<BTreeSet<_>>().len()),
        "min" => numbers().min_by(f64::total_cmp).map_or(Cell::Null, Cell::Number),
        "max" => numbers().max_by(f64::total_cmp).map_or(Cell::Null, Cell::Number),
        "last" => cells().next_back().cloned().unwrap_or(Cell::Null),
        "latest" => {
            let time = |row: &&&Row| row.indexed;
            let there = rows.iter().filter(|row| row.cells.contains_key(field));
            there.max_by_key(time).map_or(Cell::Null, |row| row.cells[field].clone())
        }
        other => panic!("unknown aggregate {other}"),
    }
}
