//! A Sigma document as it was read: names, modifiers and values are all there, for exports.
//!
//! Everything here is well formed, but references between documents are not resolved. What rules are
//! evaluated with is made of it (module `ruleset`).

use std::sync::Arc;

use event::Severity;

use crate::error::Position;
use crate::field::Field;
use crate::rule::SignalOptions;

/// One YAML document of a rule file.
#[derive(Clone, Debug)]
pub struct Document {
    /// File, or name of an API object.
    pub file: String,
    /// Place of its first key.
    pub at: Position,
    /// The text of the file from this document to the next.
    pub text: Arc<str>,
    /// What it says about itself.
    pub header: Header,
    /// What it is.
    pub body: Body,
}

/// What a document is.
#[derive(Clone, Debug)]
pub enum Body {
    /// A rule on single events.
    Rule(Detection),
    /// A rule on several events.
    Correlation(Correlation),
    /// A condition that is added to rules.
    Filter(Filter),
}

/// What a document says about itself.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// Identity.
    pub id: Option<String>,
    /// Name by which other documents may refer to it.
    pub name: Option<String>,
    /// One line.
    pub title: String,
    /// Why and how.
    pub description: String,
    /// Such as `experimental`.
    pub status: Option<String>,
    /// Severity.
    pub level: Option<Severity>,
    /// Such as `attack.t1490`.
    pub tags: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// What else can match.
    pub false_positives: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// When it was written, as written.
    pub date: Option<String>,
    /// When it was changed, as written.
    pub modified: Option<String>,
    /// Sigma's `logsource`.
    pub logsource: Logsource,
    /// The extension, defaults filled in.
    pub signal: SignalOptions,
}

/// Where the events of a rule come from.
#[derive(Clone, Debug, Default)]
pub struct Logsource {
    /// Such as `kubernetes`.
    pub product: Option<String>,
    /// Such as `audit`.
    pub service: Option<String>,
    /// Such as `application`.
    pub category: Option<String>,
}

/// Selections and how they are combined.
#[derive(Clone, Debug)]
pub struct Detection {
    /// By name, in the order of the document.
    pub selections: Vec<Selection>,
    /// How they are combined. Several conditions of a list are alternatives.
    pub condition: Condition,
}

/// A named selection.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Name in the condition.
    pub name: String,
    /// Place of the name.
    pub at: Position,
    /// What it asks for.
    pub block: Block,
}

/// What a selection asks for.
#[derive(Clone, Debug)]
pub enum Block {
    /// All fields of a mapping.
    All(Vec<Item>),
    /// Any mapping of a list.
    Any(Vec<Self>),
}

/// One field of a selection.
#[derive(Clone, Debug)]
pub struct Item {
    /// The field.
    pub field: Field,
    /// As written, behind the field, in their order.
    pub modifiers: Vec<Modifier>,
    /// Alternatives; with the modifier `all`, all of them.
    pub values: Vec<Value>,
    /// Place of the field.
    pub at: Position,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Value {
    /// What it is.
    pub scalar: Scalar,
    /// Its place.
    pub at: Position,
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A text, escapes and wildcards as written, placeholders filled in.
    Text(String),
}

/// What a value is compared with, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modifier {
    /// The value is anywhere in the field.
    Contains,
    /// The field begins with the value.
    StartsWith,
    /// The field ends with the value.
    EndsWith,
    /// All values must match.
    All,
    /// The case of letters counts.
    Cased,
    /// The value says whether the field is there.
    Exists,
    /// The value is a regular expression.
    Re,
    /// With `re`: the case of letters does not count.
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
    /// A dash also as the other dashes and a slash.
    WinDash,
    /// The value is a network.
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
    /// Placeholders in the value are filled in.
    Expand,
    /// The field is a time at most so long after the event, or before it.
    Within,
    /// The field is a duration below the value.
    Shorter,
    /// None of the values matches.
    Neq,
}

/// How selections are combined.
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

/// How many of several selections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// `1 of`, `any of`
    Any,
    /// `all of`
    All,
}

/// Which selections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// All whose names do not begin with an underscore.
    Them,
    /// Those whose names match, with `*` for anything.
    Pattern(String),
}

/// A rule on several events.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// What is counted.
    pub kind: CorrelationKind,
    /// Rules by id or name, with the places of the references.
    pub rules: Vec<(String, Position)>,
    /// Whether those rules raise signals themselves.
    pub generate: bool,
    /// Fields and aliases, with their places.
    pub group_by: Vec<(String, Position)>,
    /// Microseconds.
    pub timespan: i64,
    /// At least and at most so many; `None` in a temporal correlation stands for all its rules.
    pub condition: Option<crate::rule::Threshold>,
    /// What an alias is in each rule.
    pub aliases: Vec<Alias>,
}

/// What a correlation counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorrelationKind {
    /// Events.
    EventCount,
    /// Different values of a field, or of several taken together.
    ValueCount(Vec<Field>),
    /// Rules, in any order.
    Temporal,
    /// Rules, in the order of the list.
    TemporalOrdered,
    /// No event.
    Absence,
}

/// A name for fields that differ by rule.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The name, for `group-by`.
    pub name: String,
    /// Rule reference and field.
    pub fields: Vec<(String, Field)>,
}

/// A condition that is added to rules.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The rules it is added to.
    pub rules: FilterRules,
    /// What an event must meet too.
    pub detection: Detection,
}

/// The rules that a filter is added to.
#[derive(Clone, Debug)]
pub enum FilterRules {
    /// Every rule on single events.
    Any,
    /// Rules by id or name, with the places of the references.
    Named(Vec<(String, Position)>),
}
