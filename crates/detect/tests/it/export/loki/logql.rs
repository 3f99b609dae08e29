//! Our own parser and evaluator of `LogQL`, for the part that exports use.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::template::Template;

/// Labels of a line or a series.
pub(super) type Labels = BTreeMap<String, String>;

/// An expression.
pub(super) enum Metric {
    /// `sum by (…) (count_over_time(… [range] offset …))`
    Sum {
        by: Vec<String>,
        stream: Vec<Stage>,
        range: i64,
        offset: i64,
    },
    /// `count by (…) (…)`
    Count(Vec<String>, Box<Self>),
    Compared(Box<Self>, String, f64),
    Unless(Box<Self>, Box<Self>),
    And(Box<Self>, Box<Self>),
}

/// A stage of a log pipeline.
pub(super) enum Stage {
    Selector(Labels),
    Contains(String),
    /// Label and path.
    Json(Vec<(String, Vec<String>)>),
    Filter(Filter),
    Format(String, Template),
    /// The labels that replace the line.
    Line(Vec<String>),
}

pub(super) enum Filter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Is(String, String, bool),
    Like(String, Regex, bool),
    Number(String, String, f64),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    let is_of_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '.');
    while at < chars.len() {
        match chars[at] {
            char if char.is_whitespace() => at += 1,
            '`' => {
                let length = chars[at + 1..].iter().position(|char| *char == '`').unwrap();
                tokens.push(Token::Text(chars[at + 1..at + 1 + length].iter().collect()));
                at += length + 2;
            }
            '"' => {
                let mut value = String::new();
                at += 1;
                while chars[at] != '"' {
                    at += usize::from(chars[at] == '\\');
                    value.push(chars[at]);
                    at += 1;
                }
                at += 1;
                tokens.push(Token::Text(value));
            }
            char if is_of_word(char) => {
                let from = at;
                while at < chars.len() && is_of_word(chars[at]) {
                    at += 1;
                }
                tokens.push(Token::Word(chars[from..at].iter().collect()));
            }
            _ => {
                let two: String = chars[at..chars.len().min(at + 2)].iter().collect();
                let is_two = matches!(two.as_str(), "|=" | "=~" | "!~" | "!=" | ">=" | "<=" | "==");
                tokens.push(Token::Sign(if is_two { two } else { chars[at].to_string() }));
                at += if is_two { 2 } else { 1 };
            }
        }
    }
    tokens
}

pub(super) fn read(text: &str) -> Metric {
    let mut reader = Reader { tokens: tokens(text), at: 0 };
    let metric = reader.metric();
    assert_eq!(reader.at, reader.tokens.len(), "{text}");
    metric
}

