//! Wildcard patterns with Sigma's semantics: case-insensitive unless the rule has the modifier
//! `cased`.
//!
//! Patterns without `?` take time in proportion to the text's length. Others backtrack to the last
//! `*`, so their time is at most the pattern's length times the text's length; a rule may have only
//! a few of them.

/// Case sensitivity of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Insensitive,
    Sensitive,
}

impl Case {
    pub(crate) fn equal(self, left: &str, right: &str) -> bool {
        match self {
            Self::Sensitive => left == right,
            Self::Insensitive if left.is_ascii() && right.is_ascii() => {
                left.eq_ignore_ascii_case(right)
            }
            Self::Insensitive => folded(left).eq(folded(right)),
        }
    }

    /// A normalized text: equal texts have equal keys.
    pub(crate) fn key(self, text: &str) -> String {
        match self {
            Self::Sensitive => text.to_owned(),
            Self::Insensitive => folded_text(text),
        }
    }
}

fn folded(text: &str) -> impl Iterator<Item = char> + Clone {
    text.chars().flat_map(char::to_lowercase)
}

/// A token of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    case: Case,
    form: Form,
    /// The texts between the `*` of a general pattern without `?`, else empty.
    parts: Box<[Box<str>]>,
}

/// The form of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Equal(Box<str>),
    Contains(Box<str>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    /// Any text except the empty one.
    NotEmpty,
    /// A general pattern; in lower case if it is case-insensitive.
    General(Box<[Token]>),
}

impl Pattern {
    /// Compiles a pattern.
    pub(crate) fn new(tokens: &[Token], case: Case) -> Self {
        let text = |tokens: &[Token]| -> Option<Box<str>> {
            let mut text = String::new();
            for token in tokens {
                match token {
                    Token::Char(char) => text.push(*char),
                    Token::One | Token::Many => return None,
                }
            }
            Some(text.into())
        };
        let simple = match tokens {
            [Token::Many] => Some(Form::NotEmpty),
            [Token::Many, inner @ .., Token::Many] => text(inner).map(Form::Contains),
            [Token::Many, rest @ ..] => text(rest).map(Form::EndsWith),
            [start @ .., Token::Many] => text(start).map(Form::StartsWith),
            all => text(all).map(Form::Equal),
        };
        let form = simple.unwrap_or_else(|| Form::General(lowered(tokens, case)));
        let parts = match &form {
            Form::General(tokens) => {
                let parts = tokens.split(|token| *token == Token::Many);
                parts.map(text).collect::<Option<_>>().unwrap_or_default()
            }
            _ => Box::default(),
        };
        Self { case, form, parts }
    }

    /// A pattern that matches one text.
    pub(crate) fn equal_to(text: &str, case: Case) -> Self {
        Self { case, form: Form::Equal(text.into()), parts: Box::default() }
    }

