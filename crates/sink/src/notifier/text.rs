//! Cuts texts to a length.

/// Cuts a text to at most `bytes_max` bytes, between characters, and marks the cut.
pub(super) fn truncate(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub("…".len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_truncated_between_characters() {
        for (text, bytes_max, expected) in
            [("abc", 3, "abc"), ("abcd", 3, "…"), ("abcdef", 5, "ab…"), ("ääää", 6, "ä…")]
        {
            assert_eq!(truncate(text, bytes_max), expected);
            assert!(truncate(text, bytes_max).len() <= bytes_max);
        }
    }
}