/// Parses a log query.
pub(super) fn read_lines(text: &str) -> Vec<Stage> {
    let mut reader = Reader { tokens: tokens(text), at: 0 };
    let mut stages = vec![reader.selector()];
    while reader.at < reader.tokens.len() {
        stages.push(reader.stage());
    }
    stages
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Token {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    fn takes(&mut self, expected: &str) -> bool {
        let is = match self.tokens.get(self.at) {
            Some(Token::Word(text) | Token::Sign(text)) => text == expected,
            _ => false,
        };
        self.at += usize::from(is);
        is
    }

    fn wants(&mut self, expected: &str) {
        assert!(self.takes(expected), "{expected} at {:?}", &self.tokens[self.at..]);
    }

    fn word(&mut self) -> String {
        match self.next() {
            Token::Word(word) => word,
            other => panic!("{other:?}"),
        }
    }

    fn text(&mut self) -> String {
        match self.next() {
            Token::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn names(&mut self) -> Vec<String> {
        self.wants("by");
        self.wants("(");
        let mut names = vec![self.word()];
        while self.takes(",") {
            names.push(self.word());
        }
        self.wants(")");
        names
    }

    /// `and` and `unless` have equal precedence.
    fn metric(&mut self) -> Metric {
        let mut left = self.compared();
        loop {
            if self.takes("unless") {
                left = Metric::Unless(Box::new(left), Box::new(self.compared()));
            } else if self.takes("and") {
                left = Metric::And(Box::new(left), Box::new(self.compared()));
            } else {
                return left;
            }
        }
    }

    fn compared(&mut self) -> Metric {
        let mut left = self.operand();
        while let Some(sign) = [">=", "<=", ">", "<"].into_iter().find(|sign| self.takes(sign)) {
            let number = self.word().parse().unwrap();
            left = Metric::Compared(Box::new(left), sign.to_owned(), number);
        }
        left
    }

    fn operand(&mut self) -> Metric {
        if self.takes("(") {
            let inner = self.metric();
            self.wants(")");
            return inner;
        }
        if self.takes("count") {
            let by = self.names();
            self.wants("(");
            let inner = self.metric();
            self.wants(")");
            return Metric::Count(by, Box::new(inner));
        }
        self.wants("sum");
        let by = self.names();
        for part in ["(", "count_over_time", "("] {
            self.wants(part);
        }
        let mut stream = vec![self.selector()];
        while !self.takes("[") {
            stream.push(self.stage());
        }
        let range = span(&self.word());
        self.wants("]");
        let offset = if self.takes("offset") { span(&self.word()) } else { 0 };
        self.wants(")");
        self.wants(")");
        Metric::Sum { by, stream, range, offset }
    }

    fn selector(&mut self) -> Stage {
        self.wants("{");
        let name = self.word();
        self.wants("=");
        let value = self.text();
        self.wants("}");
        Stage::Selector(Labels::from([(name, value)]))
    }

    fn stage(&mut self) -> Stage {
        if self.takes("|=") {
            return Stage::Contains(self.text());
        }
        self.wants("|");
        if self.takes("json") {
            let mut fields = Vec::new();
            loop {
                let name = self.word();
                self.wants("=");
                fields.push((name, path(&self.text())));
                if !self.takes(",") {
                    return Stage::Json(fields);
                }
            }
        }
        if self.takes("label_format") {
            let name = self.word();
            self.wants("=");
            return Stage::Format(name, Template::read(&self.text()));
        }
        if self.takes("line_format") {
            let text = self.text();
            let label = |word: &str| Some(word.strip_prefix("{{.")?.strip_suffix("}}")?.to_owned());
            return Stage::Line(text.split(' ').map(|word| label(word).unwrap()).collect());
        }
        Stage::Filter(self.filter())
    }

    /// `and` binds more tightly than `or`.
    fn filter(&mut self) -> Filter {
        let mut any = vec![self.all()];
        while self.takes("or") {
            any.push(self.all());
        }
        Filter::Any(any)
    }

    fn all(&mut self) -> Filter {
        let mut all = vec![self.comparison()];
        while self.takes("and") {
            all.push(self.comparison());
        }
        Filter::All(all)
    }

    fn comparison(&mut self) -> Filter {
        if self.takes("(") {
            let inner = self.filter();
            self.wants(")");
            return inner;
        }
        let name = self.word();
        let Token::Sign(sign) = self.next() else { panic!("a sign behind {name}") };
        match (sign.as_str(), self.next()) {
            ("=" | "!=", Token::Text(text)) => Filter::Is(name, text, sign == "="),
            ("=~" | "!~", Token::Text(text)) => {
                let regex = Regex::new(&format!("^(?:{text})$")).unwrap();
                Filter::Like(name, regex, sign == "=~")
            }
            (_, Token::Word(number)) => Filter::Number(name, sign, number.parse().unwrap()),
            (_, other) => panic!("{name}{sign}{other:?}"),
        }
    }
}

/// `a.b["c.d"]`
fn path(text: &str) -> Vec<String> {
    let (mut keys, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix("[\"") {
            let (key, behind) = behind.split_once("\"]").unwrap();
            keys.push(key.to_owned());
            rest = behind;
        } else {
            let (key, behind) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
            keys.push(key.to_owned());
            rest = behind;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    keys
}

pub(super) fn span(text: &str) -> i64 {
    use crate::acts::{HOUR, MINUTE, SECOND};
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        other => panic!("{other}"),
    };
    number.parse::<i64>().unwrap() * unit
}

impl Stage {
    /// `None` if the stage drops the line.
    pub(super) fn run(&self, line: &str, json: &Value, mut labels: Labels) -> Option<Labels> {
        match self {
            Self::Selector(expected) => {
                let is = expected.iter().all(|(name, value)| labels.get(name) == Some(value));
                is.then_some(labels)
            }
            Self::Contains(text) => line.contains(text.as_str()).then_some(labels),
            Self::Json(fields) => {
                for (name, path) in fields {
                    let field = path.iter().try_fold(json, |value, key| value.get(key));
                    let text = match field {
                        None | Some(Value::Null) => String::new(),
                        Some(Value::String(text)) => text.clone(),
                        Some(other) => other.to_string(),
                    };
                    assert!(labels.insert(name.clone(), text).is_none(), "{name} is there");
                }
                Some(labels)
            }
            Self::Filter(filter) => filter.is_met(&labels).then_some(labels),
            Self::Line(names) => {
                assert!(names.iter().all(|name| labels.contains_key(name)), "{names:?}");
                Some(labels)
            }
            Self::Format(name, template) => {
                let text = template.text(&labels);
                labels.insert(name.clone(), text);
                Some(labels)
            }
        }
    }
}

impl Filter {
    fn is_met(&self, labels: &Labels) -> bool {
        let text = |name: &String| labels.get(name).map_or("", String::as_str);
        match self {
            Self::All(parts) => parts.iter().all(|part| part.is_met(labels)),
            Self::Any(parts) => parts.iter().any(|part| part.is_met(labels)),
            Self::Is(name, expected, is) => (text(name) == expected) == *is,
            Self::Like(name, regex, is) => regex.is_match(text(name)) == *is,
            Self::Number(name, sign, bound) => {
                // A value that is not a number is an error of the whole query.
                let number: f64 = text(name).parse().unwrap();
                match sign.as_str() {
                    ">=" => number >= *bound,
                    "<=" => number <= *bound,
                    ">" => number > *bound,
                    "<" => number < *bound,
                    _ => (number - bound).abs() < f64::EPSILON,
                }
            }
        }
    }
}
