//! A parser of Splunk's search language, for the part that exports use. Unknown syntax is an error.

/// A command after a pipe.
#[derive(Debug)]
pub(crate) enum Command {
    FillNull(Vec<String>),
    Where(Expr),
    Eval(Vec<(String, Expr)>),
    /// Fields, each with whether the order is descending.
    Sort(Vec<(String, bool)>),
    Expand(String),
    Stats(Aggregates),
    EventStats(Aggregates),
    StreamStats(Aggregates, Option<i64>, bool),
}

/// Aggregates and their group-by fields.
#[derive(Debug)]
pub(crate) struct Aggregates {
    /// Function, field and name.
    pub(crate) each: Vec<(String, String, String)>,
    pub(crate) by: Vec<String>,
}

/// A search: terms, then commands.
#[derive(Debug)]
pub(crate) struct Search {
    /// All must match; each is a list of alternatives.
    pub(crate) terms: Vec<Vec<(String, String)>>,
    pub(crate) commands: Vec<Command>,
}

#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Text(String),
    Number(f64),
    Field(String),
    Call(String, Vec<Self>),
    Compare(String, Box<Self>, Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Math(char, Box<Self>, Box<Self>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// A field in single quotes.
    Field(String),
    Text(String),
    Number(f64),
    Macro(String),
    Sign(&'static str),
}

const SIGNS: [&str; 15] =
    ["!=", "<=", ">=", "<", ">", "=", "(", ")", ",", "|", ".", "+", "-", "*", ":"];

type Read<T> = Result<T, String>;

fn tokens(text: &str) -> Read<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
        if matches!(first, '"' | '\'' | '`') {
            let (value, behind) = quoted(rest, first)?;
            tokens.push(match first {
                '"' => Token::Text(value),
                '`' => Token::Macro(value),
                _ => Token::Field(value),
            });
            rest = behind;
        } else if first.is_ascii_digit() {
            let is_part = |char: char| char.is_ascii_alphanumeric() || char == '.';
            let (number, behind) =
                rest.split_at(rest.find(|char| !is_part(char)).unwrap_or(rest.len()));
            tokens.push(match number.parse() {
                Ok(number) => Token::Number(number),
                Err(_) => Token::Word(number.to_owned()),
            });
            rest = behind;
        } else if is_word(first) {
            let (word, behind) =
                rest.split_at(rest.find(|char| !is_word(char)).unwrap_or(rest.len()));
            tokens.push(Token::Word(word.to_owned()));
            rest = behind;
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("unknown: {rest:.40}"))?;
            tokens.push(Token::Sign(sign));
            rest = rest.strip_prefix(sign).unwrap_or_default();
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// The text up to the closing quote, and the rest. A backslash escapes only a quote or a backslash.
fn quoted(text: &str, quote: char) -> Read<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => match chars.peek() {
                Some((_, next)) if *next == quote || *next == '\\' => {
                    value.push(*next);
                    chars.next();
                }
                _ => value.push('\\'),
            },
            _ if char == quote => return Ok((value, text.split_at(at + 1).1)),
            _ => value.push(char),
        }
    }
    Err("a quote has no end".to_owned())
}

