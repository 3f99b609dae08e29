//! Evaluates Elastic's detection rules on documents, as documented: at intervals, over all
//! documents in the look-back.

use std::collections::{BTreeMap, BTreeSet};

use detect::export::{self, Choice, Exported};
use event::{Event, Timestamp};
use serde_json::Value as Json;

use super::document::{Document, Mapping, text_of};
use super::expression::{Expression, Reader, Row, Rules, Value};
use super::kql;
use crate::acts::{DAY, HOUR, MINUTE, SECOND};
use crate::export::meaning::{Evaluator, Groups};
use crate::pack;

const CLUSTER: &str = "orchestrator.cluster.name";

struct Elastic {
    profile: &'static str,
    mapping: Mapping,
    rules: Vec<Option<Rule>>,
}

/// Reads exported rules.
pub(in crate::export) fn evaluator(
    profile: &'static str,
    rules: &[Exported],
) -> Box<dyn Evaluator> {
    let target = export::named("elastic").unwrap();
    let of_profile = target.profiles().iter().find(|known| known.name == profile).unwrap();
    let (set, format) = (pack::all(), &target.formats()[0]);
    let choice =
        Choice { profile: of_profile, format, options: set.options(), has_suppressions: false };
    let mapping = Mapping::read(&target.package(&set, &[], &choice)[0].text);
    let read = |rule: &Exported| rule.files.first().map(|file| Rule::read(&file.text, &mapping));
    let rules = rules.iter().map(read).collect();
    Box::new(Elastic { profile, mapping, rules })
}

impl Evaluator for Elastic {
    fn alerts(&self, cluster: &str, events: &[Event]) -> Vec<Groups> {
        let documents: Vec<Document> = events
            .iter()
            .map(|event| Document::of(event, cluster, self.profile, &self.mapping))
            .collect();
        let rows: Vec<(i64, Row)> = documents
            .iter()
            .map(|document| (document.time, row(document, &self.mapping)))
            .collect();
        let alerts = |rule: &Rule| rule.alerts(&documents, &rows);
        self.rules.iter().map(|rule| rule.as_ref().map(alerts).unwrap_or_default()).collect()
    }
}

/// A document as a row of EQL or ES|QL.
fn row(document: &Document, mapping: &Mapping) -> Row {
    let value = |field: &str, value: &Json| match value {
        Json::Number(number) => Value::Number(number.as_f64().unwrap()),
        Json::String(text) if mapping.times.contains(field) => match Timestamp::parse(text) {
            Ok(time) => Value::Time(time.as_micros()),
            Err(_) => Value::Null,
        },
        other => Value::Text(text_of(other)),
    };
    let mut row: Row = mapping
        .known
        .iter()
        .filter_map(|field| {
            let mut values: Vec<Value> =
                document.values(field).iter().map(|item| value(field, item)).collect();
            let value = if values.len() == 1 { values.remove(0) } else { Value::List(values) };
            (value != Value::List(Vec::new())).then(|| (field.clone(), value))
        })
        .collect();
    row.insert("@timestamp".to_owned(), Value::Time(document.time));
    row
}

struct Rule {
    interval: i64,
    from: i64,
    group: Vec<String>,
    kind: Kind,
}

enum Kind {
    Query(kql::Query),
    Threshold(kql::Query, Vec<String>, usize),
    NewTerms(kql::Query, Vec<String>, i64),
    Any(Expression),
    Sequence(Vec<(Expression, Vec<String>)>, i64),
    Piped(Vec<Command>),
}

enum Command {
    Where(Expression),
    Eval(String, Expression),
    Stats(Vec<(String, String, Expression, Option<Expression>)>, Vec<String>),
}

fn span(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        other => panic!("{other}"),
    };
    number.parse::<i64>().unwrap() * unit
}

fn names(value: &Json) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.map(|name| name.as_str().unwrap().to_owned()).filter(|name| name != CLUSTER).collect()
}