    /// The literal text, if the pattern has no wildcards.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.form {
            Form::Equal(text) => Some(text),
            _ => None,
        }
    }

    /// A text that every matching text contains, if known.
    pub(crate) fn part(&self) -> Option<&str> {
        match &self.form {
            Form::Equal(text)
            | Form::Contains(text)
            | Form::StartsWith(text)
            | Form::EndsWith(text) => Some(text),
            Form::NotEmpty | Form::General(_) => None,
        }
    }

    /// The first character of every matching text in either case, if known.
    pub(crate) fn first(&self) -> Option<char> {
        match &self.form {
            Form::Equal(text) | Form::StartsWith(text) => text.chars().next(),
            Form::General(tokens) => match tokens.first()? {
                Token::Char(first) => Some(*first),
                Token::One | Token::Many => None,
            },
            Form::Contains(_) | Form::EndsWith(_) | Form::NotEmpty => None,
        }
    }

    /// The form of the pattern, for exports.
    pub(crate) const fn form(&self) -> &Form {
        &self.form
    }

    /// Case sensitivity of the pattern.
    pub(crate) const fn case(&self) -> Case {
        self.case
    }

    /// Work to match a text of this length, in steps of a [`Budget`](crate::budget::Budget).
    pub(crate) fn steps(&self, len: usize) -> u64 {
        let len = len as u64;
        match &self.form {
            Form::Equal(_) | Form::NotEmpty => 1 + len / 16,
            Form::Contains(_) | Form::StartsWith(_) | Form::EndsWith(_) => 1 + len / 4,
            Form::General(tokens) => 1 + len.saturating_mul(tokens.len() as u64),
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match &self.form {
            Form::Equal(expected) => self.case.equal(text, expected),
            Form::NotEmpty => !text.is_empty(),
            Form::StartsWith(start) => match self.bytes(text, start) {
                Some((text, start)) => {
                    text.get(..start.len()).is_some_and(|part| self.same(part, start))
                }
                None => folded_text(text).starts_with(&folded_text(start)),
            },
            Form::EndsWith(end) => match self.bytes(text, end) {
                Some((text, end)) => {
                    let from = text.len().checked_sub(end.len());
                    from.and_then(|from| text.get(from..)).is_some_and(|part| self.same(part, end))
                }
                None => folded_text(text).ends_with(&folded_text(end)),
            },
            Form::Contains(part) => match self.bytes(text, part) {
                Some((text, part)) => self.contains(text, part),
                None => folded_text(text).contains(&folded_text(part)),
            },
            Form::General(tokens) if self.parts.is_empty() => match self.case {
                Case::Sensitive => wild(tokens, text.chars()),
                Case::Insensitive => wild(tokens, folded(text)),
            },
            Form::General(_) => match self.case {
                Case::Sensitive => in_order(&self.parts, text),
                Case::Insensitive => in_order(&self.parts, &folded_text(text)),
            },
        }
    }

    /// Whether the whole text is searched.
    pub(crate) const fn is_search(&self) -> bool {
        matches!(self.form, Form::Contains(_) | Form::General(_))
    }

    /// Whether its time can be proportional to the product of the lengths of pattern and text.
    pub(crate) fn backtracks(&self) -> bool {
        match &self.form {
            Form::General(tokens) => self.parts.is_empty() && tokens.contains(&Token::Many),
            _ => false,
        }
    }

    /// Both texts as bytes; `None` if non-ASCII letters need case folding.
    fn bytes<'t>(&self, text: &'t str, part: &'t str) -> Option<(&'t [u8], &'t [u8])> {
        let as_bytes = self.case == Case::Sensitive || (part.is_ascii() && text.is_ascii());
        as_bytes.then_some((text.as_bytes(), part.as_bytes()))
    }

    fn same(&self, left: &[u8], right: &[u8]) -> bool {
        match self.case {
            Case::Sensitive => left == right,
            Case::Insensitive => left.eq_ignore_ascii_case(right),
        }
    }

    fn contains(&self, text: &[u8], part: &[u8]) -> bool {
        let Some((first, rest)) = part.split_first() else {
            return true;
        };
        if self.case == Case::Sensitive {
            return memchr::memmem::find(text, part).is_some();
        }
        let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        memchr::memchr2_iter(lower, upper, text).any(|at| {
            text.get(at + 1..at + part.len())
                .is_some_and(|candidate| candidate.eq_ignore_ascii_case(rest))
        })
    }
}

fn folded_text(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { folded(text).collect() }
}

/// Whether the text starts with the first part, ends with the last one, and has the others in this
/// order between them. The first match of each part leaves the most text for the next.
fn in_order(parts: &[Box<str>], text: &str) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let between = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last));
    let rest = middle.iter().try_fold(between.map(str::as_bytes), |rest, part| {
        let rest = rest?;
        let start = memchr::memmem::find(rest, part.as_bytes())?;
        Some(rest.get(start + part.len()..))
    });
    rest.flatten().is_some()
}

fn lowered(tokens: &[Token], case: Case) -> Box<[Token]> {
    let fold = |token: &Token| match token {
        Token::Char(char) if case == Case::Insensitive => {
            char.to_lowercase().map(Token::Char).collect()
        }
        other => vec![*other],
    };
    tokens.iter().flat_map(fold).collect()
}

/// Matches tokens with backtracking to the last `*` only: an earlier `*` cannot find more than its
/// first match.
fn wild(tokens: &[Token], mut text: impl Iterator<Item = char> + Clone) -> bool {
    let mut at = 0;
    let mut star: Option<(usize, _)> = None;
    loop {
        if tokens.get(at) == Some(&Token::Many) {
            at += 1;
            star = Some((at, text.clone()));
            continue;
        }
        let fits = match (tokens.get(at), text.next()) {
            (None, None) => return true,
            (Some(Token::Char(expected)), Some(actual)) => *expected == actual,
            (Some(Token::One), Some(_)) => true,
            (Some(_), None) => return false,
            (None | Some(Token::Many), _) => false,
        };
        if fits {
            at += 1;
            continue;
        }
        let Some((after_star, from)) = &mut star else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        at = *after_star;
        text = from.clone();
    }
}
