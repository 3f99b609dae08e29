//! The syntax tree of a Sigma document, with all names, modifiers and values, for exports.
//!
//! The tree is valid, but references between documents are not resolved. The module `ruleset`
//! builds rules from it.

use std::sync::Arc;

use event::Severity;

use crate::error::Position;
use crate::field::Field;
use crate::matcher::BoundedRegex;
use crate::rule::SignalOptions;

/// One YAML document of a rule file.
#[derive(Clone, Debug)]
pub struct Document {
    /// File name, or name of an API object.
    pub file: String,
    /// Whether it affects only rules of the same file.
    pub is_confined: bool,
    /// Position of its first key.
    pub at: Position,
    /// The text of the file from this document to the next.
    pub text: Arc<str>,
    /// Line of the file at which the text begins, from 1.
    pub first_line: usize,
    /// The metadata of the document.
    pub header: Header,
    /// The body, by type of document.
    pub body: Body,
}

/// The body of a document.
#[derive(Clone, Debug)]
pub enum Body {
    /// A detection rule.
    Rule(Detection),
    /// A correlation rule.
    Correlation(Correlation),
    /// A filter, whose condition is added to rules.
    Filter(Filter),
}

/// The metadata of a document.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// Sigma's `id`.
    pub id: Option<String>,
    /// Sigma's `name`, for references from other documents.
    pub name: Option<String>,
    /// Sigma's `title`.
    pub title: String,
    /// Sigma's `description`.
    pub description: String,
    /// Sigma's `status`, such as `experimental`.
    pub status: Option<String>,
    /// Sigma's `level`.
    pub level: Option<Severity>,
    /// Sigma's `tags`, such as `attack.t1490`.
    pub tags: Vec<String>,
    /// Sigma's `references`.
    pub references: Vec<String>,
    /// Sigma's `falsepositives`.
    pub false_positives: Vec<String>,
    /// Sigma's `author`.
    pub author: String,
    /// Sigma's `date`, as written.
    pub date: Option<String>,
    /// Sigma's `modified`, as written.
    pub modified: Option<String>,
    /// Sigma's `logsource`.
    pub logsource: Logsource,
    /// The `keepwatch` extension, with defaults.
    pub signal: SignalOptions,
    /// References to superseded rules by id or name, with positions.
    pub supersedes: Vec<(String, Position)>,
    /// Position of the severity cases of the extension, if there are any.
    pub cases_at: Option<Position>,
}

/// The log source of a rule.
#[derive(Clone, Debug, Default)]
pub struct Logsource {
    /// Product, such as `kubernetes`.
    pub product: Option<String>,
    /// Service, such as `audit`.
    pub service: Option<String>,
    /// Category, such as `application`.
    pub category: Option<String>,
}

/// Selections and a condition.
#[derive(Clone, Debug)]
pub struct Detection {
    /// The selections, in the order of the document.
    pub selections: Vec<Selection>,
    /// The condition. Several conditions in a list are alternatives.
    pub condition: Condition,
}

/// A named selection.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Name in the condition.
    pub name: String,
    /// Position of the name.
    pub at: Position,
    /// The tests of the selection.
    pub block: Block,
}

/// The tests of a selection.
#[derive(Clone, Debug)]
pub enum Block {
    /// A mapping: all items must match.
    All(Vec<Item>),
    /// A list of mappings: one must match.
    Any(Vec<Self>),
}

/// A test of one field in a selection.
#[derive(Clone, Debug)]
pub struct Item {
    /// The field.
    pub field: Field,
    /// The modifiers after the field, in order.
    pub modifiers: Vec<Modifier>,
    /// Values: one must match, or all with the modifier `all`.
    pub values: Vec<Value>,
    /// Position of the field.
    pub at: Position,
}

/// A value and its position.
#[derive(Clone, Debug)]
pub struct Value {
    /// The scalar.
    pub scalar: Scalar,
    /// Position of the value.
    pub at: Position,
    /// Its regular expression, if the item has the modifier `re`: compiling takes long.
    pub(crate) regex: Option<Arc<BoundedRegex>>,
}

/// A scalar as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A text, with escapes and wildcards as written and placeholders replaced.
    Text(String),
}

