//! Parses durations in Go's format: `1h30m`, `500ms`.

/// Units in microseconds; finer parts are truncated.
const UNITS: [(&str, f64); 8] = [
    ("ns", 0.001),
    ("us", 1.0),
    ("\u{b5}s", 1.0),
    ("\u{3bc}s", 1.0),
    ("ms", 1e3),
    ("s", 1e6),
    ("m", 60e6),
    ("h", 3600e6),
];

/// Maximum length of a duration, in bytes.
const LEN_MAX: usize = 64;

/// Parses a duration to microseconds; `None` for other texts.
#[expect(clippy::cast_possible_truncation, reason = "a value out of range is clamped")]
pub(crate) fn micros(text: &str) -> Option<i64> {
    if text.len() > LEN_MAX {
        return None;
    }
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = None;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let (number, remaining) = rest.split_at(rest.find(|c| !is_digit(c))?);
        let unit_len = remaining.find(is_digit).unwrap_or(remaining.len());
        let (unit, remaining) = remaining.split_at(unit_len);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = Some(sum.unwrap_or(0.0) + number.parse::<f64>().ok()? * factor);
        rest = remaining;
    }
    sum.map(|sum| (sum * sign) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_in_go() {
        for (text, expected) in [
            ("1s", Some(1_000_000)),
            ("1h30m", Some(5_400_000_000)),
            ("500ms", Some(500_000)),
            ("1.5m", Some(90_000_000)),
            ("-2s", Some(-2_000_000)),
            ("0", Some(0)),
            ("1\u{b5}s", Some(1)),
            ("1\u{3bc}s", Some(1)),
            ("10", None),
            ("s", None),
            ("1x", None),
            ("1h30", None),
            ("", None),
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
    }
}
