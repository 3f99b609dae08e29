//! Bounds the values and texts of a YAML document with its aliases, before the document is built.
//!
//! A short text can become a large document: an alias repeats a value of any size, and a tag
//! repeats the prefix of its handle. This module counts both and builds nothing.

use std::collections::HashMap;

use saphyr_parser::{Event, Tag};

use super::{YAML_TEXT_BYTES_MAX, YAML_VALUES_MAX};
use crate::serializer::TOO_COSTLY;

/// Values and bytes of texts.
#[derive(Clone, Copy, Default)]
struct Amount {
    values: usize,
    bytes: usize,
}

/// The amounts of a document while the parser reads it.
#[derive(Default)]
pub(super) struct Expansion {
    /// The content so far, with its aliases.
    content: Amount,
    /// The copies for aliases: the loader keeps one copy of each value with an anchor.
    anchored: Amount,
    /// The collections around the current node: anchor, and the content before them.
    open: Vec<(usize, Amount)>,
    anchors: HashMap<usize, Amount>,
}

impl Expansion {
    /// Adds one event. The error says that the document is too large.
    pub(super) fn add(&mut self, event: &Event<'_>) -> Result<(), String> {
        let before = self.content;
        match event {
            Event::Scalar(text, _, anchor, tag) => {
                self.add_amount(Amount { values: 1, bytes: text.len() + len_of(tag.as_deref()) });
                self.record_anchor(*anchor, before);
            }
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                self.add_amount(Amount { values: 1, bytes: len_of(tag.as_deref()) });
                self.open.push((*anchor, before));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((anchor, before)) = self.open.pop() {
                    self.record_anchor(anchor, before);
                }
            }
            // An alias inside its own value has no size yet; the loader refuses it.
            Event::Alias(anchor) => {
                let target = self.anchors.get(anchor).copied();
                self.add_amount(target.unwrap_or(Amount { values: 1, bytes: 0 }));
            }
            _ => {}
        }
        if self.content.values + self.anchored.values > YAML_VALUES_MAX {
            return Err(TOO_COSTLY.to_owned());
        }
        if self.content.bytes + self.anchored.bytes > YAML_TEXT_BYTES_MAX {
            return Err(format!(
                "the texts of the document have more than {YAML_TEXT_BYTES_MAX} bytes with its \
                 aliases and tags: write it without them, or send it as JSON"
            ));
        }
        Ok(())
    }

    fn add_amount(&mut self, amount: Amount) {
        self.content.values += amount.values;
        self.content.bytes += amount.bytes;
    }

    /// Stores the amount of a complete value with an anchor. Anchor 0 means none.
    fn record_anchor(&mut self, anchor: usize, before: Amount) {
        if anchor == 0 {
            return;
        }
        let amount = Amount {
            values: self.content.values - before.values,
            bytes: self.content.bytes - before.bytes,
        };
        self.anchored.values += amount.values;
        self.anchored.bytes += amount.bytes;
        self.anchors.insert(anchor, amount);
    }
}

fn len_of(tag: Option<&Tag>) -> usize {
    tag.map_or(0, |tag| tag.handle.len() + tag.suffix.len())
}

#[cfg(test)]
mod tests {
    use super::super::decode_yaml;
    use super::*;

    /// `expected` is the start of the error, or empty.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = decode_yaml(text.as_bytes()).err().unwrap_or_default();
        let start: String = text.chars().take(60).collect();
        assert!(error.starts_with(expected), "{start}: {error}");
        assert_eq!(error.is_empty(), expected.is_empty(), "{start}: {error}");
    }

    /// Regression: a body of 44 kB with 6,000 aliases of a text of 20 kB took 434 MB, and a larger
    /// one ended the process.
    #[test]
    fn aliases_and_tags_make_no_large_document_of_a_short_text() {
        const TEXTS: &str = "the texts of the document have more than 1048576 bytes";
        let long = "x".repeat(20_000);
        let list = |item: &str, count: usize| vec![item; count].join(" ,");
        check(&format!("a: &a \"{long}\"\nb: [{}]\n", list("*a", 6_000)), TEXTS);
        check(&format!("a: &a \"{long}\"\nb: [{}]\n", list("*a", 51)), TEXTS);
        check(&format!("a: &a \"{long}\"\nb: [{}]\n", list("*a", 50)), "");
        check(&format!("a: &a |\n  {long}\nb: [{}]\n", list("*a", 6_000)), TEXTS);
        check(&format!("a: &a {{b: {long}}}\nc: [{}]\n", list("*a", 6_000)), TEXTS);
        check(&format!("? &a {long}\n: 1\n? b\n: [{}]\n", list("{*a : 1}", 6_000)), TEXTS);
        check(
            &format!("a: &a \"{long}\"\nb: &b [{0}]\nc: [{1}]\n", list("*a", 9), list("*b", 9)),
            TEXTS,
        );
        let nested = "&n [".repeat(100);
        let ends = "]".repeat(100);
        check(&format!("{nested}\"{long}\"{ends}"), TEXTS);
        check(&format!("{nested}{}{ends}", list("1", 1_000)), TOO_COSTLY);
        check(&format!("%TAG !e! tag:a.b,{long}\n---\n[{}]\n", list("!e!c 1", 5_000)), TEXTS);
        check(&format!("a: &a [{}]\nb: [{}]\n", list("1", 1_000), list("*a", 39)), TOO_COSTLY);
        check("a: &a [*a]\n", "a value that has no JSON form");
        check(&format!("a: \"{}\"\n", "x".repeat(190 << 10)), "");
    }
}
