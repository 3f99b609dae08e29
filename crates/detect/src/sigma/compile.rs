//! Compiles selections and conditions to expressions.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::ast::{Block, Condition, Detection, Item, Modifier, Names, Quantifier, Scalar, Value};
use super::correlation::{UNITS, parse_duration};
use super::yaml;
use crate::field::Field;
use crate::matcher::{
    BoundedRegex, Case, Change, Comparison, Expression, Network, Node, Pattern, REGEX_BYTES_MAX,
    RegexError, Test, Token,
};

/// The error of a value, and a hint.
pub(super) type ValueError = (String, Option<String>);

/// Compiles a detection with valid items.
pub(crate) fn expression(detection: &Detection) -> Expression {
    Compiler::new(detection).expression()
}

/// Compiles a detection; `None` if an event could require more comparisons.
pub(crate) fn expression_within(
    detection: &Detection,
    comparisons_max: usize,
) -> Option<Expression> {
    let compiler = Compiler::new(detection);
    let cost = compiler.cost(&detection.condition);
    (cost <= comparisons_max).then(|| compiler.expression())
}

/// Compiles each selection once, even if the condition names it several times.
struct Compiler<'d> {
    detection: &'d Detection,
    compiled: Vec<Arc<Node>>,
    costs: Vec<usize>,
}

impl<'d> Compiler<'d> {
    fn new(detection: &'d Detection) -> Self {
        let selections = detection.selections.iter();
        let compiled: Vec<_> =
            selections.map(|selection| Arc::new(block(&selection.block))).collect();
        let costs = compiled.iter().map(|node| node.cost()).collect();
        Self { detection, compiled, costs }
    }

    fn expression(&self) -> Expression {
        Expression::new(self.condition(&self.detection.condition))
    }

    /// The indices of the selections that a name or pattern covers.
    fn covered(&self, names: &Names) -> Vec<usize> {
        let selections = self.detection.selections.iter().enumerate();
        selections
            .filter(|(_, selection)| names.covers(&selection.name))
            .map(|(index, _)| index)
            .collect()
    }

    fn named(&self, name: &str) -> Option<usize> {
        self.detection.selections.iter().position(|selection| selection.name == *name)
    }

    fn selection(&self, index: usize) -> Node {
        self.compiled
            .get(index)
            .map_or(Node::Any(Vec::new()), |node| Node::Shared(Arc::clone(node)))
    }

    fn condition(&self, condition: &Condition) -> Node {
        let all = |parts: &[Condition]| parts.iter().map(|part| self.condition(part)).collect();
        match condition {
            Condition::Selection(name) => {
                self.named(name).map_or(Node::Any(Vec::new()), |index| self.selection(index))
            }
            Condition::Of(quantifier, names) => {
                let indexes = self.covered(names).into_iter();
                let nodes = indexes.map(|index| self.selection(index)).collect();
                match quantifier {
                    Quantifier::Any => Node::Any(nodes),
                    Quantifier::All => Node::All(nodes),
                }
            }
            Condition::Not(inner) => Node::Not(Box::new(self.condition(inner))),
            Condition::All(parts) => Node::All(all(parts)),
            Condition::Any(parts) => Node::Any(all(parts)),
        }
    }

    /// Maximum number of comparisons of the condition.
    fn cost(&self, condition: &Condition) -> usize {
        match condition {
            Condition::Selection(name) => {
                self.named(name).and_then(|index| self.costs.get(index).copied()).unwrap_or(1)
            }
            Condition::Of(_, names) => {
                let indexes = self.covered(names).into_iter();
                sum(indexes.filter_map(|index| self.costs.get(index).copied()))
            }
            Condition::Not(inner) => self.cost(inner),
            Condition::All(parts) | Condition::Any(parts) => {
                sum(parts.iter().map(|part| self.cost(part)))
            }
        }
    }
}

fn sum(costs: impl Iterator<Item = usize>) -> usize {
    costs.fold(1, usize::saturating_add)
}

fn block(source: &Block) -> Node {
    match source {
        Block::All(items) => Node::All(items.iter().map(item).collect()),
        Block::Any(blocks) => Node::Any(blocks.iter().map(block).collect()),
    }
}

fn item(item: &Item) -> Node {
    let has = |modifier: Modifier| item.modifiers.contains(&modifier);
    // A value that does not compile was reported when the item was parsed, and the rule is skipped.
    let tests = item.values.iter().map(|value| value_node(item, value));
    let nodes: Vec<Node> = tests.map(|node| node.unwrap_or(Node::Any(Vec::new()))).collect();
    let node = match nodes.len() {
        1 => nodes.into_iter().next().unwrap_or(Node::Any(Vec::new())),
        _ if has(Modifier::All) => Node::All(nodes),
        _ => Node::Any(nodes),
    };
    if has(Modifier::Neq) { Node::Not(Box::new(node)) } else { node }
}

