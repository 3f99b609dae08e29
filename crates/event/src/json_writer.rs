//! A writer of JSON objects that appends members directly to a line, without an intermediate tree.
//!
//! Keys are constants and need no escape sequences. The code contains each key as it appears in the
//! line.

use crate::annotations::JOURNAL_SEQ;
use crate::escape;
use crate::event_ref::{StatusRef, UserRef};
use crate::field_codec::{Field, List, Map, Text};

/// An object that is being written. [`ObjectWriter::close`] ends it.
pub(crate) struct ObjectWriter<'a> {
    line: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn open(line: &'a mut Vec<u8>) -> Self {
        line.push(b'{');
        Self { line, empty: true }
    }

    /// Write a key, which is given with its leading comma; the caller writes the value. The
    /// compiler knows the key's length and copies it with one or two moves.
    pub(crate) fn key<const N: usize>(&mut self, key: &[u8; N]) -> &mut Vec<u8> {
        if std::mem::take(&mut self.empty) {
            self.line.extend_from_slice(key.get(1..).unwrap_or_default());
        } else {
            self.line.extend_from_slice(key);
        }
        self.line
    }

    pub(crate) fn text<const N: usize>(&mut self, key: &[u8; N], value: Text<'_>) {
        escape::string(value, self.key(key));
    }

    pub(crate) fn text_unless_empty<const N: usize>(&mut self, key: &[u8; N], value: Text<'_>) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    /// Write a value that is JSON text already.
    pub(crate) fn raw<const N: usize>(&mut self, key: &[u8; N], value: &[u8]) {
        self.key(key).extend_from_slice(value);
    }

    /// Write a constant that needs no escape sequences.
    pub(crate) fn word<const N: usize>(&mut self, key: &[u8; N], word: &'static str) {
        let line = self.key(key);
        line.push(b'"');
        line.extend_from_slice(word.as_bytes());
        line.push(b'"');
    }

    pub(crate) fn number<const N: usize>(&mut self, key: &[u8; N], value: u32) {
        let mut digits = itoa::Buffer::new();
        self.key(key).extend_from_slice(digits.format(value).as_bytes());
    }

    /// Write a time; null if it is not set, as Go does.
    pub(crate) fn time<const N: usize>(&mut self, key: &[u8; N], value: Option<&[u8; 29]>) {
        let line = self.key(key);
        match value {
            Some(text) => line.extend_from_slice(text),
            None => line.extend_from_slice(b"null"),
        }
    }

    pub(crate) fn close(self) {
        self.line.push(b'}');
    }
}

/// Append an array of strings.
pub(crate) fn texts<'a>(values: &List<'a, Text<'a>>, line: &mut Vec<u8>) {
    array(values, line, escape::string);
}

fn array<'a, T: Field<'a>>(
    values: &List<'a, T>,
    line: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    line.push(b'[');
    let mut is_first = true;
    values.for_each(|value| {
        if !std::mem::take(&mut is_first) {
            line.push(b',');
        }
        write(value, line);
    });
    line.push(b']');
}

/// Append an object with arbitrary keys.
pub(crate) fn map<'a, T: Field<'a>>(
    map: &Map<'a, T>,
    line: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    line.push(b'{');
    let mut is_first = true;
    map.for_each(|(key, value)| {
        if !std::mem::take(&mut is_first) {
            line.push(b',');
        }
        escape::string(key, line);
        line.push(b':');
        write(value, line);
    });
    line.push(b'}');
}

/// Append annotations, with the sequence number in the journal at the position that Go's sorting
/// would give it.
pub(crate) fn annotations<'a>(map: &Map<'a, Text<'a>>, seq: Option<u64>, line: &mut Vec<u8>) {
    line.push(b'{');
    let (mut is_first, mut seq) = (true, seq);
    map.for_each(|(key, value)| {
        if key.as_bytes() > JOURNAL_SEQ.as_bytes()
            && let Some(number) = seq.take()
        {
            with_seq(number, &mut is_first, line);
        }
        if !std::mem::take(&mut is_first) {
            line.push(b',');
        }
        escape::string(key, line);
        line.push(b':');
        escape::string(value, line);
    });
    if let Some(number) = seq {
        with_seq(number, &mut is_first, line);
    }
    line.push(b'}');
}

fn with_seq(number: u64, is_first: &mut bool, line: &mut Vec<u8>) {
    if !std::mem::take(is_first) {
        line.push(b',');
    }
    escape::string(Text::from(JOURNAL_SEQ), line);
    line.extend_from_slice(b":\"");
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    line.push(b'"');
}

/// Append a user, which has the same form in both encodings.
pub(crate) fn user(user: &UserRef<'_>, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
    object.text_unless_empty(br#","username":"#, user.username);
    object.text_unless_empty(br#","uid":"#, user.uid);
    if !user.groups.is_empty() {
        texts(&user.groups, object.key(br#","groups":"#));
    }
    if !user.extra.is_empty() {
        map(&user.extra, object.key(br#","extra":"#), |values, line| texts(&values, line));
    }
    object.close();
}

/// Append a response status, which has the same form in both encodings.
pub(crate) fn status(status: &StatusRef<'_>, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
    object.raw(br#","metadata":"#, b"{}");
    object.text_unless_empty(br#","status":"#, status.status);
    object.text_unless_empty(br#","message":"#, status.message);
    object.text_unless_empty(br#","reason":"#, status.reason);
    if let Some(details) = &status.details {
        let mut inner = ObjectWriter::open(object.key(br#","details":"#));
        inner.text_unless_empty(br#","name":"#, details.name);
        inner.text_unless_empty(br#","group":"#, details.group);
        inner.text_unless_empty(br#","kind":"#, details.kind);
        inner.text_unless_empty(br#","uid":"#, details.uid);
        if !details.causes.is_empty() {
            array(&details.causes, inner.key(br#","causes":"#), |cause, line| {
                let mut object = ObjectWriter::open(line);
                object.text_unless_empty(br#","reason":"#, cause.reason);
                object.text_unless_empty(br#","message":"#, cause.message);
                object.text_unless_empty(br#","field":"#, cause.field);
                object.close();
            });
        }
        if details.retry_after_seconds != 0 {
            inner.number(br#","retryAfterSeconds":"#, details.retry_after_seconds);
        }
        inner.close();
    }
    if status.code != 0 {
        object.number(br#","code":"#, u32::from(status.code));
    }
    object.close();
}
