//! Joins the lines that a container runtime splits in its log: containerd and CRI-O tag a part by
//! `P` and the last one by `F`; in Docker's JSON log, a text without a newline at its end continues
//! in the next one. The two output streams of a container are joined separately.
//!
//! Other lines are unchanged.

use std::borrow::Cow;

use serde::Deserialize;

use super::LINE_BYTES_MAX;

/// The parts of the lines that have not ended, for each output stream.
#[derive(Debug, Default)]
pub(super) struct UnfinishedLines([Unfinished; 2]);

/// The parts of one line. At most [`LINE_BYTES_MAX`] bytes.
#[derive(Debug, Default)]
struct Unfinished {
    text: Vec<u8>,
    is_too_long: bool,
}

/// The result of joining a line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// A complete line, which replaced the part.
    Complete,
    /// A part of a line that continues.
    Part,
    /// The end of a line that is longer than allowed.
    TooLong,
}

/// One entry of a container runtime's log.
struct Entry<'l> {
    is_stderr: bool,
    text: Cow<'l, [u8]>,
    is_end: bool,
}

impl UnfinishedLines {
    /// Adds a line of a log. If it ends a line, `line` becomes the complete one, without the
    /// runtime's prefix.
    pub(super) fn join(&mut self, line: &mut Vec<u8>) -> Joined {
        let Some(Entry { is_stderr, text, is_end }) = entry(line) else { return Joined::Complete };
        let [out, err] = &mut self.0;
        let unfinished = if is_stderr { err } else { out };
        if unfinished.text.len() + text.len() > LINE_BYTES_MAX {
            unfinished.is_too_long = true;
            unfinished.text = Vec::new();
        }
        if !unfinished.is_too_long {
            unfinished.text.extend_from_slice(&text);
        }
        if !is_end {
            return Joined::Part;
        }
        let Unfinished { text, is_too_long } = std::mem::take(unfinished);
        if is_too_long {
            return Joined::TooLong;
        }
        *line = text;
        Joined::Complete
    }

    /// Takes an incomplete line at the end of the log; `None` if there is none.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let unfinished =
            self.0.iter_mut().find(|line| line.is_too_long || !line.text.is_empty())?;
        Some(std::mem::take(unfinished).text)
    }
}

fn entry(line: &[u8]) -> Option<Entry<'_>> {
    cri(line).or_else(|| docker(line))
}

/// `2026-11-23T09:30:00.1Z stdout P text`. Further tags can follow the first one.
fn cri(line: &[u8]) -> Option<Entry<'_>> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if !line.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let (_time, stream, tags) = (words.next()?, words.next()?, words.next()?);
    let is_stderr = match stream {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    let is_end = match tags.split(|byte| *byte == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    Some(Entry { is_stderr, text: Cow::Borrowed(words.next().unwrap_or_default()), is_end })
}

/// `{"log":"text\n","stream":"stdout","time":"2026-11-23T09:30:00.1Z"}`
fn docker(line: &[u8]) -> Option<Entry<'_>> {
    #[derive(Deserialize)]
    struct Line<'l> {
        #[serde(borrow)]
        log: Cow<'l, str>,
        #[serde(borrow)]
        stream: Cow<'l, str>,
        #[serde(rename = "time", borrow)]
        _time: Cow<'l, str>,
    }
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if !line.starts_with(b"{\"log\":") {
        return None;
    }
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let is_end = line.log.ends_with('\n');
    let text = match line.log {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    Some(Entry { is_stderr: line.stream == "stderr", text, is_end })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The joined lines of the parts. `…` marks an incomplete line, `!` a line that is too long.
    fn check(parts: &[&str], expected: &[&str]) {
        let mut unfinished = UnfinishedLines::default();
        let mut output: Vec<String> = parts
            .iter()
            .map(|part| {
                let mut line = part.as_bytes().to_vec();
                match unfinished.join(&mut line) {
                    Joined::Complete => String::from_utf8(line).unwrap(),
                    Joined::Part => "…".to_owned(),
                    Joined::TooLong => "!".to_owned(),
                }
            })
            .collect();
        while let Some(rest) = unfinished.take() {
            output.push(format!("unfinished {}", String::from_utf8(rest).unwrap()));
        }
        assert_eq!(output, expected, "{parts:?}");
    }

    #[test]
    fn the_parts_of_a_line_are_joined_by_stream() {
        check(&["plain\n", "{\"kind\":\"Event\"}\n"], &["plain\n", "{\"kind\":\"Event\"}\n"]);
        check(
            &[
                "2026-11-23T09:30:00.1Z stdout P {\"a\": \n",
                "2026-11-23T09:30:00.2Z stderr P no\n",
                "other\n",
                "2026-11-23T09:30:00.3Z stderr F ise\n",
                "2026-11-23T09:30:00.4Z stdout F:tag 1}\n",
                "2026-11-23T09:30:00.5Z stdout F whole\n",
            ],
            &["…", "…", "other\n", "noise", "{\"a\": 1}", "whole"],
        );
        let docker = |log: &str, stream: &str| {
            let time = "2026-11-23T09:30:00.1Z";
            serde_json::json!({"log": log, "stream": stream, "time": time}).to_string() + "\n"
        };
        let parts = [
            docker("{\"a\"", "stdout"),
            docker("x", "stderr"),
            docker(":\"\u{e9}\"}\n", "stdout"),
            docker("y\n", "stderr"),
            "{\"log\":1}\n".to_owned(),
        ];
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        check(&parts, &["…", "…", "{\"a\":\"\u{e9}\"}\n", "xy\n", "{\"log\":1}\n"]);
    }

    #[test]
    fn a_line_that_never_ends_and_one_that_is_too_long_are_reported() {
        check(&["2026-11-23T09:30:00.1Z stdout P a\n"], &["…", "unfinished a"]);
        let long = format!("2026-11-23T09:30:00.1Z stdout P {}\n", "x".repeat(LINE_BYTES_MAX));
        let end = "2026-11-23T09:30:00.1Z stdout F x\n";
        check(&[&long, &long, end, end], &["…", "…", "!", "x"]);
    }
}
