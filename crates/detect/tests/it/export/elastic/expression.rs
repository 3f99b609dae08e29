//! Our own parser and evaluator of the expressions of EQL and ES|QL, for the part that exports use.
//!
//! Both languages have three truth values: true, false and null. They differ for fields with
//! several values: in EQL any value may match, in ES|QL the comparison is null.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A value.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    /// In microseconds.
    Time(i64),
    Text(String),
    /// Several values.
    List(Vec<Self>),
}

/// The columns of a row.
pub(super) type Row = BTreeMap<String, Value>;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `?name`, or a name in backticks.
    Field(String),
    Text(String),
    Number(f64),
    Sign(String),
}

/// An expression.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    Literal(Value),
    Column(String),
    Not(Box<Self>),
    Binary(String, Box<Self>, Box<Self>),
    In(Box<Self>, Vec<Self>, bool),
    Call(String, Vec<Self>),
    IsNull(Box<Self>, bool),
    /// A time plus this many seconds.
    Moved(Box<Self>, f64),
}

pub(super) struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    pub(super) fn new(text: &str) -> Self {
        Self { tokens: tokens(text), at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.tokens.len()
    }

    fn next(&mut self) -> Token {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    /// Takes a word or sign, if it is next.
    pub(super) fn takes(&mut self, text: &str) -> bool {
        let is = match self.tokens.get(self.at) {
            Some(Token::Word(word)) => word.eq_ignore_ascii_case(text),
            Some(Token::Sign(sign)) => sign == text,
            _ => false,
        };
        self.at += usize::from(is);
        is
    }

    /// Takes the next name.
    pub(super) fn name(&mut self) -> String {
        match self.next() {
            Token::Word(name) | Token::Field(name) => name,
            other => panic!("a name, not {other:?}"),
        }
    }

    pub(super) fn names(&mut self) -> Vec<String> {
        let mut names = vec![self.name()];
        while self.takes(",") {
            names.push(self.name());
        }
        names
    }

    pub(super) fn expression(&mut self) -> Expression {
        let mut left = self.all();
        while self.takes("or") {
            left = Expression::Binary("or".to_owned(), Box::new(left), Box::new(self.all()));
        }
        left
    }

    fn all(&mut self) -> Expression {
        let mut left = self.negated();
        while self.takes("and") {
            left = Expression::Binary("and".to_owned(), Box::new(left), Box::new(self.negated()));
        }
        left
    }

    fn negated(&mut self) -> Expression {
        if self.takes("not") {
            return Expression::Not(Box::new(self.negated()));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Expression {
        let left = self.moved();
        if self.takes("is") {
            let is_not = self.takes("not");
            assert!(self.takes("null"));
            return Expression::IsNull(Box::new(left), !is_not);
        }
        for (word, is_folded) in [("in~", true), ("in", false)] {
            if self.takes(word) {
                assert!(self.takes("("));
                return Expression::In(Box::new(left), self.arguments(), is_folded);
            }
        }
        for sign in ["==", "!=", "<=", ">=", "<", ">", "like~", "like", "regex~", "regex"] {
            if self.takes(sign) {
                let right = self.moved();
                if let Expression::Literal(Value::Null) = right {
                    return Expression::IsNull(Box::new(left), sign == "==");
                }
                return Expression::Binary(sign.to_owned(), Box::new(left), Box::new(right));
            }
        }
        left
    }

    fn moved(&mut self) -> Expression {
        let left = self.primary();
        for (sign, factor) in [("+", 1.0), ("-", -1.0)] {
            if self.takes(sign) {
                let Token::Number(number) = self.next() else { panic!("a number") };
                assert!(self.takes("seconds"));
                return Expression::Moved(Box::new(left), number * factor);
            }
        }
        left
    }

    fn primary(&mut self) -> Expression {
        if self.takes("(") {
            let inner = self.expression();
            assert!(self.takes(")"));
            return inner;
        }
        match self.next() {
            Token::Text(text) => Expression::Literal(Value::Text(text)),
            Token::Number(number) => Expression::Literal(Value::Number(number)),
            Token::Field(name) => Expression::Column(name),
            Token::Word(word) => match word.as_str() {
                "true" => Expression::Literal(Value::Bool(true)),
                "false" => Expression::Literal(Value::Bool(false)),
                "null" => Expression::Literal(Value::Null),
                _ if self.takes("(") => Expression::Call(word, self.arguments()),
                _ => Expression::Column(word),
            },
            Token::Sign(sign) if sign == "*" => Expression::Literal(Value::Bool(true)),
            other @ Token::Sign(_) => panic!("a value, not {other:?}"),
        }
    }

    fn arguments(&mut self) -> Vec<Expression> {
        let mut arguments = Vec::new();
        while !self.takes(")") {
            arguments.push(self.expression());
            self.takes(",");
        }
        arguments
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    let is_of_word = |char: char| char.is_alphanumeric() || matches!(char, '.' | '_' | '@' | '~');
    while at < chars.len() {
        let char = chars[at];
        if char.is_whitespace() {
            at += 1;
        } else if char == '"' {
            let mut value = String::new();
            at += 1;
            while chars[at] != '"' {
                at += usize::from(chars[at] == '\\');
                value.push(chars[at]);
                at += 1;
            }
            at += 1;
            tokens.push(Token::Text(value));
        } else if char == '`' || (char == '?' && chars.get(at + 1) == Some(&'`')) {
            let from = at + if char == '`' { 1 } else { 2 };
            let length = chars[from..].iter().position(|char| *char == '`').unwrap();
            tokens.push(Token::Field(chars[from..from + length].iter().collect()));
            at = from + length + 1;
        } else if is_of_word(char) || char == '?' {
            let from = at + usize::from(char == '?');
            at = from;
            while at < chars.len() && is_of_word(chars[at]) {
                at += 1;
            }
            let word: String = chars[from..at].iter().collect();
            tokens.push(match word.parse::<f64>() {
                _ if char == '?' => Token::Field(word),
                Ok(number) => Token::Number(number),
                Err(_) => Token::Word(word),
            });
        } else {
            let two: String = chars[at..chars.len().min(at + 2)].iter().collect();
            let is_two = matches!(two.as_str(), "==" | "!=" | "<=" | ">=");
            tokens.push(Token::Sign(if is_two { two } else { char.to_string() }));
            at += if is_two { 2 } else { 1 };
        }
    }
    tokens
}

/// How expressions are evaluated.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Whether any of several values may match. Otherwise a comparison with several values is null.
    pub(super) takes_any: bool,
    /// In microseconds.
    pub(super) now: i64,
}

impl Expression {
    pub(super) fn holds(&self, row: &Row, rules: Rules) -> bool {
        self.value(row, rules) == Value::Bool(true)
    }

    pub(super) fn value(&self, row: &Row, rules: Rules) -> Value {
        let of = |expression: &Self| expression.value(row, rules);
        match self {
            Self::Literal(value) => value.clone(),
            Self::Column(name) => row.get(name).cloned().unwrap_or(Value::Null),
            Self::IsNull(inner, expected) => Value::Bool((of(inner) == Value::Null) == *expected),
            Self::Not(inner) => match of(inner) {
                Value::Bool(value) => Value::Bool(!value),
                _ => Value::Null,
            },
            Self::Moved(inner, seconds) => match of(inner) {
                #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
                Value::Time(time) => Value::Time(time + *seconds as i64 * 1_000_000),
                _ => Value::Null,
            },
            Self::In(left, list, is_folded) => {
                let sign = if *is_folded { ":" } else { "==" };
                let left = of(left);
                let results = list.iter().map(|right| each(sign, &left, &of(right), rules));
                results.fold(Value::Bool(false), |sum, next| either(&sum, &next))
            }
            Self::Binary(sign, left, right) => match sign.as_str() {
                "or" => either(&of(left), &of(right)),
                "and" => both(&of(left), &of(right)),
                _ => each(sign, &of(left), &of(right), rules),
            },
            Self::Call(name, arguments) => {
                let values: Vec<Value> = arguments.iter().map(of).collect();
                call(name, &values, rules)
            }
        }
    }
}

fn either(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Bool(true), _) | (_, Value::Bool(true)) => Value::Bool(true),
        (Value::Bool(false), Value::Bool(false)) => Value::Bool(false),
        _ => Value::Null,
    }
}

fn both(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Bool(true), Value::Bool(true)) => Value::Bool(true),
        _ => Value::Null,
    }
}