impl Rule {
    fn read(text: &str, mapping: &Mapping) -> Self {
        let json: Json = serde_json::from_str(text).unwrap();
        let query = json["query"].as_str().unwrap();
        let history =
            || span(json["history_window_start"].as_str().unwrap().trim_start_matches("now-"));
        let kind = match json["type"].as_str().unwrap() {
            "query" => Kind::Query(kql::read(query)),
            "threshold" => {
                let threshold = &json["threshold"];
                let least = usize::try_from(threshold["value"].as_u64().unwrap()).unwrap();
                Kind::Threshold(kql::read(query), names(&threshold["field"]), least)
            }
            "new_terms" => {
                Kind::NewTerms(kql::read(query), names(&json["new_terms_fields"]), history())
            }
            "eql" => eql(query),
            "esql" => Kind::Piped(piped(query, mapping)),
            other => panic!("{other}"),
        };
        Self {
            interval: span(json["interval"].as_str().unwrap()),
            from: span(json["from"].as_str().unwrap().trim_start_matches("now-")),
            group: names(&json["alert_suppression"]["group_by"]),
            kind,
        }
    }

    fn group(&self, document: &Document) -> Vec<String> {
        self.group.iter().map(|field| document.text(field).unwrap_or_default()).collect()
    }

    fn alerts(&self, documents: &[Document], rows: &[(i64, Row)]) -> Groups {
        let any = Rules { takes_any: true, now: 0 };
        match &self.kind {
            Kind::Query(query) => {
                let matching = documents.iter().filter(|document| query.matches(document));
                matching.map(|document| self.group(document)).collect()
            }
            Kind::Any(condition) => {
                let matching = documents.iter().zip(rows);
                let matching = matching.filter(|(_, (_, row))| condition.holds(row, any));
                matching.map(|(document, _)| self.group(document)).collect()
            }
            Kind::Threshold(query, fields, least) => {
                self.threshold(documents, query, fields, *least)
            }
            Kind::NewTerms(query, fields, history) => new_terms(documents, query, fields, *history),
            Kind::Sequence(steps, within) => sequence(rows, steps, *within, any),
            Kind::Piped(commands) => self.piped(rows, commands),
        }
    }

    /// The first run of the rule at or after each time.
    fn runs(&self, times: impl Iterator<Item = i64>) -> BTreeSet<i64> {
        times.map(|time| (time + self.interval - 1) / self.interval * self.interval).collect()
    }

    fn threshold(
        &self,
        documents: &[Document],
        query: &kql::Query,
        fields: &[String],
        least: usize,
    ) -> Groups {
        let matching: Vec<&Document> =
            documents.iter().filter(|document| query.matches(document)).collect();
        let mut alerts = Groups::new();
        for run in self.runs(matching.iter().map(|document| document.time)) {
            let mut counts: BTreeMap<Vec<String>, usize> = BTreeMap::new();
            for document in matching
                .iter()
                .filter(|document| run - self.from < document.time && document.time <= run)
            {
                let group: Option<Vec<String>> =
                    fields.iter().map(|field| document.text(field)).collect();
                if let Some(group) = group {
                    *counts.entry(group).or_default() += 1;
                }
            }
            alerts.extend(
                counts.into_iter().filter(|(_, count)| *count >= least).map(|entry| entry.0),
            );
        }
        alerts
    }

    fn piped(&self, rows: &[(i64, Row)], commands: &[Command]) -> Groups {
        // The commands before the grouping have the same result in every run.
        let groups = commands.iter().position(|command| matches!(command, Command::Stats(..)));
        let (before, behind) = commands.split_at(groups.unwrap_or(commands.len()));
        let rules = |now| Rules { takes_any: false, now };
        let met = |(time, row): &(i64, Row)| {
            let run = |table, command: &Command| command.run(table, rules(0));
            let mut table = before.iter().fold(vec![row.clone()], run);
            table.pop().map(|row| (*time, row))
        };
        let rows: Vec<(i64, Row)> = rows.iter().filter_map(met).collect();
        let is_of_silence = match behind.first() {
            Some(Command::Stats(columns, _)) => columns.len() == 1,
            _ => false,
        };
        let runs = if is_of_silence {
            // The longest silence is at the last run before an event.
            let before = |(time, _): &(i64, Row)| (time - 1) / self.interval * self.interval;
            rows.iter().skip(1).map(before).collect()
        } else {
            self.runs(rows.iter().map(|(time, _)| *time))
        };
        let mut alerts = Groups::new();
        for now in runs {
            let in_period = rows.iter().filter(|(time, _)| now - self.from < *time && *time <= now);
            let mut table: Vec<Row> = in_period.map(|(_, row)| row.clone()).collect();
            let mut group = self.group.clone();
            for command in behind {
                table = command.run(table, rules(now));
                if let Command::Stats(_, by) = command {
                    group = by.iter().filter(|name| *name != CLUSTER).cloned().collect();
                }
            }
            let value = |row: &Row, name: &String| match row.get(name) {
                Some(Value::Text(text)) => text.clone(),
                _ => String::new(),
            };
            alerts.extend(
                table.iter().map(|row| group.iter().map(|name| value(row, name)).collect()),
            );
        }
        alerts
    }
}

