//! Evaluates Sentinel's scheduled rules on tables: a run at each interval, over the rows in the
//! look-back.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use detect::export::Exported;
use event::{Event, EventRef, k10, v1};
use serde_json::{Value, json};

use super::kql::{self, Aggregate, Expr, Join, Let, Operator, Pipe, Query, Source};
use super::value::{Cell, Row, Scope};
use crate::acts::MINUTE;
use crate::export::meaning::{Evaluator, Groups};

/// Duration of the runs after the last event: long enough to find a silence before it, too short to
/// find the one after it.
const RUNS_AFTER: i64 = 15 * MINUTE;

struct Sentinel {
    table: &'static str,
    rules: Vec<Option<Rule>>,
}

struct Rule {
    query: Query,
    /// Microseconds.
    frequency: i64,
    period: i64,
    groups: Vec<String>,
    /// Whether runs without new events are skipped.
    is_driven: bool,
}

/// Reads exported rules.
pub(in crate::export) fn evaluator(table: &'static str, rules: &[Exported]) -> Box<dyn Evaluator> {
    let read = |rule: &Exported| rule.files.first().map(|file| Rule::read(&file.text));
    Box::new(Sentinel { table, rules: rules.iter().map(read).collect() })
}

impl Rule {
    fn read(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).unwrap();
        let rule = &json["resources"][0]["properties"];
        let query = rule["query"].as_str().unwrap();
        let details = rule["customDetails"].as_object().unwrap().iter();
        let groups = details.filter(|(key, _)| key.starts_with("Group"));
        Self {
            query: kql::read(query).unwrap_or_else(|error| panic!("{error}\n{query}")),
            frequency: iso(&rule["queryFrequency"]),
            period: iso(&rule["queryPeriod"]),
            groups: groups.map(|(_, column)| column.as_str().unwrap().to_owned()).collect(),
            is_driven: query.contains("ingestion_time()"),
        }
    }
}

/// Parses a duration such as `PT5M`.
fn iso(value: &Value) -> i64 {
    let text = value.as_str().unwrap().trim_start_matches(['P', 'T']);
    let (number, unit) = text.split_at(text.len() - 1);
    let minutes = match unit {
        "D" => 24 * 60,
        "H" => 60,
        _ => 1,
    };
    number.parse::<i64>().unwrap() * minutes * MINUTE
}

/// A row of a table in the workspace.
struct Record {
    time: i64,
    row: Value,
}

impl Sentinel {
    fn record(&self, event: &Event, cluster: &str) -> Record {
        let view = EventRef::from(event);
        let mut line = Vec::new();
        let resource = format!("/subscriptions/1/managedclusters/{cluster}");
        let row = if self.table == "ContainerLogV2" {
            k10::write(&view, &k10::LineContext::default(), &mut line);
            let message: Value = serde_json::from_slice(&line).unwrap();
            json!({"LogMessage": message, "_ResourceId": resource})
        } else {
            v1::write(&view, &mut line);
            let event: Value = serde_json::from_slice(&line).unwrap();
            json!({
                "Level": event["level"],
                "AuditId": event["auditID"],
                "Stage": event["stage"],
                "RequestUri": event["requestURI"],
                "Verb": event["verb"],
                "User": event["user"],
                "SourceIps": event["sourceIPs"],
                "UserAgent": event["userAgent"],
                "ObjectRef": event["objectRef"],
                "ResponseStatus": event["responseStatus"],
                "RequestReceivedTime": event["requestReceivedTimestamp"],
                "StageReceivedTime": event["stageTimestamp"],
                "Annotations": event["annotations"],
                "_ResourceId": resource,
            })
        };
        Record { time: event.stage_timestamp.as_micros(), row }
    }
}

/// A row with the types of the table's columns.
fn row(record: &Record) -> Row<'_> {
    let cells = record.row.as_object().unwrap().iter().map(|(name, value)| {
        let is_text = matches!(
            name.as_str(),
            "Level" | "AuditId" | "Stage" | "RequestUri" | "Verb" | "UserAgent" | "_ResourceId"
        );
        let cell = match value {
            Value::Null if is_text => Cell::Text(String::new()),
            Value::Null => Cell::Null,
            Value::String(_) if name.ends_with("Time") => Cell::Time(record.time),
            Value::String(text) => Cell::Text(text.clone()),
            other => Cell::Json(Cow::Borrowed(other)),
        };
        (name.clone(), cell)
    });
    Row { ingested: record.time, cells: cells.collect() }
}

