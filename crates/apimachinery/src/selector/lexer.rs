//! Lexer of label selectors.

/// Token of a label selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    ClosedPar,
    Comma,
    DoesNotExist,
    DoubleEquals,
    Equals,
    GreaterThan,
    Identifier,
    In,
    LessThan,
    NotEquals,
    NotIn,
    OpenPar,
    EndOfString,
    Error,
}

/// Returns all tokens of a text with their source text, including the end token.
pub(super) fn scan(text: &str) -> Vec<(Token, String)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else {
            tokens.push((Token::EndOfString, String::new()));
            return tokens;
        };
        let (token, len) = if is_sign(first) { sign(rest) } else { word(rest) };
        let (read, after) = rest.split_at(len);
        tokens.push(if token == Token::Error {
            (token, format!("error expected: keyword found '{read}'"))
        } else {
            (token, read.to_owned())
        });
        rest = after;
    }
}

fn is_sign(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn sign(text: &str) -> (Token, usize) {
    const SIGNS: [(&str, Token); 9] = [
        ("==", Token::DoubleEquals),
        ("!=", Token::NotEquals),
        ("=", Token::Equals),
        ("!", Token::DoesNotExist),
        ("(", Token::OpenPar),
        (")", Token::ClosedPar),
        (",", Token::Comma),
        (">", Token::GreaterThan),
        ("<", Token::LessThan),
    ];
    let sign = SIGNS.iter().find(|(sign, _)| text.starts_with(sign));
    sign.map_or((Token::Error, 1), |(sign, token)| (*token, sign.len()))
}

fn word(text: &str) -> (Token, usize) {
    let ends = |c: char| is_sign(c) || matches!(c, ' ' | '\t' | '\r' | '\n');
    let len = text.find(ends).unwrap_or(text.len());
    match text.get(..len) {
        Some("in") => (Token::In, len),
        Some("notin") => (Token::NotIn, len),
        _ => (Token::Identifier, len),
    }
}
