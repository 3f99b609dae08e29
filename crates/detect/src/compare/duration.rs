//! Compares durations in the notations of backup tools: Go's (`720h0m0s`), days, weeks, months and
//! years (`30d`, `2y5m7d`, `6mo`), and ISO 8601 (`P30D`, `PT12H`).
//!
//! In Go `m` is a minute, in restic and `CloudNativePG` a month. After hours or before seconds it is a
//! minute; before days or after years a month. Alone it is a month if the other duration has days,
//! weeks or years, and otherwise the unit does not matter. In restic's notation (`2y5m7d3h`) it is
//! always a month.

/// Maximum length of a duration, in bytes.
const LEN_MAX: usize = 64;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;
const MONTH: f64 = 30.0 * DAY;
const YEAR: f64 = 365.0 * DAY;
/// Units whose meaning does not depend on others, in seconds, and their rank by length.
const UNITS: [(&str, f64, u8); 11] = [
    ("ns", 1e-9, 0),
    ("us", 1e-6, 0),
    ("\u{b5}s", 1e-6, 0),
    ("\u{3bc}s", 1e-6, 0),
    ("ms", 1e-3, 0),
    ("s", 1.0, 0),
    ("h", HOUR, 2),
    ("d", DAY, 3),
    ("w", 7.0 * DAY, 3),
    ("mo", MONTH, 4),
    ("y", YEAR, 5),
];
/// The rank of hours: `m` behind it is a minute.
const RANK_OF_HOURS: u8 = 2;
/// The rank of days: units from there on are those of a calendar.
const RANK_OF_DAYS: u8 = 3;

/// A duration, in seconds and units that may be minutes or months.
struct Duration {
    seconds: f64,
    minutes_or_months: f64,
    /// Whether it has days, weeks, months or years.
    has_calendar: bool,
}

/// Whether the first duration is shorter than the second. It is if one of two different texts is not
/// understood: whoever writes the first must not choose that it is not compared.
pub(crate) fn is_shorter(new: &str, old: &str) -> bool {
    is_less(new, old, None)
}

/// The same in restic's notation, in which `m` is a month.
pub(crate) fn is_shorter_in_months(new: &str, old: &str) -> bool {
    is_less(new, old, Some(MONTH))
}

fn is_less(new: &str, old: &str, minute_or_month: Option<f64>) -> bool {
    if new == old {
        return false;
    }
    let (Some(new), Some(old)) = (parse(new, minute_or_month), parse(old, minute_or_month)) else {
        return true;
    };
    let unit = if new.has_calendar || old.has_calendar { MONTH } else { MINUTE };
    new.in_seconds(unit) < old.in_seconds(unit)
}

/// A duration in seconds, with `m` as a minute; `None` for other texts.
pub(super) fn seconds(text: &str) -> Option<f64> {
    parse(text, None).map(|duration| duration.in_seconds(MINUTE))
}

impl Duration {
    fn in_seconds(&self, minute_or_month: f64) -> f64 {
        self.minutes_or_months.mul_add(minute_or_month, self.seconds)
    }
}

/// Reads a duration, in which `m` has this length if one is given.
fn parse(text: &str, minute_or_month: Option<f64>) -> Option<Duration> {
    let text = text.trim();
    if text.len() > LEN_MAX {
        return None;
    }
    match text.strip_prefix('P') {
        Some(iso) => of_iso(iso),
        None if text == "0" => {
            Some(Duration { seconds: 0.0, minutes_or_months: 0.0, has_calendar: false })
        }
        None => of_units(text, minute_or_month),
    }
}

