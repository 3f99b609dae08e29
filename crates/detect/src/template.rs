//! Templates in the syntax of Datadog: `{{@User.username}}`.
//!
//! Variables are `{{severity}}`, `{{events_matched}}`, `{{@field}}` and so on; conditionals are
//! `{{#is_match "a" "b"}}…{{/is_match}}`, where the first argument is a variable. The caller
//! provides the values of variables.

use crate::field::Field;
use crate::nearest;

/// Maximum length of a template, in bytes.
pub const TEMPLATE_LEN_MAX: usize = 64 << 10;
/// Maximum length of a rendered text, in bytes; a longer one is truncated.
pub const RENDERED_LEN_MAX: usize = 256 << 10;
/// Maximum nesting of conditionals.
const DEPTH_MAX: usize = 8;

/// The variables of a signal: Datadog's, and Keepwatch's own.
const VARIABLES: [&str; 23] = [
    "severity",
    "title",
    "rule_name",
    "rule_id",
    "case_name",
    "timestamp",
    "timestamp_epoch",
    "first_seen",
    "first_seen_epoch",
    "last_seen",
    "last_seen_epoch",
    "events_matched",
    "cluster",
    "cluster-name",
    "duration",
    "users",
    "users_count",
    "namespaces",
    "namespaces_count",
    "source_ips",
    "targets",
    "targets_count",
    "signal_id",
];
/// Prefix of the variable with the number of events of a query.
const PER_QUERY: &str = "events_matched_per_query.";

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// A part of a template.
#[derive(Clone, Debug)]
pub enum Part {
    /// Literal text.
    Text(String),
    /// The value of a variable.
    Variable(String),
    /// Parts that are rendered only if the test holds.
    If(Test, Vec<Self>),
}

/// The test of a conditional.
#[derive(Clone, Debug)]
pub struct Test {
    /// The tested variable.
    pub variable: String,
    /// The value must contain one of these, or equal one with `is_exact_match`. If empty, the
    /// variable must have a value.
    pub values: Vec<String>,
    /// Whether the value must equal one of `values`.
    pub is_exact: bool,
    /// The expected result of the test; false for an inverted conditional.
    pub expected: bool,
}

/// Why a template is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Description of the error.
    pub message: String,
    /// Suggested replacement, if one is known.
    pub hint: Option<String>,
}

impl TemplateError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

impl Template {
    /// Parses a template. An unknown variable is an error.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_LEN_MAX {
            let message = format!("the text is longer than {TEMPLATE_LEN_MAX} bytes");
            return Err(TemplateError { message, hint: None });
        }
        let mut rest = text;
        let parts = parts(&mut rest, None, 0)?;
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The template as written in the rule.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed parts, for exports.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Renders the template. `value` returns the value of a variable by name: `severity`,
    /// `@User.username`. A variable without a value renders as an empty text.
    pub fn render(&self, value: &dyn Fn(&str) -> Option<String>) -> String {
        let mut text = String::new();
        render(&self.parts, value, &mut text);
        if text.len() > RENDERED_LEN_MAX {
            text.truncate(text.floor_char_boundary(RENDERED_LEN_MAX));
        }
        text
    }

    /// The query labels of the variables with counts.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        self.variables().into_iter().filter_map(|name| name.strip_prefix(PER_QUERY))
    }

    /// The names of all variables, including those in conditionals.
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        collect(&self.parts, &mut names);
        names
    }
}

fn collect<'p>(parts: &'p [Part], names: &mut Vec<&'p str>) {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Variable(name) => names.push(name),
            Part::If(test, inner) => {
                names.push(&test.variable);
                collect(inner, names);
            }
        }
    }
}

fn render(parts: &[Part], value: &dyn Fn(&str) -> Option<String>, text: &mut String) {
    for part in parts {
        if text.len() > RENDERED_LEN_MAX {
            return;
        }
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Variable(name) => text.push_str(&value(name).unwrap_or_default()),
            Part::If(condition, inner) if condition.holds(value) => render(inner, value, text),
            Part::If(..) => {}
        }
    }
}