/// Each value that was not seen during the history.
fn new_terms(
    documents: &[Document],
    query: &kql::Query,
    fields: &[String],
    history: i64,
) -> Groups {
    let (mut alerts, mut last_times) = (Groups::new(), BTreeMap::new());
    for document in documents.iter().filter(|document| query.matches(document)) {
        let value: Option<Vec<String>> = fields.iter().map(|field| document.text(field)).collect();
        let Some(value) = value else { continue };
        let before: Option<i64> = last_times.insert(value.clone(), document.time);
        if before.is_none_or(|before| document.time - before > history) {
            alerts.insert(value);
        }
    }
    alerts
}

fn eql(query: &str) -> Kind {
    if let Some(condition) = query.strip_prefix("any where ") {
        let mut reader = Reader::new(condition);
        let condition = reader.expression();
        assert!(reader.is_at_end(), "{query}");
        return Kind::Any(condition);
    }
    let mut lines = query.lines();
    let within = lines.next().unwrap().strip_prefix("sequence with maxspan=").unwrap();
    let step = |line: &str| {
        let line = line.trim().strip_prefix("[any where ").unwrap();
        let (condition, by) = line.rsplit_once("] by ").unwrap();
        let mut reader = Reader::new(condition);
        let condition = reader.expression();
        assert!(reader.is_at_end(), "{query}");
        let by = Reader::new(by).names();
        (condition, by.into_iter().filter(|name| name != CLUSTER).collect())
    };
    Kind::Sequence(lines.map(step).collect(), span(within))
}

/// For each step, the latest start of a sequence that reaches it.
fn sequence(
    rows: &[(i64, Row)],
    steps: &[(Expression, Vec<String>)],
    within: i64,
    rules: Rules,
) -> Groups {
    let mut alerts = Groups::new();
    let mut begun: BTreeMap<Vec<String>, Vec<Option<i64>>> = BTreeMap::new();
    for (time, row) in rows {
        for (step, (condition, by)) in steps.iter().enumerate().rev() {
            if !condition.holds(row, rules) {
                continue;
            }
            let key: Vec<String> = by
                .iter()
                .map(|name| match row.get(name) {
                    Some(Value::Text(text)) => text.clone(),
                    _ => String::new(),
                })
                .collect();
            let begun = begun.entry(key.clone()).or_insert_with(|| vec![None; steps.len()]);
            let from = if step == 0 { Some(*time) } else { begun[step - 1] };
            let from = from.filter(|from| time - from <= within);
            if let Some(from) = from {
                begun[step] = Some(from);
                if step + 1 == steps.len() {
                    alerts.insert(key);
                }
            }
        }
    }
    alerts
}

fn piped(query: &str, mapping: &Mapping) -> Vec<Command> {
    let mut lines = query.lines();
    assert!(lines.next().unwrap().starts_with("FROM logs-"), "{query}");
    let mut known = mapping.known.clone();
    let commands: Vec<Command> =
        lines.map(|line| Command::read(line.strip_prefix("| ").unwrap(), &mut known)).collect();
    commands
}

