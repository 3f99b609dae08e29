//! Lines that are not too long for their readers.
//!
//! The Datadog Forwarder drops a log that is longer than its limit *as it sends it*: the line
//! encoded again as ASCII JSON and escaped once more within its envelope. [`counted`] is that size.
//! A longer line is shed in steps, each only if the one before was not enough: the response's body,
//! the request's body, long fields, everything that a client could make long. What was shed, and
//! length and SHA-256 of the full line, stand in its annotations. The journal keeps the full event.

use event::{Event, UserInfo};
use ring::digest::{SHA256, digest};

use crate::Encoding;

/// What the Forwarder adds around a line, about.
const ENVELOPE_BYTES: usize = 1024;
/// A byte counts for at most so many halves of a byte.
const GROWTH_HALVES_MAX: usize = 7;
/// Characters that stay of a long field, and entries of a long list.
const CUT: Cut = Cut { chars: 1024, entries: 64 };
/// The same when that is not enough.
const CUT_HARD: Cut = Cut { chars: 128, entries: 8 };

/// The annotation that names what is missing.
pub(super) const SHED: &str = "keepwatch.io/shed";
/// The annotation with the length of the full line in bytes.
pub(super) const FULL_BYTES: &str = "keepwatch.io/full-bytes";
/// The annotation with the SHA-256 of the full line.
pub(super) const FULL_SHA256: &str = "keepwatch.io/full-sha256";

/// Makes lines of a bounded length.
#[derive(Clone, Debug)]
pub struct Shaper {
    encoding: Encoding,
    line_bytes: usize,
}

/// How much stays.
#[derive(Clone, Copy)]
struct Cut {
    chars: usize,
    entries: usize,
}

impl Shaper {
    /// Lines in `encoding` that count for at most `line_bytes`.
    pub fn new(encoding: Encoding, line_bytes: usize) -> Self {
        Self { encoding, line_bytes }
    }

    /// Appends one event without the newline to an empty line.
    pub fn write(&self, event: &Event, line: &mut Vec<u8>) {
        self.encoding.write(event, line);
        if !self.is_too_long(line) {
            return;
        }
        let full = line.clone();
        let mut short = event.clone();
        let mut shed = Vec::new();
        let steps: [(&str, fn(&mut Event)); 4] = [
            ("responseObject", |event| event.response_object = None),
            ("requestObject", |event| event.request_object = None),
            ("longFields", |event| cut(event, CUT)),
            ("fields", |event| {
                event.annotations.clear();
                event.user.extra.clear();
                event.authentication_metadata = None;
                cut(event, CUT_HARD);
            }),
        ];
        for (name, step) in steps {
            step(&mut short);
            shed.push(name);
            mark(&mut short, &shed, &full);
            line.clear();
            self.encoding.write(&short, line);
            if !self.is_too_long(line) {
                return;
            }
        }
    }

    fn is_too_long(&self, line: &[u8]) -> bool {
        // Most lines are far below, whatever is in them.
        line.len() * GROWTH_HALVES_MAX / 2 + ENVELOPE_BYTES > self.line_bytes
            && counted(line) > self.line_bytes
    }
}

/// How long a line is for the Forwarder, or a little more.
pub(super) fn counted(line: &[u8]) -> usize {
    let mut count = ENVELOPE_BYTES;
    let mut is_text = false;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        count += match byte {
            b'"' => {
                is_text = !is_text;
                2
            }
            b'\\' => match bytes.next() {
                // `\"` and `\\` are escaped once more, each of their characters.
                Some(b'"' | b'\\') => 4,
                Some(b'u') => 3,
                _ => 3,
            },
            // Python writes a space behind them.
            b',' | b':' if !is_text => 2,
            0x00..0x80 => 1,
            // The first byte of a character counts for all: `\\u00e9`, or two of them.
            0xf0.. => 14,
            0xc0..0xf0 => 7,
            0x80..0xc0 => 0,
        };
    }
    count
}

fn mark(event: &mut Event, shed: &[&str], full: &[u8]) {
    let hash: String =
        digest(&SHA256, full).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    event.annotations.insert(SHED.to_owned(), shed.join(","));
    event.annotations.insert(FULL_BYTES.to_owned(), full.len().to_string());
    event.annotations.insert(FULL_SHA256.to_owned(), hash);
}

fn cut(event: &mut Event, to: Cut) {
    let texts =
        [&mut event.audit_id, &mut event.request_uri, &mut event.verb, &mut event.user_agent];
    texts.into_iter().for_each(|one| text(one, to));
    cut_user(&mut event.user, to);
    if let Some(user) = &mut event.impersonated_user {
        cut_user(user, to);
    }
    texts_of(&mut event.source_ips, to);
    if let Some(about) = &mut event.object_ref {
        let texts = [
            &mut about.resource,
            &mut about.namespace,
            &mut about.name,
            &mut about.uid,
            &mut about.api_group,
            &mut about.api_version,
            &mut about.resource_version,
            &mut about.subresource,
        ];
        texts.into_iter().for_each(|one| text(one, to));
    }
    if let Some(status) = &mut event.response_status {
        status.details = None;
        [&mut status.status, &mut status.message, &mut status.reason]
            .into_iter()
            .for_each(|one| text(one, to));
    }
    let annotations = std::mem::take(&mut event.annotations);
    event.annotations = annotations
        .into_iter()
        .take(to.entries)
        .map(|(key, value)| (short(key, to), short(value, to)))
        .collect();
}

fn cut_user(user: &mut UserInfo, to: Cut) {
    text(&mut user.username, to);
    text(&mut user.uid, to);
    texts_of(&mut user.groups, to);
    let extra = std::mem::take(&mut user.extra);
    let extra = extra.into_iter().take(to.entries).map(|(key, mut values)| {
        texts_of(&mut values, Cut { entries: 4, ..to });
        (short(key, to), values)
    });
    user.extra = extra.collect();
}

fn texts_of(list: &mut Vec<String>, to: Cut) {
    list.truncate(to.entries);
    list.iter_mut().for_each(|one| text(one, to));
}

fn short(mut from: String, to: Cut) -> String {
    text(&mut from, to);
    from
}

fn text(text: &mut String, to: Cut) {
    if let Some((end, _)) = text.char_indices().nth(to.chars) {
        text.truncate(end);
        text.push('…');
    }
}