fn value_node(item: &Item, value: &Value) -> Result<Node, ValueError> {
    let mut nodes: Vec<Node> =
        tests(item, value)?.into_iter().map(|test| Node::Test(item.field.clone(), test)).collect();
    Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
}

/// The tests of one value of an item: alternatives, usually one.
pub(super) fn tests(item: &Item, value: &Value) -> Result<Vec<Test>, ValueError> {
    let has = |modifier: Modifier| item.modifiers.contains(&modifier);
    let case = if has(Modifier::Cased) { Case::Sensitive } else { Case::Insensitive };
    let text = match &value.scalar {
        Scalar::Null => return Ok(vec![Test::Null]),
        Scalar::Bool(is) if has(Modifier::Exists) => return Ok(vec![Test::Exists(*is)]),
        Scalar::Bool(is) => return Ok(vec![equal(if *is { "true" } else { "false" })]),
        Scalar::Number(number) => match comparison(item) {
            Some(comparison) => return Ok(vec![Test::Number(comparison, float(number))]),
            None if is_plain_integer(number) => number,
            None if has_text_comparison(item) => number,
            None => return Ok(vec![Test::Number(Comparison::Equal, float(number))]),
        },
        Scalar::Text(text) => text,
    };
    if has(Modifier::Re) {
        let compiled = value.regex.as_ref().map(|regex| Ok(Arc::clone(regex)));
        return Ok(vec![Test::Regex(compiled.unwrap_or_else(|| regex(text, item).map(Arc::new))?)]);
    }
    if has(Modifier::Cidr) {
        let network = Network::parse(text).ok_or_else(|| {
            (
                format!("`{}` is not a network", yaml::printable(text)),
                Some("write it as 192.0.2.0/24, all bits behind the prefix 0".to_owned()),
            )
        })?;
        return Ok(vec![Test::InNetwork(network)]);
    }
    if has(Modifier::FieldRef) {
        let other = Field::parse(text).map_err(|error| (error.message, error.hint))?;
        return Ok(vec![match change(item) {
            None => Test::SameAs(other, case),
            Some(change) if item.field.is_of_body() && other.is_of_body() => {
                Test::Change(other, change)
            }
            Some(_) => {
                return Err(not_of_bodies(if item.field.is_of_body() {
                    &other
                } else {
                    &item.field
                }));
            }
        }]);
    }
    if has(Modifier::Within) || has(Modifier::Shorter) {
        let micros = parse_duration(text).ok_or_else(|| {
            (format!("`{}` is not a time", yaml::printable(text)), Some(UNITS.to_owned()))
        })?;
        let is_within = has(Modifier::Within);
        return Ok(vec![if is_within { Test::Within(micros) } else { Test::Shorter(micros) }]);
    }
    let variants = variants(text, item)?;
    Ok(variants.iter().map(|tokens| Test::Matches(framed(tokens, item, case))).collect())
}

fn equal(text: &str) -> Test {
    Test::Matches(Pattern::equal_to(text, Case::Insensitive))
}

fn comparison(item: &Item) -> Option<Comparison> {
    item.modifiers.iter().find_map(|modifier| match modifier {
        Modifier::Lt => Some(Comparison::Less),
        Modifier::Lte => Some(Comparison::LessOrEqual),
        Modifier::Gt => Some(Comparison::Greater),
        Modifier::Gte => Some(Comparison::GreaterOrEqual),
        _ => None,
    })
}

/// How a field must differ from the other field.
fn change(item: &Item) -> Option<Change> {
    let has_months = item.modifiers.contains(&Modifier::Months);
    item.modifiers.iter().find_map(|modifier| match modifier {
        Modifier::Shorter if has_months => Some(Change::ShorterInMonths),
        Modifier::Shorter => Some(Change::Shorter),
        Modifier::Rarer => Some(Change::Rarer),
        Modifier::Narrower => Some(Change::Narrower),
        Modifier::Loses => Some(Change::Loses),
        _ => comparison(item).map(Change::Number),
    })
}

fn not_of_bodies(field: &Field) -> ValueError {
    (
        format!(
            "`{}` is not in a body, so that it has no value before a change",
            yaml::printable(field.as_str())
        ),
        Some(
            "compare a field of `requestObject` or `responseObject` with one of `oldObject`"
                .to_owned(),
        ),
    )
}

fn has_text_comparison(item: &Item) -> bool {
    item.modifiers.iter().any(|modifier| {
        !matches!(modifier, Modifier::All | Modifier::Cased | Modifier::Neq | Modifier::Expand)
    })
}

