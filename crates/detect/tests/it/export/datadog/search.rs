//! Our own parser and evaluator of Datadog's log search syntax, as documented, for the part that
//! exports use.
//!
//! Unknown syntax is an error. Comparisons of attributes are case-sensitive. `*` matches any value
//! of an attribute, even an empty text, but no object.

use std::collections::HashMap;

use serde_json::Value;

/// A log: the values of each attribute (whose name begins with `@`) and of each tag. A list has
/// several values.
pub(crate) type Log = HashMap<String, Vec<String>>;

/// A parsed query.
#[derive(Debug)]
pub(crate) enum Search {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    /// Matches all logs.
    Everything,
    Test(String, Wanted),
}

/// A test of an attribute.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// A pattern of characters, `?` and `*`.
    Like(Vec<Wild>),
    Compare(String, f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wild {
    Char(char),
    One,
    Many,
}

struct Reader<'t> {
    rest: &'t str,
}

type Read<T> = Result<T, String>;

/// Parses a query.
pub(crate) fn read(text: &str) -> Read<Search> {
    let mut reader = Reader { rest: text };
    let search = reader.any(None)?;
    if reader.rest.is_empty() { Ok(search) } else { Err(format!("left over: {}", reader.rest)) }
}

impl Reader<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes this word, if it is next and ends at a blank or parenthesis.
    fn take_word(&mut self, word: &str) -> bool {
        let behind = self.rest.strip_prefix(word);
        let is_word =
            behind.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '(', ')']));
        if is_word {
            self.rest = behind.unwrap_or_default();
        }
        is_word
    }

    /// Parses alternatives; with `name`, alternative values of this attribute.
    fn any(&mut self, name: Option<&str>) -> Read<Search> {
        let mut parts = vec![self.all(name)?];
        loop {
            self.blanks();
            if !self.take_word("OR") {
                break;
            }
            parts.push(self.all(name)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Search::Any(parts) })
    }

    fn all(&mut self, name: Option<&str>) -> Read<Search> {
        let mut parts = Vec::new();
        loop {
            self.blanks();
            self.take_word("AND");
            self.blanks();
            if self.rest.is_empty() || self.rest.starts_with(')') || self.rest.starts_with("OR ") {
                break;
            }
            parts.push(self.term(name)?);
        }
        match parts.len() {
            0 => Err(format!("nothing before: {}", self.rest)),
            1 => Ok(parts.remove(0)),
            _ => Ok(Search::All(parts)),
        }
    }

    fn term(&mut self, name: Option<&str>) -> Read<Search> {
        if self.take("-") || self.take_word("NOT") {
            self.blanks();
            return Ok(Search::Not(Box::new(self.term(name)?)));
        }
        if self.take("(") {
            let inner = self.any(name)?;
            return if self.take(")") {
                Ok(inner)
            } else {
                Err("a parenthesis is open".to_owned())
            };
        }
        if let Some(name) = name {
            return Ok(Search::Test(name.to_owned(), self.value()?));
        }
        if self.take_word("*") {
            return Ok(Search::Everything);
        }
        let name = self.name()?;
        if self.take("(") {
            let inner = self.any(Some(&name))?;
            return if self.take(")") {
                Ok(inner)
            } else {
                Err("a parenthesis is open".to_owned())
            };
        }
        Ok(Search::Test(name, self.value()?))
    }

    /// Parses a name and its colon. A word without a name would search the message, which exports
    /// never do.
    fn name(&mut self) -> Read<String> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                ':' if !name.is_empty() => {
                    self.rest = self.rest.get(at + 1..).unwrap();
                    return Ok(name);
                }
                '\\' => name.extend(chars.next().map(|(_, char)| char)),
                '@' if at == 0 => name.push(char),
                '.' | '_' | '-' | '/' => name.push(char),
                char if char.is_alphanumeric() => name.push(char),
                _ => break,
            }
        }
        Err(format!("no attribute: {}", self.rest))
    }

    fn value(&mut self) -> Read<Wanted> {
        for sign in [">=", "<=", ">", "<"] {
            if self.take(sign) {
                let end = self.rest.find([' ', ')']).unwrap_or(self.rest.len());
                let (number, rest) = self.rest.split_at(end);
                self.rest = rest;
                let number = number.parse().map_err(|error| format!("{number}: {error}"))?;
                return Ok(Wanted::Compare(sign.to_owned(), number));
            }
        }
        if self.take("\"") {
            return self.quoted();
        }
        let mut tokens = Vec::new();
        let mut end = self.rest.len();
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            tokens.push(match char {
                ' ' | ')' => {
                    end = at;
                    break;
                }
                '*' => Wild::Many,
                '?' => Wild::One,
                '\\' => match chars.next() {
                    Some((_, char)) => Wild::Char(char),
                    None => return Err("a backslash at the end".to_owned()),
                },
                char if "=-!&|<>{}[]\":#(~^".contains(char) && !(char == '-' && at > 0) => {
                    return Err(format!("`{char}` needs a backslash: {}", self.rest));
                }
                char => Wild::Char(char),
            });
        }
        self.rest = self.rest.get(end..).unwrap();
        if tokens.is_empty() { Err("no value".to_owned()) } else { Ok(Wanted::Like(tokens)) }
    }

    /// In quotes, wildcards are ordinary characters.
    fn quoted(&mut self) -> Read<Wanted> {
        let mut tokens = Vec::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap();
                    return Ok(Wanted::Like(tokens));
                }
                '\\' => tokens.extend(chars.next().map(|(_, char)| Wild::Char(char))),
                char => tokens.push(Wild::Char(char)),
            }
        }
        Err("a quote is open".to_owned())
    }
}

