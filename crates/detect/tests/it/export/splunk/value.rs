//! Values of Splunk's expressions. A comparison with a missing field is null.

use std::collections::BTreeMap;
use std::sync::Mutex;

use event::Timestamp;

use super::spl::Expr;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<String>),
}

/// A result and the text of its event.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Microseconds.
    pub(crate) indexed: i64,
    pub(crate) raw: std::sync::Arc<serde_json::Value>,
    pub(crate) cells: BTreeMap<String, Cell>,
}

impl Cell {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(is) => is.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(texts) => texts.first().cloned().unwrap_or_default(),
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        *self == Self::Bool(true)
    }

    /// The values of a list, or the single value.
    pub(crate) fn each(&self) -> Vec<String> {
        match self {
            Self::Null => Vec::new(),
            Self::List(texts) => texts.clone(),
            other => vec![other.text()],
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
pub(crate) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

pub(crate) fn eval(expr: &Expr, row: &Row, now: i64) -> Cell {
    let value = |expr: &Expr| eval(expr, row, now);
    match expr {
        Expr::Text(text) => Cell::Text(text.clone()),
        Expr::Number(number) => Cell::Number(*number),
        Expr::Field(name) if name == "_indextime" => Cell::Number(seconds(row.indexed)),
        Expr::Field(name) => row.cells.get(name).cloned().unwrap_or(Cell::Null),
        Expr::Not(inner) => match value(inner) {
            Cell::Bool(is) => Cell::Bool(!is),
            _ => Cell::Null,
        },
        Expr::And(parts) => joined(parts.iter().map(value), false),
        Expr::Or(parts) => joined(parts.iter().map(value), true),
        Expr::Compare(sign, left, right) => compare(sign, &value(left), &value(right)),
        Expr::Math(sign, left, right) => math(*sign, &value(left), &value(right)),
        Expr::Call(name, arguments) => call(name, arguments, row, now),
    }
}

/// `AND`, or `OR` if `decides` is true.
fn joined(parts: impl Iterator<Item = Cell>, decides: bool) -> Cell {
    let mut result = Cell::Bool(!decides);
    for part in parts {
        match part {
            Cell::Bool(is) if is == decides => return Cell::Bool(decides),
            Cell::Bool(_) => {}
            _ => result = Cell::Null,
        }
    }
    result
}

fn compare(sign: &str, left: &Cell, right: &Cell) -> Cell {
    if *left == Cell::Null || *right == Cell::Null {
        return Cell::Null;
    }
    let order = match (left, right) {
        (Cell::Number(_), _) | (_, Cell::Number(_)) => {
            let (Some(left), Some(right)) = (left.number(), right.number()) else {
                return Cell::Null;
            };
            left.total_cmp(&right)
        }
        (left, right) => left.text().cmp(&right.text()),
    };
    Cell::Bool(match sign {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}

fn math(sign: char, left: &Cell, right: &Cell) -> Cell {
    if sign == '.' {
        let is_null = *left == Cell::Null || *right == Cell::Null;
        return if is_null { Cell::Null } else { Cell::Text(left.text() + &right.text()) };
    }
    let (Some(left), Some(right)) = (left.number(), right.number()) else {
        return Cell::Null;
    };
    Cell::Number(match sign {
        '+' => left + right,
        '-' => left - right,
        _ => left * right,
    })
}

fn call(name: &str, arguments: &[Expr], row: &Row, now: i64) -> Cell {
    let value = |at: usize| eval(&arguments[at], row, now);
    match name {
        "true" => Cell::Bool(true),
        "false" => Cell::Bool(false),
        "null" => Cell::Null,
        "now" => Cell::Number(seconds(now)),
        "relative_time" => {
            let back = super::spl::span(value(1).text().trim_start_matches('-')).unwrap();
            Cell::Number(value(0).number().unwrap() - seconds(back))
        }
        "coalesce" => {
            let each = arguments.iter().map(|argument| eval(argument, row, now));
            each.into_iter().find(|cell| *cell != Cell::Null).unwrap_or(Cell::Null)
        }
        "if" => value(if value(0).is_true() { 1 } else { 2 }),
        "case" => {
            let pairs = arguments.chunks_exact(2);
            let matching = pairs.into_iter().find(|pair| eval(&pair[0], row, now).is_true());
            matching.map_or(Cell::Null, |pair| eval(&pair[1], row, now))
        }
        "isnotnull" => Cell::Bool(value(0) != Cell::Null),
        "lower" => Cell::Text(value(0).text().to_lowercase()),
        "len" => number(value(0).text().chars().count()),
        // Times are numbers here.
        "tostring" | "strftime" => Cell::Text(value(0).text()),
        "tonumber" => value(0).number().map_or(Cell::Null, Cell::Number),
        "in" => {
            let expected = value(0).text();
            Cell::Bool(
                arguments[1..].iter().any(|argument| eval(argument, row, now).text() == expected),
            )
        }
        "match" => match value(0) {
            Cell::Null => Cell::Null,
            text => Cell::Bool(regex(&value(1).text()).is_match(&text.text())),
        },
        "replace" => {
            let with = value(2).text().replace("\\1", "${1}").replace("\\2", "${2}");
            let text = value(0).text();
            Cell::Text(regex(&value(1).text()).replace_all(&text, with.as_str()).into_owned())
        }
        "strptime" => parsed(&value(0).text(), &value(1).text()),
        "mvindex" => value(0).each().into_iter().next().map_or(Cell::Null, Cell::Text),
        "mvappend" => {
            let all: Vec<String> =
                arguments.iter().flat_map(|argument| eval(argument, row, now).each()).collect();
            if all.is_empty() { Cell::Null } else { Cell::List(all) }
        }
        "mvfilter" => filtered(&arguments[0], row, now),
        "json_extract" => {
            let path = value(1).text();
            let field = path.split('.').try_fold(&*row.raw, |json, key| json.get(key));
            field.map_or(Cell::Null, |json| Cell::Text(json.to_string()))
        }
        other => panic!("unknown function {other}"),
    }
}

fn number(count: usize) -> Cell {
    Cell::Number(u32::try_from(count).unwrap().into())
}

/// The values of the expression's field for which the expression is true.
fn filtered(test: &Expr, row: &Row, now: i64) -> Cell {
    fn field(expr: &Expr) -> Option<&str> {
        match expr {
            Expr::Field(name) => Some(name),
            Expr::Call(_, parts) | Expr::And(parts) | Expr::Or(parts) => {
                parts.iter().find_map(field)
            }
            Expr::Compare(_, left, right) | Expr::Math(_, left, right) => {
                field(left).or_else(|| field(right))
            }
            Expr::Not(inner) => field(inner),
            Expr::Text(_) | Expr::Number(_) => None,
        }
    }
    let name = field(test).unwrap();
    let mut copy = row.clone();
    let mut left = row.cells.get(name).map(Cell::each).unwrap_or_default();
    left.retain(|text| {
        copy.cells.insert(name.to_owned(), Cell::Text(text.clone()));
        eval(test, &copy, now).is_true()
    });
    if left.is_empty() { Cell::Null } else { Cell::List(left) }
}

/// Parses a time in one of the formats that exports use.
fn parsed(text: &str, form: &str) -> Cell {
    let has_fraction = text.contains('.');
    let expects_fraction = form.contains("%6N") || form.contains("%N");
    if has_fraction != expects_fraction || text.len() < 5 || !form.ends_with("%z") {
        return Cell::Null;
    }
    let (time, zone) = text.split_at(text.len() - 5);
    let (hours, minutes) = zone.split_at(3);
    let text = format!("{time}{hours}:{minutes}");
    Timestamp::parse(&text).map_or(Cell::Null, |time| Cell::Number(seconds(time.as_micros())))
}

/// Compiles each expression only once.
fn regex(text: &str) -> regex::Regex {
    static KNOWN: Mutex<BTreeMap<String, regex::Regex>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    let compile = || regex::Regex::new(text).unwrap_or_else(|error| panic!("{error}"));
    known.entry(text.to_owned()).or_insert_with(compile).clone()
}
