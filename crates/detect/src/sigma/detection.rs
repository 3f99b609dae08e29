//! Parses selections (mappings of fields to values, lists of mappings) and the condition.

use super::ast::{Block, Condition, Detection, Item, Names, Quantifier, Scalar, Selection, Value};
use super::condition;
use super::members::Members;
use super::modifier;
use super::possible;
use super::yaml::{self, Node, printable};
use super::{Context, too_much_work};
use crate::budget::Budget;
use crate::error::{Errors, Position};
use crate::field::Field;
use crate::matcher::Results;
use crate::nearest;

/// Maximum number of selections in a rule.
const SELECTIONS_MAX: usize = 1000;
/// Maximum number of regular expressions in a rule: each costs memory and time.
const REGEXES_MAX: usize = 50;
/// Maximum number of comparisons for one event.
const COMPARISONS_MAX: usize = 20_000;
/// Maximum number of comparisons for one event that search a whole text, which can be a request
/// body: `contains`, and patterns with a `*` inside.
const SEARCHES_MAX: usize = 1000;
/// Maximum number of comparisons for one event with a pattern that has both `*` and `?`: they can
/// take much longer than a search.
const BACKTRACKING_MAX: usize = 10;
/// Maximum number of values of one field.
const VALUES_MAX: usize = 10_000;
/// Maximum length of a value, in bytes.
const VALUE_LEN_MAX: usize = 4096;
/// Number of look-ups of the names of a condition when a rule is loaded.
const LOOK_UPS: u64 = 4;

pub(super) fn read(
    node: &Node,
    what: &str,
    context: &Context<'_>,
    errors: &mut Errors,
) -> Option<Detection> {
    let mut members = Members::of(node, what, errors)?;
    let condition = members.take("condition");
    members.take("timeframe").inspect(|node| {
        errors.hint(
            node.at,
            "`timeframe` was removed from Sigma",
            "write a correlation document with a `timespan`",
        );
    });
    let at = members.at;
    of_members(members, condition, at, context, errors)
}

/// Parses the remaining members as selections.
pub(super) fn of_members(
    members: Members<'_>,
    condition: Option<&Node>,
    at: Position,
    context: &Context<'_>,
    errors: &mut Errors,
) -> Option<Detection> {
    let rest = members.rest();
    if rest.len() > SELECTIONS_MAX {
        errors.add(at, format!("there are more than {SELECTIONS_MAX} selections"));
        return None;
    }
    if rest.iter().map(|(.., node)| regexes(node, false)).sum::<usize>() > REGEXES_MAX {
        errors.add(at, format!("there are more than {REGEXES_MAX} regular expressions"));
        return None;
    }
    let selections: Vec<Selection> = rest
        .into_iter()
        .take_while(|_| !context.compilation.is_spent())
        .filter_map(|(name, at, node)| {
            let block = block(node, name, context, errors)?;
            Some(Selection { name: name.to_owned(), at, block })
        })
        .collect();
    let Some(condition) = condition else {
        errors.hint(at, "there is no condition", "add `condition:` with the name of a selection");
        return None;
    };
    let parsed = conditions(condition, errors)?;
    // Each of the steps below looks up each name of the condition.
    if !context.compilation.spend(LOOK_UPS * lookup_steps(&parsed, selections.len())) {
        too_much_work(at, errors);
        return None;
    }
    if errors.is_empty() {
        check_names(&parsed, &selections, condition.at, errors);
    }
    let detection = Detection { selections, condition: parsed };
    if errors.is_empty() {
        check_whole(&detection, condition.at, &context.examination, errors);
    }
    if context.compilation.is_spent() {
        too_much_work(at, errors);
        return None;
    }
    Some(detection)
}

/// Work to look up each name of a condition among this many selections, in steps.
fn lookup_steps(condition: &Condition, selections: usize) -> u64 {
    match condition {
        Condition::Selection(_) => selections as u64,
        Condition::Of(_, names) => {
            let len = match names {
                Names::Them => 1,
                Names::Pattern(pattern) => pattern.len() as u64,
            };
            len.saturating_mul(selections as u64)
        }
        Condition::Not(inner) => lookup_steps(inner, selections),
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().map(|part| lookup_steps(part, selections)).sum()
        }
    }
}

