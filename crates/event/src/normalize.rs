//! Validates JSON text and normalizes it to the form used in lines, in one pass.
//!
//! Nothing is decoded: numbers, escape sequences and the order of keys do not change. Text that is
//! already normalized is not copied. The nesting is tracked in one integer, so no input can exhaust
//! the stack.

use crate::escape;
use crate::plain::{self, Class};

/// The maximum nesting of arrays and objects. One less than `serde_json` accepts, so that it can
/// read the surrounding line too.
pub const DEPTH_MAX: u32 = 126;

/// A syntax error in JSON text, and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) offset: usize,
    pub(crate) what: &'static str,
}

/// How an unpaired surrogate is handled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surrogates {
    /// Replace it by U+FFFD, as Go's decoder does; many parsers would reject the whole line
    /// otherwise.
    Replace,
    /// Leave it unchanged.
    Keep,
}

/// Validate and normalize text. Returns `None` if the text is normalized already, otherwise the
/// normalized text.
pub(crate) fn normalize(
    bytes: &[u8],
    surrogates: Surrogates,
) -> Result<Option<Vec<u8>>, SyntaxError> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(SyntaxError { offset: error.valid_up_to(), what: "invalid UTF-8" });
    }
    let (out, objects, depth) = (Vec::new(), 0, 0);
    let mut normalizer = Normalizer { bytes, surrogates, at: 0, copied: 0, out, objects, depth };
    normalizer.document()?;
    if normalizer.copied == 0 {
        return Ok(None);
    }
    normalizer.out.extend_from_slice(&bytes[normalizer.copied..]);
    Ok(Some(normalizer.out))
}

struct Normalizer<'a> {
    bytes: &'a [u8],
    surrogates: Surrogates,
    at: usize,
    /// All input before this offset is copied to `out` or dropped.
    copied: usize,
    out: Vec<u8>,
    /// A stack of bits, the innermost lowest: 1 for an object, 0 for an array.
    objects: u128,
    depth: u32,
}

impl Normalizer<'_> {
    fn document(&mut self) -> Result<(), SyntaxError> {
        loop {
            let ended = self.value()?;
            if ended && self.end_of_value()? {
                return Ok(());
            }
        }
    }

    /// Read a value. Returns `false` after the start of an array or object with members.
    fn value(&mut self) -> Result<bool, SyntaxError> {
        self.skip_blank();
        match self.peek() {
            b'"' => self.string()?,
            b'{' => {
                self.enter(1)?;
                if self.peek() != b'}' {
                    self.key()?;
                    return Ok(false);
                }
                self.leave();
            }
            b'[' => {
                self.enter(0)?;
                if self.peek() != b']' {
                    return Ok(false);
                }
                self.leave();
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => return Err(self.error_here("a value is expected")),
        }
        Ok(true)
    }

    /// Read what follows a value, including the ends of arrays and objects. Returns `true` at the
    /// end of the document, `false` if another value follows.
    fn end_of_value(&mut self) -> Result<bool, SyntaxError> {
        loop {
            self.skip_blank();
            let in_object = self.objects & 1 == 1;
            if self.depth == 0 {
                if self.at < self.bytes.len() {
                    return Err(self.error_here("nothing more is expected"));
                }
                return Ok(true);
            }
            match self.peek() {
                b',' => {
                    self.at += 1;
                    if in_object {
                        self.skip_blank();
                        self.key()?;
                    }
                    return Ok(false);
                }
                b'}' if in_object => self.leave(),
                b']' if !in_object => self.leave(),
                _ => {
                    return Err(
                        self.error_here("a comma or the end of an array or object is expected")
                    );
                }
            }
        }
    }

    fn enter(&mut self, object: u128) -> Result<(), SyntaxError> {
        if self.depth == DEPTH_MAX {
            return Err(self.error_here("nested too deeply"));
        }
        self.at += 1;
        self.depth += 1;
        self.objects = self.objects << 1 | object;
        self.skip_blank();
        Ok(())
    }

    fn leave(&mut self) {
        self.at += 1;
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn key(&mut self) -> Result<(), SyntaxError> {
        if self.peek() != b'"' {
            return Err(self.error_here("a key is expected"));
        }
        self.string()?;
        self.skip_blank();
        if self.peek() != b':' {
            return Err(self.error_here("a colon is expected"));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        loop {
            self.at += plain::unescaped_prefix(&self.bytes[self.at..]);
            let Some(&byte) = self.bytes.get(self.at) else {
                return Err(self.error_here("a string does not end"));
            };
            match plain::class(byte) {
                Class::Plain => self.at += 1,
                Class::Quote => {
                    self.at += 1;
                    return Ok(());
                }
                Class::Backslash => self.escape_sequence()?,
                Class::Control => return Err(self.error_here("a control character in a string")),
                Class::Single => self.replace(1, u16::from(byte)),
                Class::Lead => match escape::multibyte_escape(&self.bytes[self.at..]) {
                    (len, Some(code)) => self.replace(len, code),
                    (len, None) => self.at += len,
                },
            }
        }
    }

    fn escape_sequence(&mut self) -> Result<(), SyntaxError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let code = self.unicode(self.at)?;
                let low = self.at + 6;
                match code {
                    0xd800..0xdc00
                        if self.bytes.get(low..low + 2) == Some(b"\\u")
                            && (0xdc00..0xe000).contains(&self.unicode(low)?) =>
                    {
                        self.at += 12;
                    }
                    0xd800..0xe000 if self.surrogates == Surrogates::Replace => {
                        self.replace(6, 0xfffd);
                    }
                    _ => self.at += 6,
                }
            }
            _ => return Err(self.error_here("an unknown escape sequence")),
        }
        Ok(())
    }

    /// The code unit of the sequence `\uXXXX` at offset `at`.
    fn unicode(&self, at: usize) -> Result<u16, SyntaxError> {
        let error_here = SyntaxError { offset: at, what: "an unknown escape sequence" };
        let digits = self.bytes.get(at + 2..at + 6).ok_or(error_here)?;
        digits.iter().try_fold(0, |code: u16, &digit| {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return Err(error_here),
            };
            Ok(code << 4 | u16::from(value))
        })
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        match self.peek() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { Err(self.error_here("a digit is expected")) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), SyntaxError> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.error_here("a value is expected"));
        }
        self.at += word.len();
        Ok(())
    }

    fn skip_blank(&mut self) {
        let start = self.at;
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
        if self.at > start {
            self.out.extend_from_slice(&self.bytes[self.copied..start]);
            self.copied = self.at;
        }
    }

    /// Write `\uXXXX` in place of the next `len` bytes.
    fn replace(&mut self, len: usize, code: u16) {
        self.out.extend_from_slice(&self.bytes[self.copied..self.at]);
        escape::unicode(code, &mut self.out);
        self.at += len;
        self.copied = self.at;
    }

    /// The next byte; NUL, which is not valid in JSON, at the end.
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn error_here(&self, what: &'static str) -> SyntaxError {
        SyntaxError { offset: self.at, what }
    }
}
