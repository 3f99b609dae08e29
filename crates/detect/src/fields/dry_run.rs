//! Detects dry runs.
//!
//! For most requests the query decides. For a delete with a body only the body decides, as in
//! kube-apiserver: a delete with `?dryRun=All` in its URL and a body without it does delete, and is
//! not a dry run. If the body of a delete is not recorded (level Metadata), the query decides.

use std::borrow::Cow;
use std::ops::ControlFlow;

use event::{EventRef, Level};

use super::{Value, body};

pub(super) fn is_dry_run(event: &EventRef<'_>) -> bool {
    let is_delete = matches!(event.verb(), "delete" | "deletecollection");
    match event.request_object() {
        Some(options) if is_delete && event.level() >= Level::Request => {
            let mut is_dry_run = false;
            body::values(Some(options), &["dryRun".to_owned()], &mut |value| {
                is_dry_run = matches!(value, Value::Text(_));
                if is_dry_run { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            is_dry_run
        }
        _ => in_query(event.request_uri()),
    }
}

fn in_query(uri: &str) -> bool {
    let Some((_, query)) = uri.split_once('?') else {
        return false;
    };
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .any(|(key, value)| !value.is_empty() && decoded(key) == "dryRun")
}

/// Percent-decodes a key. Returns an empty text, which does not match, if decoding fails.
fn decoded(key: &str) -> Cow<'_, str> {
    if !key.contains('%') {
        return Cow::Borrowed(key);
    }
    let mut bytes = key.bytes();
    let mut plain = Vec::with_capacity(key.len());
    while let Some(byte) = bytes.next() {
        let code = if byte == b'%' { hex(bytes.next(), bytes.next()) } else { Some(byte) };
        match code {
            Some(code) => plain.push(code),
            None => return Cow::Borrowed(""),
        }
    }
    Cow::Owned(String::from_utf8(plain).unwrap_or_default())
}

fn hex(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let code = digit(high?)? * 16 + digit(low?)?;
    u8::try_from(code).ok()
}
