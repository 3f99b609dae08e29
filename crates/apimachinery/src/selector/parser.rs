//! Parser of label selectors. Follows the parser of `k8s.io/apimachinery/pkg/labels` step by step,
//! so that error messages are identical.

use super::lexer::{Token, scan};
use super::{Operator, Requirement};
use crate::validation;

struct Parser {
    tokens: Vec<(Token, String)>,
    at: usize,
}

/// Parses a whole selector. Requirements are sorted by key.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: scan(text), at: 0 };
    let mut requirements = parser.selector()?;
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(requirements)
}

impl Parser {
    fn selector(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek_value() {
                (Token::Identifier | Token::DoesNotExist, _) => {
                    let requirement = self
                        .requirement()
                        .map_err(|error| format!("unable to parse requirement: {error}"))?;
                    requirements.push(requirement);
                    match self.take_value() {
                        (Token::EndOfString, _) => return Ok(requirements),
                        (Token::Comma, _) => self.expect_another()?,
                        (_, read) => {
                            return Err(format!(
                                "found '{read}', expected: ',' or 'end of string'"
                            ));
                        }
                    }
                }
                (Token::EndOfString, _) => return Ok(requirements),
                (_, read) => {
                    return Err(format!(
                        "found '{read}', expected: !, identifier, or 'end of string'"
                    ));
                }
            }
        }
    }

    fn expect_another(&self) -> Result<(), String> {
        match self.peek_value() {
            (Token::Identifier | Token::DoesNotExist, _) => Ok(()),
            (_, read) => Err(format!("found '{read}', expected: identifier after ','")),
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut negated = false;
        let (mut token, mut key) = self.take_value();
        if token == Token::DoesNotExist {
            negated = true;
            (token, key) = self.take_value();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        check_key(&key)?;
        if negated {
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
        }
        if matches!(self.peek_value().0, Token::EndOfString | Token::Comma) {
            return Ok(Requirement { key, operator: Operator::Exists, values: Vec::new() });
        }
        let operator = self.operator()?;
        let mut values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        values.sort();
        values.dedup();
        check_values(&key, operator, &values)?;
        Ok(Requirement { key, operator, values })
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let (token, read) = self.take();
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::GreaterThan => Operator::GreaterThan,
            Token::LessThan => Operator::LessThan,
            _ => return Err(format!("found '{read}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let (token, read) = self.take_value();
        if token != Token::OpenPar {
            return Err(format!("found '{read}' expected: '('"));
        }
        match self.peek_value() {
            (Token::Identifier | Token::Comma, _) => {
                let values = self.value_list()?;
                match self.take_value() {
                    (Token::ClosedPar, _) => Ok(values),
                    (_, read) => Err(format!("found '{read}', expected: ')'")),
                }
            }
            (Token::ClosedPar, _) => {
                self.take_value();
                Ok(vec![String::new()])
            }
            (_, read) => Err(format!("found '{read}', expected: ',', ')' or identifier")),
        }
    }

    fn value_list(&mut self) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        loop {
            match self.take_value() {
                (Token::Identifier, value) => {
                    values.push(value);
                    match self.peek_value() {
                        (Token::Comma, _) => {}
                        (Token::ClosedPar, _) => return Ok(values),
                        (_, read) => return Err(format!("found '{read}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    match self.peek_value().0 {
                        Token::ClosedPar => {
                            values.push(String::new());
                            return Ok(values);
                        }
                        Token::Comma => {
                            self.take_value();
                            values.push(String::new());
                        }
                        _ => {}
                    }
                }
                (_, read) => return Err(format!("found '{read}', expected: ',', or identifier")),
            }
        }
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.peek_value().0, Token::EndOfString | Token::Comma) {
            return Ok(String::new());
        }
        match self.take_value() {
            (Token::Identifier, value) => Ok(value),
            (_, read) => Err(format!("found '{read}', expected: identifier")),
        }
    }

    fn take(&mut self) -> (Token, String) {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Where a key or a value is expected, `in` and `notin` are ordinary words.
    fn take_value(&mut self) -> (Token, String) {
        let token = self.peek_value();
        self.at += 1;
        token
    }

    fn peek(&self) -> (Token, String) {
        self.tokens.get(self.at).cloned().unwrap_or((Token::EndOfString, String::new()))
    }

    fn peek_value(&self) -> (Token, String) {
        match self.peek() {
            (Token::In | Token::NotIn, read) => (Token::Identifier, read),
            other => other,
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let errors = validation::qualified_name(key);
    if errors.is_empty() {
        return Ok(());
    }
    Err(format!("key: Invalid value: {key:?}: {}", errors.join("; ")))
}

fn check_values(key: &str, operator: Operator, values: &[String]) -> Result<(), String> {
    if values.is_empty() {
        return Err(
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
                .to_owned(),
        );
    }
    for (at, value) in values.iter().enumerate() {
        let is_ordered = matches!(operator, Operator::GreaterThan | Operator::LessThan);
        if is_ordered && value.parse::<i64>().is_err() {
            return Err(format!(
                "values[{at}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            ));
        }
        let errors = validation::label_value(value);
        if !errors.is_empty() {
            return Err(format!(
                "values[{at}][{key}]: Invalid value: {value:?}: {}",
                errors.join("; ")
            ));
        }
    }
    Ok(())
}