/// Compares a value, or any of several values.
fn each(sign: &str, left: &Value, right: &Value, rules: Rules) -> Value {
    match left {
        Value::List(values) if rules.takes_any => {
            let results = values.iter().map(|value| each(sign, value, right, rules));
            results.fold(Value::Bool(false), |sum, next| either(&sum, &next))
        }
        Value::Null | Value::List(_) => Value::Null,
        _ if *right == Value::Null => Value::Null,
        _ => Value::Bool(compare(sign, left, right, rules)),
    }
}

fn compare(sign: &str, left: &Value, right: &Value, rules: Rules) -> bool {
    let order = left.partial_cmp(right);
    match (sign, left, right) {
        ("==", ..) => order == Some(Ordering::Equal),
        ("!=", ..) => order != Some(Ordering::Equal),
        ("<", ..) => order == Some(Ordering::Less),
        ("<=", ..) => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        (">", ..) => order == Some(Ordering::Greater),
        (">=", ..) => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        (":", Value::Text(left), Value::Text(right)) => left.to_lowercase() == right.to_lowercase(),
        ("like~", Value::Text(left), Value::Text(right)) => {
            is_like(&right.to_lowercase(), &left.to_lowercase(), rules)
        }
        (_, Value::Text(left), Value::Text(right)) if sign.eq_ignore_ascii_case("like") => {
            is_like(right, left, rules)
        }
        ("regex" | "regex~", Value::Text(left), Value::Text(right)) => {
            let flags = if sign == "regex" { "(?s)" } else { "(?si)" };
            compiled(&format!("{flags}^(?:{right})$")).is_match(left)
        }
        _ => panic!("{left:?} {sign} {right:?}"),
    }
}

