//! Values of the Kusto Query Language. A comparison with null is null, and so is its negation.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Mutex;

use event::Timestamp;
use serde_json::Value;

use super::kql::Expr;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'e> {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// In microseconds.
    Time(i64),
    Span(i64),
    Json(Cow<'e, Value>),
}

/// A row and its ingestion time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row<'e> {
    pub(crate) ingested: i64,
    pub(crate) cells: BTreeMap<String, Cell<'e>>,
}

/// What expressions can use in addition to the row.
pub(crate) struct Scope<'s, 'e> {
    pub(crate) now: i64,
    pub(crate) scalars: &'s BTreeMap<String, Cell<'e>>,
}

impl Cell<'_> {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(is) => is.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Time(time) | Self::Span(time) => time.to_string(),
            Self::Json(json) => match &**json {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        *self == Self::Bool(true)
    }

    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.partial_cmp(right),
            (Self::Time(left), Self::Time(right)) | (Self::Span(left), Self::Span(right)) => {
                Some(left.cmp(right))
            }
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            (Self::Null, _) | (_, Self::Null) => None,
            other => panic!("{other:?} cannot be compared"),
        }
    }
}

impl<'e> Scope<'_, 'e> {
    pub(crate) fn eval(&self, expr: &Expr, row: &Row<'e>) -> Cell<'e> {
        match expr {
            Expr::Text(text) => Cell::Text(text.clone()),
            Expr::Number(number) => Cell::Number(*number),
            Expr::Span(span) => Cell::Span(*span),
            Expr::Bool(is) => Cell::Bool(*is),
            Expr::Star => panic!("a star is no value"),
            Expr::Column(name) => {
                let cell = row.cells.get(name).or_else(|| self.scalars.get(name));
                cell.cloned()
                    .unwrap_or_else(|| panic!("no column {name} in {:?}", row.cells.keys()))
            }
            Expr::Member(of, key) => member(self.eval(of, row), |json| match json {
                Cow::Borrowed(json) => json.get(key).map(Cow::Borrowed),
                Cow::Owned(json) => json.get(key).cloned().map(Cow::Owned),
            }),
            Expr::Item(of, at) => member(self.eval(of, row), |json| match json {
                Cow::Borrowed(json) => json.get(at).map(Cow::Borrowed),
                Cow::Owned(json) => json.get(at).cloned().map(Cow::Owned),
            }),
            Expr::And(parts) => self.joined(parts, row, false),
            Expr::Or(parts) => self.joined(parts, row, true),
            Expr::In(value, list, is_folded) => {
                let folded =
                    |text: String| if *is_folded { text.to_ascii_lowercase() } else { text };
                let value = folded(self.eval(value, row).text());
                Cell::Bool(list.iter().any(|item| folded(self.eval(item, row).text()) == value))
            }
            Expr::Compare(sign, left, right) => {
                compare(sign, &self.eval(left, row), &self.eval(right, row))
            }
            Expr::Math(sign, left, right) => {
                math(*sign, &self.eval(left, row), &self.eval(right, row))
            }
            Expr::Call(name, arguments) => self.call(name, arguments, row),
        }
    }

    /// `and`, or `or` if `decides` is true.
    fn joined(&self, parts: &[Expr], row: &Row<'e>, decides: bool) -> Cell<'e> {
        let mut result = Cell::Bool(!decides);
        for part in parts {
            match self.eval(part, row) {
                Cell::Bool(is) if is == decides => return Cell::Bool(decides),
                Cell::Null => result = Cell::Null,
                _ => {}
            }
        }
        result
    }

    fn call(&self, name: &str, arguments: &[Expr], row: &Row<'e>) -> Cell<'e> {
        let value = |at: usize| self.eval(&arguments[at], row);
        let text_of = |argument: &Expr| self.eval(argument, row).text();
        match name {
            "now" => Cell::Time(self.now),
            "ago" => math('-', &Cell::Time(self.now), &value(0)),
            "ingestion_time" => Cell::Time(row.ingested),
            "not" => match value(0) {
                Cell::Bool(is) => Cell::Bool(!is),
                Cell::Null => Cell::Null,
                other => panic!("not {other:?}"),
            },
            "tostring" => Cell::Text(value(0).text()),
            "tolower" => Cell::Text(value(0).text().to_lowercase()),
            "isnotempty" => Cell::Bool(!value(0).text().is_empty()),
            "todouble" => value(0).text().parse().map_or(Cell::Null, Cell::Number),
            "todatetime" => {
                let text = value(0).text();
                Timestamp::parse(&text).map_or(Cell::Null, |time| Cell::Time(time.as_micros()))
            }
            "parse_json" => match arguments {
                // Parsing the text of a value gives the value.
                [Expr::Call(inner, of)] if inner == "tostring" => match self.eval(&of[0], row) {
                    Cell::Text(text) => parsed(&text),
                    other => other,
                },
                _ => parsed(&value(0).text()),
            },
            "coalesce" => arguments
                .iter()
                .map(|argument| self.eval(argument, row))
                .find(|argument| *argument != Cell::Null)
                .unwrap_or(Cell::Null),
            "iff" => value(if value(0).is_true() { 1 } else { 2 }),
            "case" => {
                let pairs = arguments.chunks_exact(2);
                let last = &pairs.remainder()[0];
                let matching = pairs.into_iter().find(|pair| self.eval(&pair[0], row).is_true());
                self.eval(matching.map_or(last, |pair| &pair[1]), row)
            }
            "strcat" => Cell::Text(arguments.iter().map(text_of).collect()),
            "strcat_delim" => {
                let texts: Vec<String> = arguments[1..].iter().map(text_of).collect();
                Cell::Text(texts.join(&value(0).text()))
            }
            "array_length" => match value(0) {
                Cell::Json(json) => {
                    let len = json.as_array().and_then(|items| u32::try_from(items.len()).ok());
                    len.map_or(Cell::Null, |len| Cell::Number(len.into()))
                }
                _ => Cell::Null,
            },
            "set_has_element" => match value(0) {
                Cell::Json(json) => {
                    let expected = value(1).text();
                    json.as_array().map_or(Cell::Null, |items| {
                        Cell::Bool(items.iter().any(|item| item.as_str() == Some(&expected)))
                    })
                }
                _ => Cell::Null,
            },
            "extract" => {
                let (regex, text) = (regex(&value(0).text()), value(2).text());
                let capture = regex.captures(&text).and_then(|captures| captures.get(1));
                Cell::Text(capture.map(|capture| capture.as_str().to_owned()).unwrap_or_default())
            }
            other => panic!("unknown function {other}"),
        }
    }
}

fn parsed(text: &str) -> Cell<'static> {
    serde_json::from_str(text).map_or(Cell::Null, |json| Cell::Json(Cow::Owned(json)))
}

/// Compiles each expression only once.
fn regex(text: &str) -> regex::Regex {
    static KNOWN: Mutex<BTreeMap<String, regex::Regex>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    let compile = || regex::Regex::new(text).unwrap_or_else(|error| panic!("{error}"));
    known.entry(text.to_owned()).or_insert_with(compile).clone()
}

fn member<'e>(
    of: Cell<'e>,
    find: impl FnOnce(Cow<'e, Value>) -> Option<Cow<'e, Value>>,
) -> Cell<'e> {
    match of {
        Cell::Json(json) => match find(json) {
            Some(value) if !value.is_null() => Cell::Json(value),
            _ => Cell::Null,
        },
        Cell::Null => Cell::Null,
        other => panic!("no members in {other:?}"),
    }
}