impl Evaluator for Sentinel {
    fn alerts(&self, cluster: &str, events: &[Event]) -> Vec<Groups> {
        let records: Vec<Record> = events.iter().map(|event| self.record(event, cluster)).collect();
        let rows: Vec<Row<'_>> = records.iter().map(row).collect();
        // The operators that all rules share are evaluated once.
        let shared = self.rules.iter().flatten().find_map(|rule| rule.query.first_extend());
        let shared = shared.map(|operators| (format!("{operators:?}"), passing(operators, &rows)));
        let shared = shared.as_ref();
        let rules = self.rules.iter();
        rules
            .map(|rule| rule.as_ref().map(|rule| rule.alerts(&rows, shared)).unwrap_or_default())
            .collect()
    }
}

impl Rule {
    fn alerts<'e>(&self, rows: &[Row<'e>], shared: Option<&(String, Vec<Row<'e>>)>) -> Groups {
        let mut groups = Groups::new();
        let mut known = Known { rows: BTreeMap::new(), shared };
        known.prepare(&self.query, rows);
        let times = known.times();
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return groups;
        };
        let runs: BTreeSet<i64> = if self.is_driven {
            times.iter().map(|time| self.run_after(*time)).collect()
        } else if times.is_empty() {
            BTreeSet::new()
        } else {
            let mut runs = BTreeSet::new();
            let mut run = self.run_after(first.ingested);
            while run < last.ingested + RUNS_AFTER {
                runs.insert(run);
                run += self.frequency;
            }
            runs
        };
        for now in runs {
            let run = Run { known: &known, now, since: now - self.period };
            for row in run.query(&self.query) {
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

/// The rows of each table after the operators that do not depend on time, by pipe.
struct Known<'k, 'e> {
    rows: BTreeMap<*const Pipe, (usize, Vec<Row<'e>>)>,
    /// The operators that many pipes share, and the remaining rows.
    shared: Option<&'k (String, Vec<Row<'e>>)>,
}

impl<'e> Known<'_, 'e> {
    fn prepare(&mut self, query: &Query, rows: &[Row<'e>]) {
        let names: BTreeSet<&str> = query.lets.iter().map(|(name, _)| name.as_str()).collect();
        for (_, value) in &query.lets {
            let (Let::Table(pipe) | Let::Scalar(pipe)) = value;
            self.prepare_pipe(pipe, rows, &names);
        }
        self.prepare_pipe(&query.body, rows, &names);
    }

    fn prepare_pipe(&mut self, pipe: &Pipe, rows: &[Row<'e>], names: &BTreeSet<&str>) {
        match &pipe.source {
            Source::Name(name) if !names.contains(name.as_str()) => {
                let is_timeless = |operator: &&Operator| {
                    matches!(operator, Operator::Where(_) | Operator::Extend(_))
                };
                let len = pipe.operators.iter().take_while(is_timeless).count();
                let leading = &pipe.operators[..len];
                let begins =
                    first_extend(leading).map(|operator| (operator.len(), format!("{operator:?}")));
                let left = match (self.shared, begins) {
                    (Some((text, left)), Some((begin, own))) if own == *text => {
                        passing(&leading[begin..], left)
                    }
                    _ => passing(leading, rows),
                };
                self.rows.insert(std::ptr::from_ref(pipe), (len, left));
            }
            Source::Name(_) => {}
            Source::Union(pipes) => {
                for pipe in pipes {
                    self.prepare_pipe(pipe, rows, names);
                }
            }
        }
    }

    fn times(&self) -> BTreeSet<i64> {
        self.rows.values().flat_map(|(_, rows)| rows.iter().map(|row| row.ingested)).collect()
    }
}

/// The rows after these operators.
fn passing<'e>(operators: &[Operator], rows: &[Row<'e>]) -> Vec<Row<'e>> {
    let none = BTreeMap::new();
    let scope = Scope { now: 0, scalars: &none };
    let tests =
        operators.iter().take_while(|operator| matches!(operator, Operator::Where(_))).count();
    let passes = |row: &&Row<'e>| {
        operators[..tests].iter().all(|operator| match operator {
            Operator::Where(test) => scope.eval(test, row).is_true(),
            _ => true,
        })
    };
    let mut left = Vec::new();
    'rows: for row in rows.iter().filter(passes) {
        let mut row = row.clone();
        for operator in &operators[tests..] {
            match operator {
                Operator::Where(test) if !scope.eval(test, &row).is_true() => continue 'rows,
                Operator::Extend(columns) => extend(&scope, columns, &mut row),
                _ => {}
            }
        }
        left.push(row);
    }
    left
}