/// Matches a pattern with `*` and `?`. In ES|QL, a backslash escapes.
fn is_like(pattern: &str, text: &str, rules: Rules) -> bool {
    let (mut parts, mut chars) = (Vec::new(), pattern.chars());
    while let Some(char) = chars.next() {
        parts.push(match char {
            '*' => Part::Many,
            '?' => Part::One,
            '\\' if !rules.takes_any => Part::Char(chars.next().unwrap()),
            char => Part::Char(char),
        });
    }
    is_made_of(&parts, &text.chars().collect::<Vec<_>>())
}

/// Compiles each regular expression only once, because that is slow.
fn compiled(text: &str) -> regex::Regex {
    static KNOWN: Mutex<BTreeMap<String, regex::Regex>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    let new = || regex::Regex::new(text).unwrap();
    known.entry(text.to_owned()).or_insert_with(new).clone()
}

enum Part {
    Char(char),
    One,
    Many,
}

fn is_made_of(parts: &[Part], text: &[char]) -> bool {
    match parts.split_first() {
        None => text.is_empty(),
        Some((Part::Many, rest)) => (0..=text.len()).any(|from| is_made_of(rest, &text[from..])),
        Some((Part::One, rest)) => !text.is_empty() && is_made_of(rest, &text[1..]),
        Some((Part::Char(char), rest)) => {
            text.first() == Some(char) && is_made_of(rest, &text[1..])
        }
    }
}

fn call(name: &str, arguments: &[Value], rules: Rules) -> Value {
    let texts = || match arguments {
        [Value::Text(left), Value::Text(right)] => Some((left, right)),
        _ => None,
    };
    let truth = |value: Option<bool>| value.map_or(Value::Null, Value::Bool);
    match name {
        "NOW" => Value::Time(rules.now),
        "COALESCE" => {
            arguments.iter().find(|value| **value != Value::Null).cloned().unwrap_or(Value::Null)
        }
        "STARTS_WITH" => truth(texts().map(|(text, start)| text.starts_with(start.as_str()))),
        "ENDS_WITH" => truth(texts().map(|(text, end)| text.ends_with(end.as_str()))),
        "TO_LOWER" => match arguments {
            [Value::Text(text)] => Value::Text(text.to_lowercase()),
            _ => Value::Null,
        },
        "CASE" => {
            for pair in arguments.chunks(2) {
                match pair {
                    [Value::Bool(true), value] | [value] => return value.clone(),
                    _ => {}
                }
            }
            Value::Null
        }
        other => panic!("{other}"),
    }
}