fn compare(sign: &str, left: &Cell<'_>, right: &Cell<'_>) -> Cell<'static> {
    let folded = |cell: &Cell<'_>| cell.text().to_lowercase();
    let is = match sign {
        "=~" => folded(left) == folded(right),
        "contains" => folded(left).contains(&folded(right)),
        "contains_cs" => left.text().contains(&right.text()),
        "startswith" => folded(left).starts_with(&folded(right)),
        "startswith_cs" => left.text().starts_with(&right.text()),
        "endswith" => folded(left).ends_with(&folded(right)),
        "endswith_cs" => left.text().ends_with(&right.text()),
        "matches" => regex(&right.text()).is_match(&left.text()),
        sign => {
            let Some(order) = left.compare(right) else {
                return Cell::Null;
            };
            match sign {
                "==" => order.is_eq(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            }
        }
    };
    Cell::Bool(is)
}

fn math(sign: char, left: &Cell<'_>, right: &Cell<'_>) -> Cell<'static> {
    match (sign, left, right) {
        ('+', Cell::Time(time), Cell::Span(span)) => Cell::Time(time + span),
        ('-', Cell::Time(time), Cell::Span(span)) => Cell::Time(time - span),
        ('-', Cell::Time(left), Cell::Time(right)) => Cell::Span(left - right),
        ('+', Cell::Number(left), Cell::Number(right)) => Cell::Number(left + right),
        ('*', Cell::Number(left), Cell::Number(right)) => Cell::Number(left * right),
        (_, Cell::Null, _) | (_, _, Cell::Null) => Cell::Null,
        other => panic!("{other:?} cannot be calculated"),
    }
}