impl Test {
    fn holds(&self, value: &dyn Fn(&str) -> Option<String>) -> bool {
        let actual = value(&self.variable).unwrap_or_default();
        let is_like = |expected: &String| {
            if self.is_exact { actual == *expected } else { actual.contains(expected.as_str()) }
        };
        let holds = match self.values.as_slice() {
            [] => !actual.is_empty(),
            values => values.iter().any(is_like),
        };
        holds == self.expected
    }
}

/// Parses up to the end, or up to the end of the block with that name.
fn parts(rest: &mut &str, block: Option<&str>, depth: usize) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    loop {
        let Some((plain, remaining)) = rest.split_once("{{") else {
            if let Some(block) = block {
                return Err(unclosed(block));
            }
            push_text(&mut parts, rest);
            *rest = "";
            return Ok(parts);
        };
        push_text(&mut parts, plain);
        let (tag, remaining) = remaining.split_once("}}").ok_or_else(|| {
            TemplateError::new("a variable does not end", "write it as {{severity}}")
        })?;
        *rest = remaining;
        let tag = tag.trim();
        if let Some(opened) = tag.strip_prefix(['#', '^']) {
            let (name, arguments) = opened.split_once(' ').unwrap_or((opened, ""));
            if depth == DEPTH_MAX {
                return Err(TemplateError::new("blocks nest too deeply", "at most 8 deep"));
            }
            let test = test(name, arguments, tag.starts_with('^'))?;
            let inner = self::parts(rest, Some(name), depth + 1)?;
            parts.push(Part::If(test, inner));
        } else if let Some(closed) = tag.strip_prefix('/') {
            if block != Some(closed.trim()) {
                let message = format!("{{{{/{closed}}}}} closes no block");
                return Err(TemplateError::new(
                    message,
                    "blocks are closed in the order of their begin",
                ));
            }
            return Ok(parts);
        } else {
            parts.push(Part::Variable(variable(tag)?));
        }
    }
}

fn unclosed(block: &str) -> TemplateError {
    TemplateError::new(
        format!("the block {{{{#{block} …}}}} is not closed"),
        format!("close it with {{{{/{block}}}}}"),
    )
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// Validates the name of a variable.
fn variable(name: &str) -> Result<String, TemplateError> {
    if let Some(field) = name.strip_prefix('@') {
        return match Field::parse(field) {
            Ok(_) => Ok(name.to_owned()),
            Err(error) => Err(TemplateError { message: error.message, hint: error.hint }),
        };
    }
    let is_known = VARIABLES.contains(&name)
        || name.strip_prefix(PER_QUERY).is_some_and(|query| !query.is_empty());
    if is_known {
        return Ok(name.to_owned());
    }
    let hint = nearest::of(name, VARIABLES).map_or_else(
        || format!("fields are written with @; known variables: {}", VARIABLES.join(", ")),
        |known| format!("did you mean {{{{{known}}}}}?"),
    );
    let printable = crate::sigma::yaml::printable(name);
    Err(TemplateError::new(format!("no signal has a variable `{printable}`"), hint))
}

/// Parses the test of `{{#is_match "severity" "high"}}` or `{{#@field}}`.
fn test(name: &str, arguments: &str, is_inverted: bool) -> Result<Test, TemplateError> {
    let is_exact = name.contains("exact");
    let expected = match name {
        "is_match" | "is_exact_match" => true,
        "is_not_match" | "is_not_exact_match" | "is_exact_not_match" => false,
        other => {
            let variable = variable(other)?;
            let values = Vec::new();
            return Ok(Test { variable, values, is_exact: false, expected: !is_inverted });
        }
    };
    let mut words = quoted(arguments).into_iter();
    let Some(name) = words.next() else {
        let hint = "write {{#is_match \"@User.username\" \"admin\"}}";
        return Err(TemplateError::new("the block contains no variable", hint));
    };
    let values: Vec<String> = words.collect();
    if values.is_empty() {
        let hint = "write {{#is_match \"@User.username\" \"admin\"}}";
        return Err(TemplateError::new("the block contains no text to compare with", hint));
    }
    Ok(Test { variable: variable(&name)?, values, is_exact, expected: expected != is_inverted })
}

fn quoted(arguments: &str) -> Vec<String> {
    arguments.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}
