//! Finds the known word nearest to an unknown one, for hints.

/// Maximum number of known words that are compared.
const KNOWN_MAX: usize = 1000;
/// Maximum length of a compared word, in bytes: a hint is not worth more time.
const LEN_MAX: usize = 128;

/// The known word with the smallest edit distance, if at most a third of the word changes. A
/// different case counts little.
pub fn of<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LEN_MAX {
        return None;
    }
    let wanted = word.to_lowercase();
    let (distance, found) = known
        .into_iter()
        .take(KNOWN_MAX)
        .filter(|candidate| candidate.len() <= LEN_MAX)
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= word.chars().count().div_ceil(3)).then_some(found)
}

/// Levenshtein distance: insertions, removals and replacements of one character.
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&two) {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
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