/// A Sigma modifier or one of the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modifier {
    /// The field contains the value.
    Contains,
    /// The field begins with the value.
    StartsWith,
    /// The field ends with the value.
    EndsWith,
    /// All values must match.
    All,
    /// The comparison is case-sensitive.
    Cased,
    /// The value (true or false) tests whether the field exists.
    Exists,
    /// The value is a regular expression.
    Re,
    /// With `re`: case-insensitive.
    IgnoreCase,
    /// With `re`: `^` and `$` match at each line.
    MultiLine,
    /// With `re`: `.` matches a newline.
    DotAll,
    /// The value in Base64.
    Base64,
    /// The value in Base64 at each of the three offsets.
    Base64Offset,
    /// The value in UTF-16, little-endian.
    Utf16,
    /// The value in UTF-16, big-endian.
    Utf16Be,
    /// A dash in the value also matches the other dashes and a slash.
    WinDash,
    /// The value is a network in CIDR notation.
    Cidr,
    /// Less than the value.
    Lt,
    /// At most the value.
    Lte,
    /// More than the value.
    Gt,
    /// At least the value.
    Gte,
    /// The value names another field.
    FieldRef,
    /// Placeholders in the value are replaced.
    Expand,
    /// The field is a time before the event, or at most this long after it.
    Within,
    /// The field is a duration below the value.
    Shorter,
    /// With `shorter` and `fieldref`: `m` is a month.
    Months,
    /// With `fieldref`: the field is a cron expression that runs more rarely than that of the other.
    Rarer,
    /// With `fieldref`: the field is a selector that leaves out something that the other selects.
    Narrower,
    /// With `fieldref`: the field lacks a value of the other field.
    Loses,
    /// None of the values matches.
    Neq,
}

/// A condition over selections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A selection by name.
    Selection(String),
    /// `1 of them`, `all of selection_*`
    Of(Quantifier, Names),
    /// `not`
    Not(Box<Self>),
    /// `and`
    All(Vec<Self>),
    /// `or`
    Any(Vec<Self>),
}

/// The quantifier of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// `1 of`, `any of`
    Any,
    /// `all of`
    All,
}

/// The selections that `of` covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// All selections whose names do not begin with an underscore.
    Them,
    /// Selections whose names match a pattern with `*`.
    Pattern(String),
}

/// A correlation rule.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// The type of the correlation.
    pub kind: CorrelationKind,
    /// References to rules by id or name, with positions.
    pub rules: Vec<(String, Position)>,
    /// Sigma's `generate`: whether those rules raise signals too.
    pub generate: bool,
    /// Fields and aliases of the group-by, with positions.
    pub group_by: Vec<(String, Position)>,
    /// Length of the window. Microseconds.
    pub timespan: i64,
    /// The threshold; `None` in a temporal correlation means all its rules.
    pub condition: Option<crate::rule::Threshold>,
    /// Position of the threshold, or of the correlation.
    pub condition_at: Position,
    /// Sigma's `aliases`.
    pub aliases: Vec<Alias>,
}

/// The type of a correlation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorrelationKind {
    /// `event_count`
    EventCount,
    /// `value_count`: distinct values of a field, or of several fields combined.
    ValueCount(Vec<Field>),
    /// `temporal`: rules, in any order.
    Temporal,
    /// `temporal_ordered`: rules, in the order of the list.
    TemporalOrdered,
    /// `event_count` with `lt: 1`: no event.
    Absence,
}

/// An alias: a name for fields that differ by rule.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The name in `group-by`.
    pub name: String,
    /// Position of the name.
    pub at: Position,
    /// The field of each rule, by rule reference with its position.
    pub fields: Vec<(String, Position, Field)>,
}

/// A filter, whose condition is added to rules.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The rules that the filter applies to.
    pub rules: FilterRules,
    /// The condition that is added to those rules.
    pub detection: Detection,
}

/// The rules that a filter applies to.
#[derive(Clone, Debug)]
pub enum FilterRules {
    /// Every detection rule.
    Any,
    /// References to rules by id or name, with positions.
    Named(Vec<(String, Position)>),
}