/// Checks the whole detection: its cost, and whether any event can match it.
fn check_whole(detection: &Detection, at: Position, budget: &Budget, errors: &mut Errors) {
    let Some(expression) = super::expression_within(detection, COMPARISONS_MAX) else {
        errors.hint(
            at,
            format!("an event would cost more than {COMPARISONS_MAX} comparisons"),
            "name each selection once, or split the rule",
        );
        return;
    };
    let (searches, backtracking) = expression.searches();
    if searches > SEARCHES_MAX {
        errors.hint(
            at,
            format!("an event would cost more than {SEARCHES_MAX} searches of a text"),
            "use whole values, `startswith` or `endswith` where possible, or split the rule",
        );
        return;
    }
    if backtracking > BACKTRACKING_MAX {
        errors.hint(
            at,
            format!("more than {BACKTRACKING_MAX} patterns have both `*` and `?`"),
            "use `re`, or patterns with `*` only",
        );
        return;
    }
    if let Some(field) = expression.impossible(budget) {
        errors.hint(
            at,
            format!("no event meets the condition: no value of `{field}` is left"),
            "write alternatives as one list, or combine the selections with `or`; see what `not` \
             excludes",
        );
        return;
    }
    let mut selections = detection.selections.iter();
    if let Some(selection) =
        selections.find(|selection| contradicts(&detection.condition, selection, budget))
    {
        let name = printable(&selection.name);
        errors.hint(
            at,
            format!("no event meets the condition: it requires and excludes `{name}`"),
            "remove one of them, or combine the selections with `or`",
        );
    }
}

/// Whether the condition is false regardless of the selection.
fn contradicts(condition: &Condition, selection: &Selection, budget: &Budget) -> bool {
    fn results(condition: &Condition, name: &str, holds: bool) -> Results {
        match condition {
            Condition::Selection(of) if of == name => Results::of(holds),
            Condition::Selection(_) => Results::UNKNOWN,
            Condition::Of(quantifier, names) => match quantifier {
                Quantifier::Any if holds && names.covers(name) => Results::of(true),
                Quantifier::All if !holds && names.covers(name) => Results::of(false),
                _ => Results::UNKNOWN,
            },
            Condition::Not(inner) => results(inner, name, holds).inverted(),
            Condition::All(all) => Results::all(all.iter().map(|part| results(part, name, holds))),
            Condition::Any(all) => Results::any(all.iter().map(|part| results(part, name, holds))),
        }
    }
    budget.spend(2 * lookup_steps(condition, 1))
        && [true, false]
            .into_iter()
            .all(|holds| !results(condition, &selection.name, holds).can_hold)
}

/// Number of values that are regular expressions.
fn regexes(node: &Node, is_regex: bool) -> usize {
    match &node.value {
        yaml::Value::List(items) => items.iter().map(|item| regexes(item, is_regex)).sum(),
        yaml::Value::Map(members) => members
            .iter()
            .map(|(key, node)| {
                regexes(node, cut(&key.text).1.split('|').any(|modifier| modifier == "re"))
            })
            .sum(),
        _ => usize::from(is_regex),
    }
}

