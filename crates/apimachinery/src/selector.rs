//! Label selectors with the grammar and error messages of `k8s.io/apimachinery/pkg/labels`.

mod lexer;
mod parser;

pub mod field_selector;

use std::fmt;

/// Requirements on labels. All must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted, without duplicates.
    values: Vec<String>,
}

/// Operator of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// `=`: the label has the value.
    Equals,
    /// `==`: same as [`Operator::Equals`].
    DoubleEquals,
    /// `!=`: the label is absent or has another value.
    NotEquals,
    /// The label is a number greater than the value.
    GreaterThan,
    /// The label is a number less than the value.
    LessThan,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
}

impl Selector {
    /// Parses a selector. An empty selector matches everything. The error is upstream's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        parser::parse(text).map(|requirements| Self { requirements })
    }

    /// Whether the selector matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether labels match all requirements. `label` returns the value of a label.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let first = self.values.first().map(String::as_str).unwrap_or_default();
        let is_listed = |value: &str| self.values.iter().any(|listed| listed == value);
        match (self.operator, value) {
            (Operator::Exists, value) => value.is_some(),
            (Operator::DoesNotExist, value) => value.is_none(),
            (Operator::In | Operator::Equals | Operator::DoubleEquals, value) => {
                value.is_some_and(is_listed)
            }
            (Operator::NotIn | Operator::NotEquals, value) => !value.is_some_and(is_listed),
            (Operator::GreaterThan, Some(value)) => {
                numbers(value, first).is_some_and(|(a, b)| a > b)
            }
            (Operator::LessThan, Some(value)) => numbers(value, first).is_some_and(|(a, b)| a < b),
            (Operator::GreaterThan | Operator::LessThan, None) => false,
        }
    }
}

fn numbers(a: &str, b: &str) -> Option<(i64, i64)> {
    Some((a.parse().ok()?, b.parse().ok()?))
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, requirement) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, mut values) = (&self.key, self.values.join(","));
        if values.is_empty() && matches!(self.operator, Operator::In | Operator::NotIn) {
            // For a single empty value upstream also prints `()`, but cannot parse it.
            values.push(',');
        }
        match self.operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

#[cfg(test)]
mod tests;