fn is_plain_integer(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit()) && (number == "0" || !number.starts_with('0'))
}

fn float(number: &str) -> f64 {
    yaml::number(number).unwrap_or(f64::NAN)
}

fn regex(text: &str, item: &Item) -> Result<BoundedRegex, ValueError> {
    let has = |modifier: Modifier| item.modifiers.contains(&modifier);
    let flags = [(Modifier::IgnoreCase, 'i'), (Modifier::MultiLine, 'm'), (Modifier::DotAll, 's')];
    let flags: String =
        flags.iter().filter(|(modifier, _)| has(*modifier)).map(|(_, flag)| *flag).collect();
    // Put the flags in the text, so that exports have them too.
    let text = if flags.is_empty() { text.to_owned() } else { format!("(?{flags}){text}") };
    BoundedRegex::new(&text).map_err(|error| match error {
        RegexError::TooBig => (
            format!("the regular expression needs more than {REGEX_BYTES_MAX} bytes"),
            Some("make its repetitions shorter".to_owned()),
        ),
        RegexError::Syntax(reason) => (
            format!("the regular expression is invalid: {reason}"),
            Some("look-around and back references are not supported".to_owned()),
        ),
    })
}

/// The encoded forms of the value, as tokens.
fn variants(text: &str, item: &Item) -> Result<Vec<Vec<Token>>, ValueError> {
    let has = |modifier: Modifier| item.modifiers.contains(&modifier);
    if has(Modifier::Base64) || has(Modifier::Base64Offset) {
        let tokens = tokens(text);
        let plain: Option<String> = tokens
            .iter()
            .map(|token| if let Token::Char(c) = token { Some(*c) } else { None })
            .collect();
        let plain = plain.ok_or_else(|| {
            let hint = "escape it with a backslash if it is meant literally".to_owned();
            ("a wildcard cannot be encoded in Base64".to_owned(), Some(hint))
        })?;
        let bytes = match () {
            () if has(Modifier::Utf16) => plain.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            () if has(Modifier::Utf16Be) => {
                plain.encode_utf16().flat_map(u16::to_be_bytes).collect()
            }
            () => plain.into_bytes(),
        };
        return Ok(encoded(&bytes, has(Modifier::Base64Offset)));
    }
    if has(Modifier::WinDash) {
        const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
        return Ok(DASHES.map(|dash| tokens(&with_dashes(text, dash))).into());
    }
    Ok(vec![tokens(text)])
}

/// Replaces each dash or slash at the start of a word by `dash`.
fn with_dashes(text: &str, dash: char) -> String {
    let mut previous = ' ';
    let swap = |c: char| {
        let begins = matches!(c, '-' | '/') && !previous.is_alphanumeric();
        previous = c;
        if begins { dash } else { c }
    };
    text.chars().map(swap).collect()
}

/// The Base64 characters that depend on these bytes only, at each of the three offsets in a group.
fn encoded(bytes: &[u8], at_offsets: bool) -> Vec<Vec<Token>> {
    let chars = |text: &str| text.chars().map(Token::Char).collect::<Vec<_>>();
    if !at_offsets {
        let padding = "=".repeat((3 - bytes.len() % 3) % 3);
        return vec![chars(&(STANDARD_NO_PAD.encode(bytes) + &padding))];
    }
    (0..3)
        .map(|offset| {
            let shifted = [&[0_u8; 2][..offset], bytes].concat();
            let text = STANDARD_NO_PAD.encode(&shifted);
            let skipped = [0, 2, 3].get(offset).copied().unwrap_or_default();
            let partial = usize::from(!shifted.len().is_multiple_of(3));
            chars(text.get(skipped..text.len().saturating_sub(partial)).unwrap_or_default())
        })
        .collect()
}

/// Tokenizes a text with wildcards. A backslash escapes `*`, `?` and a backslash.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => match chars.next_if(|next| matches!(next, '*' | '?' | '\\')) {
                Some(next) => Token::Char(next),
                None => Token::Char('\\'),
            },
            other => Token::Char(other),
        });
    }
    tokens
}

fn framed(tokens: &[Token], item: &Item, case: Case) -> Pattern {
    let has = |modifier: Modifier| item.modifiers.contains(&modifier);
    let many = |is: bool| is.then_some(Token::Many);
    let anywhere = has(Modifier::Contains) || has(Modifier::Base64Offset);
    let mut framed: Vec<Token> = Vec::with_capacity(tokens.len() + 2);
    framed.extend(many(anywhere || has(Modifier::EndsWith)));
    framed.extend(tokens);
    framed.extend(many(anywhere || has(Modifier::StartsWith)));
    framed.dedup_by(|left, right| *left == Token::Many && *right == Token::Many);
    Pattern::new(&framed, case)
}