impl Search {
    /// Whether the query matches a log.
    pub(crate) fn matches(&self, log: &Log) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(log)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(log)),
            Self::Not(inner) => !inner.matches(log),
            Self::Everything => true,
            Self::Test(name, expected) => {
                values(log, name).iter().any(|text| expected.accepts(text))
            }
        }
    }
}

impl Wanted {
    fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Like(tokens) => like(tokens, &text.chars().collect::<Vec<_>>()),
            Self::Compare(sign, bound) => {
                text.parse::<f64>().is_ok_and(|number| match sign.as_str() {
                    ">=" => number >= *bound,
                    "<=" => number <= *bound,
                    ">" => number > *bound,
                    _ => number < *bound,
                })
            }
        }
    }
}

fn like(tokens: &[Wild], text: &[char]) -> bool {
    match (tokens, text) {
        ([], []) => true,
        ([Wild::Many, rest @ ..], _) => (0..=text.len()).any(|at| like(rest, &text[at..])),
        ([Wild::One, rest @ ..], [_, behind @ ..]) => like(rest, behind),
        ([Wild::Char(expected), rest @ ..], [char, behind @ ..]) => {
            expected == char && like(rest, behind)
        }
        _ => false,
    }
}

/// The values of an attribute or tag.
pub(crate) fn values<'l>(log: &'l Log, name: &str) -> &'l [String] {
    log.get(name).map_or(&[], Vec::as_slice)
}

/// Makes a log from attributes and tags. A key with dots is equal to a path of several keys.
pub(crate) fn log(attributes: &Value, tags: &[(&str, &str)]) -> Log {
    let mut log = Log::new();
    flatten(attributes, "@", &mut log);
    for (name, value) in tags {
        log.entry((*name).to_owned()).or_default().push((*value).to_owned());
    }
    log
}

fn flatten(value: &Value, path: &str, log: &mut Log) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, path, log)),
        Value::Object(members) => {
            for (key, inner) in members {
                let dot = if path == "@" { "" } else { "." };
                flatten(inner, &format!("{path}{dot}{key}"), log);
            }
        }
        Value::Null => {}
        Value::String(text) => log.entry(path.to_owned()).or_default().push(text.clone()),
        other => log.entry(path.to_owned()).or_default().push(other.to_string()),
    }
}

#[test]
fn queries_are_parsed_as_datadog_documents_them() {
    let attributes = serde_json::json!({
        "a": {"b": "x y", "n": 200, "list": ["one", "two"], "k/e.y": "v", "none": ""},
    });
    let log = log(&attributes, &[("env", "prod")]);
    for (query, expected) in [
        (r#"@a.b:"x y""#, true),
        (r"@a.b:x\ y", true),
        ("@a.b:x*", true),
        ("@a.b:X*", false),
        ("@a.b:x?y", true),
        (r#"@a.b:"x*""#, false),
        ("@a.n:>=200 @a.n:<300", true),
        ("@a.n:>200", false),
        ("@a.n:(100 OR 200)", true),
        ("-@a.n:200", false),
        ("-(@a.n:200 @a.b:z) env:prod", true),
        ("@a.list:two", true),
        ("@a.k/e.y:v", true),
        ("@a.none:*", true),
        ("@a.none:?*", false),
        ("@a:*", false),
        ("@a.z:* OR env:prod", true),
        ("@a.z:* OR env:prod @a.n:1", false),
        ("*", true),
        ("-*", false),
    ] {
        assert_eq!(read(query).unwrap().matches(&log), expected, "{query}");
    }
    for query in ["@a.b:x:y", "(@a:b", "@a:", "word", "@a:b) x", r#"@a:"x"#, "@a:x OR"] {
        assert!(read(query).is_err(), "{query}");
    }
}
