//! Rules for Falco: parsed, and evaluated on events as Falco's plugin sees them.

use detect::export::Exported;
use event::{Event, EventRef, v1};
use serde_json::Value;

use super::elastic::without_bodies;
use super::meaning::{Evaluator, Groups};
use crate::pack;

struct Falco {
    rules: Vec<Option<Rule>>,
}

struct Rule {
    condition: Vec<String>,
    /// The groups of our rule, because Falco's alerts have none.
    group_by: Vec<String>,
}

/// Reads exported rules.
pub(super) fn evaluator(rules: &[Exported]) -> Box<dyn Evaluator> {
    let read = |rule: &Exported| {
        let text = &rule.files.first()?.text;
        let (_, behind) = text.split_once("condition: >-\n    ").unwrap();
        let set = pack::all();
        let ours = set.rules().iter().find(|known| known.id == rule.rule).unwrap();
        let group_by = ours.signal.group_by.iter().map(ToString::to_string).collect();
        Some(Rule { condition: tokens(behind.lines().next().unwrap()), group_by })
    };
    Box::new(Falco { rules: rules.iter().map(read).collect() })
}

impl Evaluator for Falco {
    fn alerts(&self, _cluster: &str, events: &[Event]) -> Vec<Groups> {
        let json = |event: &Event| {
            let mut line = Vec::new();
            v1::write(&EventRef::from(event), &mut line);
            let mut json: Value = serde_json::from_slice(&line).unwrap();
            without_bodies(&mut json);
            json
        };
        let all: Vec<Value> = events.iter().map(json).collect();
        let alerts = |rule: &Rule| {
            let matching = all.iter().filter(|event| holds(&rule.condition, event));
            matching.map(|event| group(&rule.group_by, event)).collect()
        };
        self.rules.iter().map(|rule| rule.as_ref().map(alerts).unwrap_or_default()).collect()
    }
}

fn group(by: &[String], event: &Value) -> Vec<String> {
    let field = |name: &String| match name.as_str() {
        "actor.username" => value(event, "ka.user.name"),
        other => value(event, &format!("jevt.value[/{}]", other.replace('.', "/"))),
    };
    by.iter().map(|name| field(name).unwrap_or_default()).collect()
}

fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let mut token = String::new();
        match chars[at] {
            ' ' => at += 1,
            '"' => {
                token.push('"');
                at += 1;
                while chars[at] != '"' {
                    at += usize::from(chars[at] == '\\');
                    token.push(chars[at]);
                    at += 1;
                }
                at += 1;
            }
            sign @ ('(' | ')' | ',') => {
                token.push(sign);
                at += 1;
            }
            _ => {
                while at < chars.len() && !matches!(chars[at], ' ' | '(' | ')' | ',') {
                    token.push(chars[at]);
                    at += 1;
                }
            }
        }
        if !token.is_empty() {
            tokens.push(token);
        }
    }
    tokens
}

fn holds(tokens: &[String], event: &Value) -> bool {
    let mut at = 0;
    let holds = any(tokens, &mut at, event);
    assert_eq!(at, tokens.len(), "{tokens:?}");
    holds
}

fn takes(tokens: &[String], at: &mut usize, word: &str) -> bool {
    let is = tokens.get(*at).is_some_and(|token| token == word);
    *at += usize::from(is);
    is
}

fn any(tokens: &[String], at: &mut usize, event: &Value) -> bool {
    let mut holds = all(tokens, at, event);
    while takes(tokens, at, "or") {
        holds |= all(tokens, at, event);
    }
    holds
}

fn all(tokens: &[String], at: &mut usize, event: &Value) -> bool {
    let mut holds = term(tokens, at, event);
    while takes(tokens, at, "and") {
        holds &= term(tokens, at, event);
    }
    holds
}

fn term(tokens: &[String], at: &mut usize, event: &Value) -> bool {
    if takes(tokens, at, "not") {
        return !term(tokens, at, event);
    }
    if takes(tokens, at, "(") {
        let holds = any(tokens, at, event);
        assert!(takes(tokens, at, ")"));
        return holds;
    }
    let field = value(event, &tokens[*at]);
    let operator = tokens[*at + 1].clone();
    *at += 2;
    if operator == "exists" {
        return field.is_some();
    }
    let mut operands = Vec::new();
    if operator == "in" {
        assert!(takes(tokens, at, "("));
        while !takes(tokens, at, ")") {
            operands.push(tokens[*at].trim_start_matches('"').to_owned());
            *at += 1;
            takes(tokens, at, ",");
        }
    } else {
        operands.push(tokens[*at].trim_start_matches('"').to_owned());
        *at += 1;
    }
    let Some(field) = field else { return false };
    operands.iter().any(|operand| match operator.as_str() {
        "=" | "in" => field == *operand,
        "!=" => field != *operand,
        "contains" => field.contains(operand.as_str()),
        "icontains" => field.to_lowercase().contains(&operand.to_lowercase()),
        "startswith" => field.starts_with(operand.as_str()),
        "endswith" => field.ends_with(operand.as_str()),
        "glob" => is_glob(operand, &field),
        other => panic!("{other}"),
    })
}

fn is_glob(pattern: &str, text: &str) -> bool {
    let regex = regex::escape(&pattern.replace("[?]", "\u{1}"));
    let regex = regex.replace("\\*", ".*").replace("\\?", ".").replace('\u{1}', "\\?");
    regex::Regex::new(&format!("(?s)^{regex}$")).unwrap().is_match(text)
}

/// The value of a plugin field.
fn value(event: &Value, field: &str) -> Option<String> {
    let pointer = match field {
        "ka.verb" => "/verb",
        "ka.stage" => "/stage",
        "ka.uri" => "/requestURI",
        "ka.useragent" => "/userAgent",
        "ka.user.name" => "/user/username",
        "ka.impuser.name" => "/impersonatedUser/username",
        "ka.target.resource" => "/objectRef/resource",
        "ka.target.subresource" => "/objectRef/subresource",
        "ka.target.namespace" => "/objectRef/namespace",
        "ka.target.name" => "/objectRef/name",
        "ka.response.code" => "/responseStatus/code",
        other => other.strip_prefix("jevt.value[").unwrap().strip_suffix(']').unwrap(),
    };
    match event.pointer(pointer)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
