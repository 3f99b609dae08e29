//! Our own parser and evaluator of the Kibana Query Language, for the part that exports use.

use serde_json::Value;

use super::document::{Document, text_of};

/// A parsed query.
#[derive(Debug)]
pub(super) enum Query {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test(String, Test),
}

#[derive(Debug)]
pub(super) enum Test {
    /// One of these patterns, as characters; `None` is a wildcard.
    Is(Vec<Vec<Option<char>>>),
    Number(String, f64),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Sign(String),
    Text(String),
    Word(Vec<Option<char>>),
}

pub(super) fn read(text: &str) -> Query {
    let mut reader = Reader { tokens: tokens(text), at: 0 };
    let query = reader.any();
    assert_eq!(reader.at, reader.tokens.len(), "{text}");
    query
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            char if char.is_whitespace() => at += 1,
            char @ ('(' | ')' | ':') => {
                tokens.push(Token::Sign(char.to_string()));
                at += 1;
            }
            char @ ('<' | '>') => {
                let is_long = chars.get(at + 1) == Some(&'=');
                tokens.push(Token::Sign(if is_long { format!("{char}=") } else { char.into() }));
                at += if is_long { 2 } else { 1 };
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
            _ => {
                let mut word = Vec::new();
                while at < chars.len() && !matches!(chars[at], ' ' | '(' | ')' | ':' | '<' | '>') {
                    match chars[at] {
                        '*' => word.push(None),
                        '\\' => {
                            at += 1;
                            word.push(Some(chars[at]));
                        }
                        char => word.push(Some(char)),
                    }
                    at += 1;
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    tokens
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

    fn takes(&mut self, word: &str) -> bool {
        let is_next = match self.tokens.get(self.at) {
            Some(Token::Sign(sign)) => sign == word,
            Some(Token::Word(chars)) => chars.iter().copied().eq(word.chars().map(Some)),
            _ => false,
        };
        self.at += usize::from(is_next);
        is_next
    }

    fn any(&mut self) -> Query {
        let mut parts = vec![self.all()];
        while self.takes("or") {
            parts.push(self.all());
        }
        Query::Any(parts)
    }

    fn all(&mut self) -> Query {
        let mut parts = vec![self.term()];
        while self.takes("and") {
            parts.push(self.term());
        }
        Query::All(parts)
    }

    fn term(&mut self) -> Query {
        if self.takes("not") {
            return Query::Not(Box::new(self.term()));
        }
        if self.takes("(") {
            let inner = self.any();
            assert!(self.takes(")"));
            return inner;
        }
        let Token::Word(field) = self.next() else { panic!("a field") };
        let field: String = field.into_iter().map(Option::unwrap).collect();
        let Token::Sign(sign) = self.next() else { panic!("a sign behind {field}") };
        if sign != ":" {
            let Token::Word(number) = self.next() else { panic!("a number") };
            let number: String = number.into_iter().flatten().collect();
            return Query::Test(field, Test::Number(sign, number.parse().unwrap()));
        }
        let mut values = Vec::new();
        if self.takes("(") {
            loop {
                values.push(self.value());
                if self.takes(")") {
                    break;
                }
                assert!(self.takes("or"));
            }
        } else {
            values.push(self.value());
        }
        Query::Test(field, Test::Is(values))
    }

    fn value(&mut self) -> Vec<Option<char>> {
        match self.next() {
            Token::Text(text) => text.chars().map(Some).collect(),
            Token::Word(word) => word,
            Token::Sign(sign) => panic!("a value, not {sign}"),
        }
    }
}

impl Query {
    pub(super) fn matches(&self, document: &Document) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(document)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(document)),
            Self::Not(inner) => !inner.matches(document),
            Self::Test(field, test) => {
                document.values(field).iter().any(|value| test.is_met(value))
            }
        }
    }
}

impl Test {
    fn is_met(&self, value: &Value) -> bool {
        match self {
            Self::Is(patterns) => {
                let text: Vec<char> = text_of(value).chars().collect();
                patterns.iter().any(|pattern| is_like(pattern, &text))
            }
            Self::Number(sign, bound) => {
                let number = value.as_f64().unwrap();
                match sign.as_str() {
                    "<" => number < *bound,
                    "<=" => number <= *bound,
                    ">" => number > *bound,
                    _ => number >= *bound,
                }
            }
        }
    }
}

/// Whether a text matches a pattern, in which `None` is any number of characters.
fn is_like(pattern: &[Option<char>], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((None, rest)) => (0..=text.len()).any(|from| is_like(rest, &text[from..])),
        Some((Some(char), rest)) => text.first() == Some(char) && is_like(rest, &text[1..]),
    }
}