fn of_units(text: &str, minute_or_month: Option<f64>) -> Option<Duration> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let parts = parts(rest)?;
    let rank = |unit: &str| UNITS.iter().find(|(name, ..)| *name == unit).map(|(.., rank)| *rank);
    let mut duration = Duration { seconds: 0.0, minutes_or_months: 0.0, has_calendar: false };
    for (index, (number, unit)) in parts.iter().enumerate() {
        let number = sign * number;
        if let (&"m", Some(seconds)) = (unit, minute_or_month) {
            duration.seconds += number * seconds;
            continue;
        }
        if *unit == "m" {
            let before = index.checked_sub(1).and_then(|at| parts.get(at));
            let before = before.and_then(|(_, unit)| rank(unit));
            let after = parts.get(index + 1).and_then(|(_, unit)| rank(unit));
            match (before, after) {
                (Some(RANK_OF_HOURS), _) | (_, Some(0)) => duration.seconds += number * MINUTE,
                (Some(_), _) | (_, Some(_)) => duration.seconds += number * MONTH,
                (None, None) => duration.minutes_or_months += number,
            }
            continue;
        }
        let (_, seconds, rank) = UNITS.iter().find(|(name, ..)| name == unit)?;
        duration.has_calendar |= *rank >= RANK_OF_DAYS;
        duration.seconds += number * seconds;
    }
    Some(duration)
}

/// Splits a text into numbers and units; `None` without any.
fn parts(text: &str) -> Option<Vec<(f64, &str)>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let (number, remaining) = rest.split_at(rest.find(|c| !is_digit(c))?);
        let (unit, remaining) =
            remaining.split_at(remaining.find(is_digit).unwrap_or(remaining.len()));
        parts.push((number.parse::<f64>().ok()?, unit));
        rest = remaining;
    }
    (!parts.is_empty()).then_some(parts)
}

fn of_iso(text: &str) -> Option<Duration> {
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let sum = |text: &str, units: [(&str, f64); 4]| {
        let parts = if text.is_empty() { Vec::new() } else { parts(text)? };
        parts.into_iter().try_fold((0.0, 0), |(sum, count), (number, unit)| {
            let (_, seconds) = units.iter().find(|(name, _)| *name == unit)?;
            Some((sum + number * seconds, count + 1))
        })
    };
    let (days, dates) = sum(date, [("Y", YEAR), ("M", MONTH), ("W", 7.0 * DAY), ("D", DAY)])?;
    let (hours, times) = sum(time, [("H", HOUR), ("M", MINUTE), ("S", 1.0), ("", f64::NAN)])?;
    (dates + times > 0).then_some(Duration {
        seconds: days + hours,
        minutes_or_months: 0.0,
        has_calendar: dates > 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shorter_in_any_notation() {
        for (new, old, expected) in [
            ("24h", "720h0m0s", true),
            ("720h", "720h0m0s", false),
            ("1h30m", "90m", false),
            ("1h29m", "90m", true),
            ("7d", "30d", true),
            ("30d", "4w", false),
            ("3w", "30d", true),
            // CloudNativePG and restic: a month.
            ("30d", "6m", true),
            ("6m", "30d", false),
            ("5m", "6m", true),
            ("1y", "12mo", false),
            ("11mo", "1y", true),
            ("2y5m7d3h", "2y6m", true),
            // Velero stores seconds, so that it is a minute.
            ("30m0s", "24h0m0s", true),
            ("2d1h30m", "2d2h", true),
            ("P7D", "P1M", true),
            ("PT12H", "P1D", true),
            ("P30D", "720h", false),
            ("0", "1s", true),
            ("-1h", "0", true),
            ("500ms", "1s", true),
            ("3600000000\u{3bc}s", "2h", true),
            // Only the former one is understood.
            ("P", "1d", true),
            ("1x", "1d", true),
            ("7", "1d", true),
            ("", "1d", true),
            ("d", "1d", true),
            // Only the new one is understood.
            ("1d", "soon", true),
            ("soon", "soon", false),
        ] {
            assert_eq!(is_shorter(new, old), expected, "{new} {old}");
        }
        let long = format!("{}1h", "0".repeat(100));
        assert!(is_shorter(&long, "2h"));
    }

    #[test]
    fn a_month_of_restic_is_no_minute() {
        for (new, old, expected) in [
            ("20h", "3m", true),
            ("3m", "20h", false),
            ("3m1h", "3m", false),
            ("2m", "3m", true),
            ("89d", "3m", true),
            ("2y5m7d3h", "2y5m7d", false),
            ("soon", "3m", true),
        ] {
            assert_eq!(is_shorter_in_months(new, old), expected, "{new} {old}");
        }
    }
}