/// The operators up to the first that adds columns, if any.
fn first_extend(operators: &[Operator]) -> Option<&[Operator]> {
    let at = operators.iter().position(|operator| matches!(operator, Operator::Extend(_)))?;
    Some(&operators[..=at])
}

impl Query {
    fn first_extend(&self) -> Option<&[Operator]> {
        let tables = self.lets.iter().map(|(_, Let::Table(pipe) | Let::Scalar(pipe))| pipe);
        tables.chain([&self.body]).find_map(|pipe| match pipe.source {
            Source::Name(_) => first_extend(&pipe.operators),
            Source::Union(_) => None,
        })
    }
}

fn extend<'e>(scope: &Scope<'_, 'e>, columns: &[(String, Expr)], row: &mut Row<'e>) {
    for (name, expr) in columns {
        let cell = scope.eval(expr, row);
        row.cells.insert(name.clone(), cell);
    }
}

/// One run.
struct Run<'r, 'e> {
    known: &'r Known<'r, 'e>,
    now: i64,
    since: i64,
}

#[derive(Default)]
struct Names<'e> {
    tables: BTreeMap<String, Vec<Row<'e>>>,
    scalars: BTreeMap<String, Cell<'e>>,
}

impl<'e> Run<'_, 'e> {
    fn query(&self, query: &Query) -> Vec<Row<'e>> {
        let mut names = Names::default();
        for (name, value) in &query.lets {
            match value {
                Let::Table(pipe) => {
                    let rows = self.pipe(pipe, &names);
                    names.tables.insert(name.clone(), rows);
                }
                Let::Scalar(pipe) => {
                    let rows = self.pipe(pipe, &names);
                    let cell = rows.first().and_then(|row| row.cells.values().next()).cloned();
                    names.scalars.insert(name.clone(), cell.unwrap_or(Cell::Null));
                }
            }
        }
        self.pipe(&query.body, &names)
    }

    fn pipe(&self, pipe: &Pipe, names: &Names<'e>) -> Vec<Row<'e>> {
        let (done, mut rows) = match (&pipe.source, self.known.rows.get(&std::ptr::from_ref(pipe)))
        {
            (_, Some((done, rows))) => {
                let is_seen =
                    |row: &&Row<'e>| row.ingested > self.since && row.ingested <= self.now;
                (*done, rows.iter().filter(is_seen).cloned().collect())
            }
            (Source::Name(name), None) => (0, names.tables[name].clone()),
            (Source::Union(pipes), None) => {
                (0, pipes.iter().flat_map(|pipe| self.pipe(pipe, names)).collect())
            }
        };
        for operator in &pipe.operators[done..] {
            rows = self.operator(operator, rows, names);
        }
        rows
    }

    fn operator(
        &self,
        operator: &Operator,
        mut rows: Vec<Row<'e>>,
        names: &Names<'e>,
    ) -> Vec<Row<'e>> {
        let scope = Scope { now: self.now, scalars: &names.scalars };
        match operator {
            Operator::Where(test) => rows.retain(|row| scope.eval(test, row).is_true()),
            Operator::Extend(columns) => {
                for row in &mut rows {
                    extend(&scope, columns, row);
                }
            }
            Operator::Project(columns) => {
                for row in &mut rows {
                    let cell =
                        |(name, expr): &(String, Expr)| (name.clone(), scope.eval(expr, row));
                    row.cells = columns.iter().map(cell).collect();
                }
            }
            Operator::Rename(new, old) => {
                for row in &mut rows {
                    let cell = row.cells.remove(old).unwrap();
                    row.cells.insert(new.clone(), cell);
                }
            }
            Operator::Distinct(columns) => {
                let mut keys = BTreeSet::new();
                rows.retain(|row| keys.insert(key(row, columns)));
                for row in &mut rows {
                    row.cells.retain(|name, _| columns.contains(name));
                }
            }
            Operator::Summarize(aggregates, by) => return summarize(&scope, &rows, aggregates, by),
            Operator::Join(kind, pipe, on) => {
                return join(*kind, &rows, &self.pipe(pipe, names), on);
            }
        }
        rows
    }
}

fn key(row: &Row<'_>, columns: &[String]) -> Vec<String> {
    columns.iter().map(|name| row.cells[name].text()).collect()
}

