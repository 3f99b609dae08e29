//! Distinct names in the events of a signal: the first names, and their number.

use crate::engine::codec::{CheckpointError, Decoder, Saved};
use crate::engine::digest::Digest;
use crate::engine::settings::{ACTOR_VALUES_MAX, NAMES_COUNTED_MAX};

use super::counter::Counter;

/// Maximum number of names that a title lists; a longer list becomes the first name and a number.
const SHOWN_MAX: u64 = 3;

/// The first names, oldest first, and the number of all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Names {
    listed: Vec<String>,
    counter: Counter,
}

impl Names {
    /// Adds a name, unless it is empty.
    pub(crate) fn add(&mut self, name: &str) {
        if name.is_empty() || self.listed.iter().any(|known| known == name) {
            return;
        }
        let is_new = self.counter.add(Digest::of([name.as_bytes()]), NAMES_COUNTED_MAX);
        if is_new && self.listed.len() < ACTOR_VALUES_MAX {
            self.listed.push(name.to_owned());
        }
    }

    /// The first names, oldest first.
    pub(crate) fn listed(&self) -> &[String] {
        &self.listed
    }

    /// The number of distinct names.
    pub(crate) fn count(&self) -> u64 {
        self.counter.count()
    }

    /// A short list for a title: `alice`, `alice and bob`, `alice and 99 others`.
    pub(crate) fn short(&self) -> String {
        match self.listed.as_slice() {
            [] => String::new(),
            [first, ..] if self.count() > SHOWN_MAX => {
                format!("{first} and {} others", self.count() - 1)
            }
            [name] => name.clone(),
            [names @ .., last] => format!("{} and {last}", names.join(", ")),
        }
    }

    /// All listed names, and the number of the others.
    pub(crate) fn long(&self) -> String {
        with_others(self.listed.join(", "), self.count() - self.listed.len() as u64)
    }
}

/// Appends the number of names that a list omits.
pub(crate) fn with_others(list: String, others: u64) -> String {
    match others {
        0 => list,
        1 => list + " and 1 other",
        others => format!("{list} and {others} others"),
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(list: I) -> Self {
        let mut names = Self::default();
        list.into_iter().for_each(|name| names.add(name));
        names
    }
}

impl Saved for Names {
    fn save(&self, to: &mut Vec<u8>) {
        self.listed.save(to);
        self.counter.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let listed = Vec::<String>::load(from)?;
        if from.version < 2 {
            // Version 1 saved a list without the number of all names.
            return Ok(listed.iter().map(String::as_str).collect());
        }
        let counter = Counter::load(from)?;
        if counter.count() < listed.len() as u64 {
            return Err(CheckpointError::Damaged("a list has more names than it counts"));
        }
        Ok(Self { listed, counter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_names_becomes_a_name_and_a_number() {
        let names = |count: u32| {
            let names: Vec<String> = (0..count).map(|number| format!("u{number}")).collect();
            names.iter().chain(&names).map(String::as_str).collect::<Names>()
        };
        for (count, short, long) in [
            (0, "", ""),
            (1, "u0", "u0"),
            (2, "u0 and u1", "u0, u1"),
            (3, "u0, u1 and u2", "u0, u1, u2"),
            (4, "u0 and 3 others", "u0, u1, u2, u3"),
            (11, "u0 and 10 others", "u0, u1, u2, u3, u4, u5, u6, u7, u8, u9 and 1 other"),
            (100, "u0 and 99 others", "u0, u1, u2, u3, u4, u5, u6, u7, u8, u9 and 90 others"),
        ] {
            assert_eq!(
                (names(count).short().as_str(), names(count).long().as_str()),
                (short, long)
            );
        }
    }
}