/// Parses one condition, or a list of alternatives.
fn conditions(node: &Node, errors: &mut Errors) -> Option<Condition> {
    let nodes = match &node.value {
        yaml::Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut parsed = Vec::new();
    for node in nodes {
        let yaml::Value::Text(text) = &node.value else {
            errors.add(node.at, format!("a condition must be a text, not {}", node.value.kind()));
            return None;
        };
        match condition::parse(text) {
            Ok(condition) => parsed.push(condition),
            Err((message, hint)) => {
                errors.push(node.at, message, hint);
                return None;
            }
        }
    }
    match parsed.len() {
        0 => {
            errors.add(node.at, "the list of conditions is empty");
            None
        }
        1 => parsed.pop(),
        _ => Some(Condition::Any(parsed)),
    }
}

/// Checks that every name in the condition is a selection and that every selection is used.
fn check_names(condition: &Condition, selections: &[Selection], at: Position, errors: &mut Errors) {
    let mut used = vec![false; selections.len()];
    check_name(condition, selections, at, &mut used, errors);
    if !errors.is_empty() {
        return;
    }
    for (selection, is_used) in selections.iter().zip(used) {
        if !is_used {
            errors.hint(
                selection.at,
                format!(
                    "the condition does not name the selection `{}`",
                    printable(&selection.name)
                ),
                "name it in the condition, or remove it",
            );
        }
    }
}

fn check_name(
    condition: &Condition,
    selections: &[Selection],
    at: Position,
    used: &mut [bool],
    errors: &mut Errors,
) {
    if errors.is_full() {
        return;
    }
    let names = || selections.iter().map(|selection| selection.name.as_str());
    match condition {
        Condition::Selection(name) => {
            let index = selections.iter().position(|selection| selection.name == *name);
            if let Some(is_used) = index.and_then(|index| used.get_mut(index)) {
                *is_used = true;
            } else {
                let message = format!("there is no selection `{}`", printable(name));
                let hint =
                    nearest::of(name, names()).map(|known| format!("did you mean `{known}`?"));
                errors.push(at, message, hint);
            }
        }
        Condition::Of(_, pattern) => {
            let mut any = false;
            for (selection, is_used) in selections.iter().zip(used) {
                if pattern.covers(&selection.name) {
                    *is_used = true;
                    any = true;
                }
            }
            if !any {
                let message = match pattern {
                    Names::Them => "there is no selection for `them`".to_owned(),
                    Names::Pattern(pattern) => {
                        format!("no selection has a name like `{}`", printable(pattern))
                    }
                };
                errors.add(at, message);
            }
        }
        Condition::Not(inner) => check_name(inner, selections, at, used, errors),
        Condition::All(parts) | Condition::Any(parts) => {
            for part in parts {
                check_name(part, selections, at, used, errors);
            }
        }
    }
}

impl Names {
    /// Whether the selection with this name is covered.
    pub fn covers(&self, name: &str) -> bool {
        match self {
            Self::Them => !name.starts_with('_'),
            Self::Pattern(pattern) => matches_pattern(pattern, name),
        }
    }
}

fn matches_pattern(pattern: &str, name: &str) -> bool {
    let tokens: Vec<crate::matcher::Token> =
        pattern
            .chars()
            .map(|c| {
                if c == '*' { crate::matcher::Token::Many } else { crate::matcher::Token::Char(c) }
            })
            .collect();
    crate::matcher::Pattern::new(&tokens, crate::matcher::Case::Sensitive).matches(name)
}

fn block(node: &Node, name: &str, context: &Context<'_>, errors: &mut Errors) -> Option<Block> {
    match &node.value {
        yaml::Value::Map(members) if members.is_empty() => {
            errors.add(node.at, format!("the selection `{}` is empty", printable(name)));
            None
        }
        yaml::Value::Map(members) => {
            let mut items = Vec::with_capacity(members.len());
            for (key, node) in members {
                if errors.is_full() {
                    return None;
                }
                items.extend(item(key, node, context, errors));
            }
            Some(Block::All(items))
        }
        yaml::Value::List(items) if items.is_empty() => {
            errors.add(node.at, format!("the selection `{}` is empty", printable(name)));
            None
        }
        yaml::Value::List(items) => {
            let blocks = items.iter().filter_map(|item| block(item, name, context, errors));
            Some(Block::Any(blocks.collect()))
        }
        _ => {
            errors.hint(
                node.at,
                "keywords cannot be searched for: an audit event has fields and no free text",
                "name the field, as in `requestURI|contains: …`",
            );
            None
        }
    }
}

/// Parses `field|modifier|modifier: value` or a list of values.
fn item(key: &yaml::Key, node: &Node, context: &Context<'_>, errors: &mut Errors) -> Option<Item> {
    let (name, rest) = cut(&key.text);
    let modifiers = modifier::parse(rest, key.at, errors)?;
    let field = match Field::parse(name) {
        Ok(field) => field,
        Err(error) => {
            errors.push(key.at, error.message, error.hint);
            return None;
        }
    };
    let nodes = match &node.value {
        yaml::Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() || nodes.len() > VALUES_MAX {
        errors.add(node.at, format!("a field needs 1 to {VALUES_MAX} values"));
        return None;
    }
    let before = errors.len();
    let values: Vec<Value> =
        nodes.iter().filter_map(|node| value(node, &modifiers, context, errors)).collect();
    let mut item = Item { field, modifiers, values, at: key.at };
    modifier::check(&item, errors);
    if errors.len() == before {
        possible::check(&mut item, context, errors);
    }
    Some(item)
}

/// Splits a key into field and modifiers. A `|` in brackets belongs to the field.
fn cut(key: &str) -> (&str, &str) {
    let from = key.rfind(']').unwrap_or(0);
    let (start, end) = key.split_at(from);
    match end.split_once('|') {
        Some((before, modifiers)) => {
            (key.get(..start.len() + before.len()).unwrap_or(key), modifiers)
        }
        None => (key, ""),
    }
}

fn value(
    node: &Node,
    modifiers: &[super::Modifier],
    context: &Context<'_>,
    errors: &mut Errors,
) -> Option<Value> {
    let scalar = match &node.value {
        yaml::Value::Null => Scalar::Null,
        yaml::Value::Bool(is) => Scalar::Bool(*is),
        yaml::Value::Number(number) => Scalar::Number(number.clone()),
        yaml::Value::Text(text) if text.len() > VALUE_LEN_MAX => {
            errors.add(node.at, format!("a value is longer than {VALUE_LEN_MAX} bytes"));
            return None;
        }
        yaml::Value::Text(text) if modifiers.contains(&super::Modifier::Expand) => {
            match context.options.expand(text) {
                Ok(text) => Scalar::Text(text),
                Err((message, hint)) => {
                    errors.hint(node.at, message, hint);
                    return None;
                }
            }
        }
        yaml::Value::Text(text) => Scalar::Text(text.clone()),
        yaml::Value::List(_) | yaml::Value::Map(_) => {
            errors.hint(
                node.at,
                format!("a value must not be {}", node.value.kind()),
                "name the inner field with dots, as in `requestObject.spec.paused`",
            );
            return None;
        }
    };
    Some(Value { scalar, at: node.at, regex: None })
}
