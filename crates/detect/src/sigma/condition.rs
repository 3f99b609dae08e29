//! Parses conditions: `selection and not 1 of filter_*`.
//!
//! Grammar, loosest first: `or`, `and`, `not`, then a name, parentheses, or `1 of`, `any of`,
//! `all of` before `them` or a pattern of names. Words are separated by blanks and parentheses.

use super::ast::{Condition, Names, Quantifier};
use super::yaml::printable;

/// Maximum length of a condition, in bytes.
const LEN_MAX: usize = 8192;
/// Maximum nesting of parentheses and `not`.
const DEPTH_MAX: usize = 32;

/// Parses a condition. An error is a message and an optional hint.
pub(super) fn parse(text: &str) -> Result<Condition, (String, Option<String>)> {
    if text.len() > LEN_MAX {
        return Err((format!("the condition is longer than {LEN_MAX} bytes"), None));
    }
    if text.contains('|') {
        return Err((
            "aggregations behind `|` were removed from Sigma".to_owned(),
            Some("write a correlation document: type event_count or value_count".to_owned()),
        ));
    }
    let mut parser = Parser { words: words(text), depth: 0 };
    parser.words.reverse();
    let condition = parser.any()?;
    match parser.words.pop() {
        None => Ok(condition),
        Some(word) => Err(unexpected(word)),
    }
}

struct Parser<'t> {
    /// The remaining words in reverse order.
    words: Vec<&'t str>,
    depth: usize,
}

type Parsed = Result<Condition, (String, Option<String>)>;

impl Parser<'_> {
    fn any(&mut self) -> Parsed {
        let mut parts = vec![self.all()?];
        while self.consume("or") {
            parts.push(self.all()?);
        }
        Ok(combined(parts, Condition::Any))
    }

    fn all(&mut self) -> Parsed {
        let mut parts = vec![self.not()?];
        while self.consume("and") {
            parts.push(self.not()?);
        }
        Ok(combined(parts, Condition::All))
    }

    fn not(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err((format!("the condition nests more than {DEPTH_MAX} deep"), None));
        }
        let condition = if self.consume("not") {
            Condition::Not(Box::new(self.not()?))
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn primary(&mut self) -> Parsed {
        let word =
            self.words.pop().ok_or_else(|| ("the condition is incomplete".to_owned(), None))?;
        if word == "(" {
            let inner = self.any()?;
            return if self.consume(")") {
                Ok(inner)
            } else {
                Err(("a parenthesis is not closed".to_owned(), None))
            };
        }
        let is_of = self.words.last().is_some_and(|next| next.eq_ignore_ascii_case("of"));
        if is_of {
            return self.of(word);
        }
        if word == ")"
            || ["and", "or", "of", "them"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
        {
            return Err(unexpected(word));
        }
        Ok(Condition::Selection(word.to_owned()))
    }

    fn of(&mut self, quantifier: &str) -> Parsed {
        self.words.pop();
        let quantifier = match quantifier.to_ascii_lowercase().as_str() {
            "1" | "any" => Quantifier::Any,
            "all" => Quantifier::All,
            other => {
                return Err((
                    format!("`{} of` is not supported", printable(other)),
                    Some("use `1 of`, `any of` or `all of`".to_owned()),
                ));
            }
        };
        let names =
            self.words.pop().ok_or_else(|| ("the condition ends after `of`".to_owned(), None))?;
        if names == "(" || names == ")" {
            return Err(unexpected(names));
        }
        let names = if names.eq_ignore_ascii_case("them") {
            Names::Them
        } else {
            Names::Pattern(names.to_owned())
        };
        Ok(Condition::Of(quantifier, names))
    }

    fn consume(&mut self, word: &str) -> bool {
        let is_next = self.words.last().is_some_and(|next| next.eq_ignore_ascii_case(word));
        if is_next {
            self.words.pop();
        }
        is_next
    }
}

fn combined(mut parts: Vec<Condition>, of: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => of(parts),
    }
}

fn unexpected(word: &str) -> (String, Option<String>) {
    (
        format!("`{}` is not expected there in a condition", printable(word)),
        Some("combine names of selections with `and`, `or`, `not` and parentheses".to_owned()),
    )
}

fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for part in text.split_whitespace() {
        let mut rest = part;
        while let Some(index) = rest.find(['(', ')']) {
            let (before, remaining) = rest.split_at(index);
            let (parenthesis, after) = remaining.split_at(1);
            words.extend((!before.is_empty()).then_some(before));
            words.push(parenthesis);
            rest = after;
        }
        words.extend((!rest.is_empty()).then_some(rest));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_bind_as_in_sigma() {
        for (text, expected) in [
            ("a", "a"),
            ("a and b or c", "((a & b) | c)"),
            ("a or b and not c", "(a | (b & !c))"),
            ("(a or b) and not (c)", "((a | b) & !c)"),
            ("1 of sel_* and not all of them", "(any:sel_* & !all:them)"),
            ("NOT any of x", "!any:x"),
            ("a AND(b)", "(a & b)"),
        ] {
            assert_eq!(printed(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn invalid_conditions_are_rejected() {
        let deep = "(".repeat(5000);
        for text in
            ["", "and", "a b", "(a", "a)", "a and", "2 of them", "1 of", "a | count() > 3", &deep]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    fn printed(condition: &Condition) -> String {
        let join = |parts: &[Condition], separator: &str| {
            let parts: Vec<String> = parts.iter().map(printed).collect();
            format!("({})", parts.join(separator))
        };
        match condition {
            Condition::Selection(name) => name.clone(),
            Condition::Not(inner) => format!("!{}", printed(inner)),
            Condition::All(parts) => join(parts, " & "),
            Condition::Any(parts) => join(parts, " | "),
            Condition::Of(quantifier, names) => {
                let quantifier = if *quantifier == Quantifier::Any { "any" } else { "all" };
                match names {
                    Names::Them => format!("{quantifier}:them"),
                    Names::Pattern(pattern) => format!("{quantifier}:{pattern}"),
                }
            }
        }
    }
}
