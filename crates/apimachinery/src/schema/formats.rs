//! String formats: RFC 3339 times and Go durations. Unknown formats accept every string.

/// Whether `text` has the format.
pub(super) fn accepts(format: &str, text: &str) -> bool {
    match format {
        "date-time" => is_date_time(text),
        "duration" => is_duration(text),
        _ => true,
    }
}

fn is_date_time(text: &str) -> bool {
    // The parser accepts more than RFC 3339, so the shape is checked separately.
    let shape = text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b't'));
    shape && event::Timestamp::parse(text).is_ok()
}

/// Whether `text` is a Go duration, for example `1h30m`, `-1.5s` or `0`.
fn is_duration(text: &str) -> bool {
    match text.strip_prefix('-') {
        Some(positive) => !positive.starts_with('+') && crate::duration::parse(positive).is_some(),
        None => crate::duration::parse(text).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_what_go_parses() {
        for valid in ["1h30m", "90s", "-1.5h", "0", "100ms", "5µs", "1h0.5s"] {
            assert!(accepts("duration", valid), "{valid}");
        }
        for invalid in ["", "5", "5 m", "h", "1d", "1..5s", "-"] {
            assert!(!accepts("duration", invalid), "{invalid}");
        }
        assert!(accepts("date-time", "2026-11-24T21:00:00Z"));
        assert!(accepts("date-time", "2026-11-24T21:00:00.5+01:00"));
        assert!(!accepts("date-time", "2026-11-24"));
        assert!(!accepts("date-time", "2026-11-24 21:00:00Z"));
    }
}