fn join<'e>(kind: Join, left: &[Row<'e>], right: &[Row<'e>], on: &[String]) -> Vec<Row<'e>> {
    let mut by_key: BTreeMap<Vec<String>, Vec<&Row<'e>>> = BTreeMap::new();
    for row in right {
        by_key.entry(key(row, on)).or_default().push(row);
    }
    let mut joined = Vec::new();
    for row in left {
        let matching = by_key.get(&key(row, on));
        match (kind, matching) {
            (Join::LeftAnti, None) => joined.push(row.clone()),
            (Join::LeftAnti, Some(_)) | (Join::Inner, None) => {}
            (Join::LeftOuter, None) => panic!("a row joins itself at least"),
            (Join::Inner | Join::LeftOuter, Some(others)) => {
                for other in others {
                    let mut both = row.clone();
                    for (name, cell) in other.cells.iter().filter(|(name, _)| !on.contains(name)) {
                        // A duplicate column of the right side gets a number.
                        let name = if both.cells.contains_key(name) {
                            format!("{name}1")
                        } else {
                            name.clone()
                        };
                        both.cells.insert(name, cell.clone());
                    }
                    joined.push(both);
                }
            }
        }
    }
    joined
}

fn summarize<'e>(
    scope: &Scope<'_, 'e>,
    rows: &[Row<'e>],
    aggregates: &[Aggregate],
    by: &[String],
) -> Vec<Row<'e>> {
    let mut groups: BTreeMap<Vec<String>, Vec<&Row<'e>>> = BTreeMap::new();
    for row in rows {
        groups.entry(key(row, by)).or_default().push(row);
    }
    let mut summary = Vec::new();
    for rows in groups.values() {
        let mut cells: BTreeMap<String, Cell<'e>> =
            by.iter().map(|name| (name.clone(), rows[0].cells[name].clone())).collect();
        for aggregate in aggregates {
            let Aggregate { name, function, arguments } = aggregate;
            if let Some(cell) = single(scope, function, arguments, rows) {
                cells.insert(name.clone().unwrap_or_else(|| "value".to_owned()), cell);
            } else {
                chosen(scope, function, arguments, rows, &mut cells);
            }
        }
        summary.push(Row { ingested: 0, cells });
    }
    summary
}

/// An aggregate with a single value.
#[expect(clippy::cast_precision_loss, reason = "counts in tests are small")]
fn single<'e>(
    scope: &Scope<'_, 'e>,
    function: &str,
    arguments: &[Expr],
    rows: &[&Row<'e>],
) -> Option<Cell<'e>> {
    let values = || rows.iter().map(|row| scope.eval(&arguments[0], row));
    let number = |count: usize| Some(Cell::Number(count as f64));
    let order = |left: &Cell<'e>, right: &Cell<'e>| left.compare(right).unwrap();
    match function {
        "count" => number(rows.len()),
        "countif" => number(values().filter(Cell::is_true).count()),
        "count_distinct" => number(values().map(|cell| cell.text()).collect::<BTreeSet<_>>().len()),
        "min" => {
            Some(values().filter(|cell| *cell != Cell::Null).min_by(order).unwrap_or(Cell::Null))
        }
        "max" => {
            Some(values().filter(|cell| *cell != Cell::Null).max_by(order).unwrap_or(Cell::Null))
        }
        _ => None,
    }
}

/// An aggregate that selects a row.
fn chosen<'e>(
    scope: &Scope<'_, 'e>,
    function: &str,
    arguments: &[Expr],
    rows: &[&Row<'e>],
    cells: &mut BTreeMap<String, Cell<'e>>,
) {
    let order = |left: &&&Row<'e>, right: &&&Row<'e>| {
        let value = |row: &Row<'e>| scope.eval(&arguments[0], row);
        value(left).compare(&value(right)).unwrap()
    };
    let row = match function {
        "arg_max" => rows.iter().max_by(order).unwrap(),
        "arg_min" => rows.iter().min_by(order).unwrap(),
        "take_any" => &rows[0],
        other => panic!("unknown aggregate {other}"),
    };
    for argument in arguments {
        match argument {
            Expr::Star => {
                for (name, cell) in &row.cells {
                    cells.entry(name.clone()).or_insert_with(|| cell.clone());
                }
            }
            Expr::Column(name) => {
                cells.insert(name.clone(), row.cells[name].clone());
            }
            other => panic!("{other:?} is no column"),
        }
    }
}
