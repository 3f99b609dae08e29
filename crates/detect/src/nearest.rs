//! Finds the known word nearest to an unknown one, for hints.

/// Maximum number of known words that are compared.
const KNOWN_MAX: usize = 1000;
/// Maximum length of a compared word, in bytes: a hint does not justify more time.
const LEN_MAX: usize = 128;

/// The known word with the smallest edit distance, if at most a third of the word changes. A
/// difference in case counts little.
pub fn of<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LEN_MAX {
        return None;
    }
    let lowered = word.to_lowercase();
    let (distance, nearest) = known
        .into_iter()
        .take(KNOWN_MAX)
        .filter(|candidate| candidate.len() <= LEN_MAX)
        .map(|candidate| (distance(&lowered, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= word.chars().count().div_ceil(3)).then_some(nearest)
}

/// Levenshtein distance: insertions, removals and replacements of one character.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, from_char) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, to_char) in row.iter_mut().skip(1).zip(&to) {
            let replaced = diagonal + usize::from(from_char != *to_char);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_found_and_a_distant_one_is_not() {
        let known = ["contains", "startswith", "endswith", "objectRef.resource"];
        for (word, expected) in [
            ("contain", Some("contains")),
            ("startwith", Some("startswith")),
            ("endsWith", Some("endswith")),
            ("objectref.resource", Some("objectRef.resource")),
            ("regex", None),
            ("", None),
        ] {
            assert_eq!(of(word, known), expected, "{word}");
        }
    }
}