/// In ES|QL, a column that no document has is an error.
fn check(expression: &Expression, known: &BTreeSet<String>) {
    match expression {
        Expression::Column(name) => assert!(known.contains(name), "not mapped: {name}"),
        Expression::Literal(_) => {}
        Expression::Not(inner) | Expression::IsNull(inner, _) | Expression::Moved(inner, _) => {
            check(inner, known);
        }
        Expression::Binary(_, left, right) => {
            check(left, known);
            check(right, known);
        }
        Expression::In(left, list, _) => {
            check(left, known);
            for item in list {
                check(item, known);
            }
        }
        Expression::Call(_, arguments) => {
            for argument in arguments {
                check(argument, known);
            }
        }
    }
}

impl Command {
    fn read(text: &str, known: &mut BTreeSet<String>) -> Self {
        let (word, rest) = text.split_once(' ').unwrap();
        let mut reader = Reader::new(rest);
        let command = match word {
            "WHERE" => {
                let condition = reader.expression();
                check(&condition, known);
                Self::Where(condition)
            }
            "EVAL" => {
                let name = reader.name();
                assert!(reader.takes("="));
                let value = reader.expression();
                check(&value, known);
                known.insert(name.clone());
                Self::Eval(name, value)
            }
            "STATS" => {
                let mut columns = Vec::new();
                while !reader.takes("BY") {
                    let name = reader.name();
                    assert!(reader.takes("="));
                    let Expression::Call(function, mut of) = reader.expression() else {
                        panic!("{text}");
                    };
                    let condition = reader.takes("WHERE").then(|| reader.expression());
                    check(&of[0], known);
                    if let Some(condition) = &condition {
                        check(condition, known);
                    }
                    columns.push((name, function, of.remove(0), condition));
                    reader.takes(",");
                }
                let by = reader.names();
                assert!(by.iter().all(|name| known.contains(name)), "{text}");
                *known = columns.iter().map(|column| column.0.clone()).chain(by.clone()).collect();
                Self::Stats(columns, by)
            }
            other => panic!("{other}"),
        };
        assert!(reader.is_at_end(), "{text}");
        command
    }

    fn run(&self, mut table: Vec<Row>, rules: Rules) -> Vec<Row> {
        match self {
            Self::Where(condition) => {
                table.retain(|row| condition.holds(row, rules));
                table
            }
            Self::Eval(name, value) => {
                for row in &mut table {
                    let value = value.value(row, rules);
                    row.insert(name.clone(), value);
                }
                table
            }
            Self::Stats(columns, by) => {
                let mut groups: BTreeMap<String, Vec<Row>> = BTreeMap::new();
                for row in table {
                    let key: Vec<_> = by.iter().map(|name| row.get(name)).collect();
                    groups.entry(format!("{key:?}")).or_default().push(row);
                }
                groups
                    .into_values()
                    .map(|rows| {
                        let keys = by.iter().filter_map(|name| {
                            rows[0].get(name).map(|value| (name.clone(), value.clone()))
                        });
                        let counted = columns.iter().map(|(name, function, of, condition)| {
                            let met = rows.iter().filter(|row| {
                                condition
                                    .as_ref()
                                    .is_none_or(|condition| condition.holds(row, rules))
                            });
                            let values = met.map(|row| of.value(row, rules)).collect();
                            (name.clone(), aggregate(function, values))
                        });
                        keys.chain(counted).collect()
                    })
                    .collect()
            }
        }
    }
}

fn aggregate(function: &str, values: Vec<Value>) -> Value {
    let mut values: Vec<Value> = values
        .into_iter()
        .flat_map(|value| match value {
            Value::List(values) => values,
            Value::Null => Vec::new(),
            scalar => vec![scalar],
        })
        .collect();
    values.sort_by(|left, right| left.partial_cmp(right).unwrap());
    match function {
        "MIN" => values.first().cloned().unwrap_or(Value::Null),
        "MAX" => values.last().cloned().unwrap_or(Value::Null),
        "COUNT" | "COUNT_DISTINCT" => {
            if function == "COUNT_DISTINCT" {
                values.dedup();
            }
            Value::Number(f64::from(u32::try_from(values.len()).unwrap()))
        }
        other => panic!("{other}"),
    }
}