/// Parses a search.
pub(crate) fn read(text: &str) -> Read<Search> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0 };
    if reader.next() != Some(Token::Macro("keepwatch_events".to_owned())) {
        return Err("a search begins with its macro".to_owned());
    }
    let mut terms = Vec::new();
    while reader.peek().is_some() && !reader.sign("|") {
        terms.push(reader.terms()?);
    }
    let mut commands = vec![reader.command()?];
    while reader.sign("|") {
        commands.push(reader.command()?);
    }
    match reader.peek() {
        None => Ok(Search { terms, commands }),
        Some(token) => Err(format!("left over: {token:?}")),
    }
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn sign(&mut self, sign: &'static str) -> bool {
        let is = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is);
        is
    }

    fn need(&mut self, sign: &'static str) -> Read<()> {
        if self.sign(sign) { Ok(()) } else { Err(format!("expected {sign} at {:?}", self.peek())) }
    }

    fn word(&mut self, word: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Word(text)) if text == word);
        self.at += usize::from(is);
        is
    }

    fn name(&mut self) -> Read<String> {
        match self.next() {
            Some(Token::Word(name) | Token::Text(name)) => Ok(name),
            other => Err(format!("expected a name: {other:?}")),
        }
    }

    /// Parses a field name, which may contain dots.
    fn path(&mut self) -> Read<String> {
        let mut path = self.name()?;
        while self.sign(".") {
            path = format!("{path}.{}", self.name()?);
        }
        Ok(path)
    }

    /// Parses `field="text"`, or several alternatives in parentheses.
    fn terms(&mut self) -> Read<Vec<(String, String)>> {
        let is_several = self.sign("(");
        let mut terms = Vec::new();
        loop {
            let name = self.path()?;
            self.need("=")?;
            terms.push((name, self.name()?));
            if !(is_several && self.word("OR")) {
                break;
            }
        }
        if is_several {
            self.need(")")?;
        }
        Ok(terms)
    }

    fn names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while matches!(self.peek(), Some(Token::Word(_) | Token::Text(_))) {
            names.extend(self.path());
        }
        names
    }

    fn command(&mut self) -> Read<Command> {
        Ok(match self.name()?.as_str() {
            "fillnull" => {
                if !(self.word("value") && self.sign("=") && self.name()?.is_empty()) {
                    return Err("fillnull with another value".to_owned());
                }
                Command::FillNull(self.names())
            }
            "where" => Command::Where(self.expr()?),
            "eval" => {
                let mut columns = Vec::new();
                loop {
                    let name = self.name()?;
                    self.need("=")?;
                    columns.push((name, self.expr()?));
                    if !self.sign(",") {
                        break Command::Eval(columns);
                    }
                }
            }
            "sort" => {
                if self.next() != Some(Token::Number(0.0)) {
                    return Err("expected a sort without limit".to_owned());
                }
                let mut fields = Vec::new();
                while !matches!(self.peek(), None | Some(Token::Sign("|"))) {
                    let is_reverse = self.sign("-");
                    fields.push((self.name()?, is_reverse));
                }
                Command::Sort(fields)
            }
            "mvexpand" => Command::Expand(self.name()?),
            "stats" => Command::Stats(self.aggregates()?),
            "eventstats" => Command::EventStats(self.aggregates()?),
            "streamstats" => {
                let (mut window, mut is_previous) = (None, false);
                loop {
                    if self.word("time_window") {
                        self.need("=")?;
                        window = Some(span(&self.name()?)?);
                    } else if self.word("current") {
                        self.need("=")?;
                        is_previous = self.word("f");
                    } else if self.word("window") || self.word("global") {
                        self.need("=")?;
                        self.next();
                    } else {
                        break;
                    }
                }
                Command::StreamStats(self.aggregates()?, window, is_previous)
            }
            other => return Err(format!("unknown command {other}")),
        })
    }

    fn aggregates(&mut self) -> Read<Aggregates> {
        let mut each = Vec::new();
        loop {
            let function = self.name()?;
            let field = if self.sign("(") {
                let field = self.name()?;
                self.need(")")?;
                field
            } else {
                String::new()
            };
            if !self.word("AS") {
                return Err(format!("{function} without a name"));
            }
            each.push((function, field, self.name()?));
            self.sign(",");
            if self.word("BY") {
                return Ok(Aggregates { each, by: self.names() });
            }
        }
    }

    fn expr(&mut self) -> Read<Expr> {
        let mut parts = vec![self.conjunction()?];
        while self.word("OR") {
            parts.push(self.conjunction()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts) })
    }

    fn conjunction(&mut self) -> Read<Expr> {
        let mut parts = vec![self.negation()?];
        while self.word("AND") {
            parts.push(self.negation()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::And(parts) })
    }

    fn negation(&mut self) -> Read<Expr> {
        if self.word("NOT") { Ok(Expr::Not(Box::new(self.negation()?))) } else { self.comparison() }
    }

    fn comparison(&mut self) -> Read<Expr> {
        let left = self.sum()?;
        let sign = ["!=", "<=", ">=", "<", ">", "="].into_iter().find(|sign| self.sign(sign));
        let Some(sign) = sign else { return Ok(left) };
        let right = self.sum()?;
        Ok(Expr::Compare(sign.to_owned(), Box::new(left), Box::new(right)))
    }

    fn sum(&mut self) -> Read<Expr> {
        let mut left = self.product()?;
        loop {
            let sign = [("+", '+'), ("-", '-'), (".", '.')];
            let Some((_, sign)) = sign.into_iter().find(|(text, _)| self.sign(text)) else {
                return Ok(left);
            };
            left = Expr::Math(sign, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Read<Expr> {
        let mut left = self.primary()?;
        while self.sign("*") {
            left = Expr::Math('*', Box::new(left), Box::new(self.primary()?));
        }
        Ok(left)
    }

    fn primary(&mut self) -> Read<Expr> {
        Ok(match self.next() {
            Some(Token::Text(text)) => Expr::Text(text),
            Some(Token::Number(number)) => Expr::Number(number),
            Some(Token::Sign("-")) => match self.next() {
                Some(Token::Number(number)) => Expr::Number(-number),
                other => return Err(format!("expected a number: {other:?}")),
            },
            Some(Token::Sign("(")) => {
                let inner = self.expr()?;
                self.need(")")?;
                inner
            }
            Some(Token::Word(name)) if self.sign("(") => {
                let mut arguments = Vec::new();
                if !self.sign(")") {
                    loop {
                        arguments.push(self.expr()?);
                        if self.sign(")") {
                            break;
                        }
                        self.need(",")?;
                    }
                }
                Expr::Call(name, arguments)
            }
            Some(Token::Word(name) | Token::Field(name) | Token::Macro(name)) => Expr::Field(name),
            other => return Err(format!("expected an expression: {other:?}")),
        })
    }
}

/// The microseconds of a span such as `24h`.
pub(crate) fn span(text: &str) -> Read<i64> {
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        _ => 1,
    };
    number.parse::<i64>().map(|number| number * seconds * 1_000_000).map_err(|_| text.to_owned())
}
