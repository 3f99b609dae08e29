//! Writes the members of a JSON object straight into a line: no tree, no intermediate value.
//!
//! Key names are ours and need no escaping.

use std::collections::BTreeMap;
use std::io::Write as _;

use crate::{Status, Timestamp, UserInfo, escape};

/// An object that is being written. It ends with [`Object::close`].
pub(crate) struct Object<'a> {
    line: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn open(line: &'a mut Vec<u8>) -> Self {
        line.push(b'{');
        Self { line, empty: true }
    }

    /// Writes the key; the caller writes the value.
    pub(crate) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        let start: &[u8] = if self.empty { b"\"" } else { b",\"" };
        self.empty = false;
        self.line.extend_from_slice(start);
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
        self.line
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        escape::string(value, self.key(name));
    }

    pub(crate) fn text_unless_empty(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, name: &str, value: &[u8]) {
        self.key(name).extend_from_slice(value);
    }

    /// A word of ours, in which nothing is to be escaped.
    pub(crate) fn word(&mut self, name: &str, word: &'static str) {
        let line = self.key(name);
        line.push(b'"');
        line.extend_from_slice(word.as_bytes());
        line.push(b'"');
    }

    pub(crate) fn number(&mut self, name: &str, value: u32) {
        // Writing into memory does not fail.
        drop(write!(self.key(name), "{value}"));
    }

    /// A time, or what Go writes for a time that is not set.
    pub(crate) fn time(&mut self, name: &str, value: Timestamp) {
        let line = self.key(name);
        if value == Timestamp::UNSET {
            line.extend_from_slice(b"null");
        } else {
            line.push(b'"');
            line.extend_from_slice(&value.text());
            line.push(b'"');
        }
    }

    pub(crate) fn close(self) {
        self.line.push(b'}');
    }
}

/// Appends an array of strings.
pub(crate) fn texts(values: &[String], line: &mut Vec<u8>) {
    array(values, line, |value, line| escape::string(value, line));
}

fn array<T>(values: &[T], line: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    line.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        write(value, line);
    }
    line.push(b']');
}

/// Appends an object whose keys are not ours.
pub(crate) fn map<V>(
    map: &BTreeMap<String, V>,
    line: &mut Vec<u8>,
    write: impl Fn(&V, &mut Vec<u8>),
) {
    line.push(b'{');
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        escape::string(key, line);
        line.push(b':');
        write(value, line);
    }
    line.push(b'}');
}

/// Appends a user; both encodings have the same form of it.
pub(crate) fn user(user: &UserInfo, line: &mut Vec<u8>) {
    let mut object = Object::open(line);
    object.text_unless_empty("username", &user.username);
    object.text_unless_empty("uid", &user.uid);
    if !user.groups.is_empty() {
        texts(&user.groups, object.key("groups"));
    }
    if !user.extra.is_empty() {
        map(&user.extra, object.key("extra"), |values, line| texts(values, line));
    }
    object.close();
}

/// Appends a response status; both encodings have the same form of it.
pub(crate) fn status(status: &Status, line: &mut Vec<u8>) {
    let mut object = Object::open(line);
    object.raw("metadata", b"{}");
    object.text_unless_empty("status", &status.status);
    object.text_unless_empty("message", &status.message);
    object.text_unless_empty("reason", &status.reason);
    if let Some(details) = &status.details {
        let mut inner = Object::open(object.key("details"));
        inner.text_unless_empty("name", &details.name);
        inner.text_unless_empty("group", &details.group);
        inner.text_unless_empty("kind", &details.kind);
        inner.text_unless_empty("uid", &details.uid);
        if !details.causes.is_empty() {
            array(&details.causes, inner.key("causes"), |cause, line| {
                let mut object = Object::open(line);
                object.text_unless_empty("reason", &cause.reason);
                object.text_unless_empty("message", &cause.message);
                object.text_unless_empty("field", &cause.field);
                object.close();
            });
        }
        if details.retry_after_seconds != 0 {
            inner.number("retryAfterSeconds", details.retry_after_seconds);
        }
        inner.close();
    }
    if status.code != 0 {
        object.number("code", u32::from(status.code));
    }
    object.close();
}
