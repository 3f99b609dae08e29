//! A parser for the subset of the Kusto Query Language that exports use. Other syntax is an error.

/// A query: `let` statements and a tabular expression.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) lets: Vec<(String, Let)>,
    pub(crate) body: Pipe,
}

#[derive(Debug)]
pub(crate) enum Let {
    Table(Pipe),
    Scalar(Pipe),
}

/// A tabular expression: a source of rows and the operators that are applied to them.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) source: Source,
    pub(crate) operators: Vec<Operator>,
}

#[derive(Debug)]
pub(crate) enum Source {
    Name(String),
    Union(Vec<Pipe>),
}

#[derive(Debug)]
pub(crate) enum Operator {
    Where(Expr),
    Extend(Vec<(String, Expr)>),
    Project(Vec<(String, Expr)>),
    Rename(String, String),
    Distinct(Vec<String>),
    Summarize(Vec<Aggregate>, Vec<String>),
    Join(Join, Pipe, Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Join {
    Inner,
    LeftOuter,
    LeftAnti,
}

#[derive(Debug)]
pub(crate) struct Aggregate {
    /// `None` for aggregates such as `arg_max`, which keep the column names.
    pub(crate) name: Option<String>,
    pub(crate) function: String,
    pub(crate) arguments: Vec<Expr>,
}

#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Text(String),
    Number(f64),
    /// A time span, in microseconds.
    Span(i64),
    Bool(bool),
    Star,
    Column(String),
    Member(Box<Self>, String),
    Item(Box<Self>, usize),
    Call(String, Vec<Self>),
    Compare(String, Box<Self>, Box<Self>),
    In(Box<Self>, Vec<Self>, bool),
    And(Vec<Self>),
    Or(Vec<Self>),
    Math(char, Box<Self>, Box<Self>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Number(f64),
    Span(i64),
    Text(String),
    Sign(&'static str),
}

/// A sign comes before its own prefixes, because the first match is used.
const SIGNS: [&str; 20] = [
    "==", "!=", "=~", "!~", "<=", ">=", "<", ">", "=", "(", ")", "[", "]", ",", ".", "|", ";", "+",
    "-", "*",
];
/// The comparison operators that are words. `regex` follows `matches`.
const COMPARISONS: [&str; 7] = [
    "contains",
    "contains_cs",
    "startswith",
    "startswith_cs",
    "endswith",
    "endswith_cs",
    "matches",
];

type Read<T> = Result<T, String>;

fn tokens(text: &str) -> Read<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word_end = |rest: &str| {
            rest.find(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))
                .unwrap_or(rest.len())
        };
        if let Some(raw) = rest.strip_prefix("@\"") {
            let (text, behind) = quoted(raw, false)?;
            tokens.push(Token::Text(text));
            rest = behind;
        } else if let Some(plain) = rest.strip_prefix('"') {
            let (text, behind) = quoted(plain, true)?;
            tokens.push(Token::Text(text));
            rest = behind;
        } else if first.is_ascii_digit() {
            let end = rest
                .find(|char: char| !(char.is_ascii_alphanumeric() || char == '.'))
                .unwrap_or(rest.len());
            let (digits, behind) = rest.split_at(end);
            tokens.push(number(digits)?);
            rest = behind;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let mut end = word_end(rest);
            if rest.starts_with("project-rename") {
                end = "project-rename".len();
            } else if rest.starts_with("in~") {
                end += 1;
            }
            let (word, behind) = rest.split_at(end);
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

/// The text up to the closing quote, and the rest.
fn quoted(text: &str, has_escapes: bool) -> Read<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' if !has_escapes && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                value.push('"');
            }
            '"' => return Ok((value, text.split_at(at + 1).1)),
            '\\' if has_escapes => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, char @ ('"' | '\\'))) => value.push(char),
                other => return Err(format!("unknown escape {other:?}")),
            },
            '\n' => return Err("a text goes over lines".to_owned()),
            _ => value.push(char),
        }
    }
    Err("a text has no end".to_owned())
}

