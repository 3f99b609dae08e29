//! Formats of strings: RFC 3339 times and Go durations. Unknown formats admit everything.

/// Whether `text` is of the format.
pub(super) fn admits(format: &str, text: &str) -> bool {
    match format {
        "date-time" => is_date_time(text),
        "duration" => is_duration(text),
        _ => true,
    }
}

fn is_date_time(text: &str) -> bool {
    // Wider than RFC 3339 where the parser is: the shape is checked beside it.
    let shape = text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b't'));
    shape && event::Timestamp::parse(text).is_ok()
}

/// A Go duration such as `1h30m` or `-1.5s`, or `0`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let digits = rest.strip_suffix(after).unwrap_or_default();
        if digits.is_empty() || digits == "." || digits.matches('.').count() > 1 {
            return false;
        }
        let units = ["ns", "us", "µs", "ms", "s", "m", "h"];
        let Some(next) = units.iter().find_map(|unit| after.strip_prefix(unit)) else {
            return false;
        };
        // `m` also begins `ms`, which stands before it in the list.
        rest = next;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_admit_what_go_reads() {
        for good in ["1h30m", "90s", "-1.5h", "0", "100ms", "5µs", "1h0.5s"] {
            assert!(admits("duration", good), "{good}");
        }
        for bad in ["", "5", "5 m", "h", "1d", "1..5s", "-"] {
            assert!(!admits("duration", bad), "{bad}");
        }
        assert!(admits("date-time", "2026-11-24T21:00:00Z"));
        assert!(admits("date-time", "2026-11-24T21:00:00.5+01:00"));
        assert!(!admits("date-time", "2026-11-24"));
        assert!(!admits("date-time", "2026-11-24 21:00:00Z"));
    }
}