fn number(text: &str) -> Read<Token> {
    let unit = match text.chars().last() {
        Some('d') => 86_400_000_000,
        Some('h') => 3_600_000_000,
        Some('m') => 60_000_000,
        Some('s') => 1_000_000,
        _ => return text.parse().map(Token::Number).map_err(|_| format!("not a number: {text}")),
    };
    let digits = text.split_at(text.len() - 1).0;
    let count: i64 = digits.parse().map_err(|_| format!("not a time span: {text}"))?;
    Ok(Token::Span(count * unit))
}

/// Parses a query.
pub(crate) fn read(text: &str) -> Read<Query> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0 };
    let mut lets = Vec::new();
    while reader.word("let") {
        let name = reader.name()?;
        reader.need("=")?;
        let value = if reader.word("toscalar") {
            reader.need("(")?;
            let pipe = reader.pipe()?;
            reader.need(")")?;
            Let::Scalar(pipe)
        } else if reader.word("materialize") {
            reader.need("(")?;
            let pipe = reader.pipe()?;
            reader.need(")")?;
            Let::Table(pipe)
        } else {
            Let::Table(reader.pipe()?)
        };
        reader.need(";")?;
        lets.push((name, value));
    }
    let body = reader.pipe()?;
    match reader.peek() {
        None => Ok(Query { lets, body }),
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
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
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
            Some(Token::Word(name)) => Ok(name),
            other => Err(format!("expected a name: {other:?}")),
        }
    }

    fn pipe(&mut self) -> Read<Pipe> {
        let source = if self.word("union") {
            let mut pipes = Vec::new();
            loop {
                self.need("(")?;
                pipes.push(self.pipe()?);
                self.need(")")?;
                if !self.sign(",") {
                    break Source::Union(pipes);
                }
            }
        } else {
            Source::Name(self.name()?)
        };
        let mut operators = Vec::new();
        while self.sign("|") {
            operators.push(self.operator()?);
        }
        Ok(Pipe { source, operators })
    }

    fn operator(&mut self) -> Read<Operator> {
        Ok(match self.name()?.as_str() {
            "where" => Operator::Where(self.expr()?),
            "extend" => Operator::Extend(self.assignments()?),
            "project" => Operator::Project(self.assignments()?),
            "project-rename" => {
                let new = self.name()?;
                self.need("=")?;
                Operator::Rename(new, self.name()?)
            }
            "distinct" => Operator::Distinct(self.names()?),
            "summarize" => {
                let mut aggregates = Vec::new();
                loop {
                    aggregates.push(self.aggregate()?);
                    if !self.sign(",") {
                        break;
                    }
                }
                let by = if self.word("by") { self.names()? } else { Vec::new() };
                Operator::Summarize(aggregates, by)
            }
            "join" => {
                if !self.word("kind") {
                    return Err("a join says its kind".to_owned());
                }
                self.need("=")?;
                let kind = match self.name()?.as_str() {
                    "inner" => Join::Inner,
                    "leftouter" => Join::LeftOuter,
                    "leftanti" => Join::LeftAnti,
                    other => return Err(format!("unknown join {other}")),
                };
                let pipe = if self.sign("(") {
                    let pipe = self.pipe()?;
                    self.need(")")?;
                    pipe
                } else {
                    Pipe { source: Source::Name(self.name()?), operators: Vec::new() }
                };
                if !self.word("on") {
                    return Err("a join says its keys".to_owned());
                }
                Operator::Join(kind, pipe, self.names()?)
            }
            other => return Err(format!("unknown operator {other}")),
        })
    }

    fn names(&mut self) -> Read<Vec<String>> {
        let mut names = vec![self.name()?];
        while self.sign(",") {
            names.push(self.name()?);
        }
        Ok(names)
    }

    /// Parses `name = expression` or a column.
    fn assignments(&mut self) -> Read<Vec<(String, Expr)>> {
        let mut columns = Vec::new();
        loop {
            let name = self.name()?;
            let value = if self.sign("=") { self.expr()? } else { Expr::Column(name.clone()) };
            columns.push((name, value));
            if !self.sign(",") {
                return Ok(columns);
            }
        }
    }

    fn aggregate(&mut self) -> Read<Aggregate> {
        let mut function = self.name()?;
        let name = if self.sign("=") {
            let name = std::mem::replace(&mut function, self.name()?);
            Some(name)
        } else {
            None
        };
        self.need("(")?;
        Ok(Aggregate { name, function, arguments: self.arguments()? })
    }

    /// Parses arguments up to the closing parenthesis.
    fn arguments(&mut self) -> Read<Vec<Expr>> {
        let mut arguments = Vec::new();
        if self.sign(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(if self.sign("*") { Expr::Star } else { self.expr()? });
            if self.sign(")") {
                return Ok(arguments);
            }
            self.need(",")?;
        }
    }

    fn expr(&mut self) -> Read<Expr> {
        let mut parts = vec![self.conjunction()?];
        while self.word("or") {
            parts.push(self.conjunction()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts) })
    }

    fn conjunction(&mut self) -> Read<Expr> {
        let mut parts = vec![self.comparison()?];
        while self.word("and") {
            parts.push(self.comparison()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::And(parts) })
    }

    fn comparison(&mut self) -> Read<Expr> {
        let left = self.sum()?;
        let sign =
            ["==", "!=", "=~", "<=", ">=", "<", ">"].into_iter().find(|sign| self.sign(sign));
        if let Some(sign) = sign {
            let right = self.sum()?;
            return Ok(Expr::Compare(sign.to_owned(), Box::new(left), Box::new(right)));
        }
        for (word, is_folded) in [("in", false), ("in~", true)] {
            if self.word(word) {
                self.need("(")?;
                return Ok(Expr::In(Box::new(left), self.arguments()?, is_folded));
            }
        }
        if let Some(word) = COMPARISONS.into_iter().find(|word| self.word(word)) {
            if word == "matches" && !self.word("regex") {
                return Err("matches wants regex".to_owned());
            }
            let right = self.sum()?;
            return Ok(Expr::Compare(word.to_owned(), Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Read<Expr> {
        let mut left = self.product()?;
        loop {
            let sign = if self.sign("+") {
                '+'
            } else if self.sign("-") {
                '-'
            } else {
                return Ok(left);
            };
            left = Expr::Math(sign, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Read<Expr> {
        let mut left = self.postfix()?;
        while self.sign("*") {
            left = Expr::Math('*', Box::new(left), Box::new(self.postfix()?));
        }
        Ok(left)
    }

    fn postfix(&mut self) -> Read<Expr> {
        let mut expr = self.primary()?;
        loop {
            if self.sign(".") {
                expr = Expr::Member(Box::new(expr), self.name()?);
            } else if self.sign("[") {
                expr = match self.next() {
                    Some(Token::Text(key)) => Expr::Member(Box::new(expr), key),
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "0"
                    )]
                    Some(Token::Number(at)) => Expr::Item(Box::new(expr), at as usize),
                    other => return Err(format!("not a key: {other:?}")),
                };
                self.need("]")?;
            } else {
                return Ok(expr);
            }
        }
    }

    fn primary(&mut self) -> Read<Expr> {
        Ok(match self.next() {
            Some(Token::Text(text)) => Expr::Text(text),
            Some(Token::Number(number)) => Expr::Number(number),
            Some(Token::Span(span)) => Expr::Span(span),
            Some(Token::Sign("(")) => {
                let inner = self.expr()?;
                self.need(")")?;
                inner
            }
            Some(Token::Word(word)) if word == "true" || word == "false" => {
                Expr::Bool(word == "true")
            }
            Some(Token::Word(word)) => {
                if self.sign("(") {
                    Expr::Call(word, self.arguments()?)
                } else {
                    Expr::Column(word)
                }
            }
            other => return Err(format!("expected an expression: {other:?}")),
        })
    }
}
