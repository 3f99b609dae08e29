//! A point in time with the precision of audit events.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time in UTC, in microseconds since the Unix epoch. Formatted as RFC 3339 with six decimals and
/// `Z`, like Kubernetes' `MicroTime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The error for a text that is not a time in RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time")]
pub struct TimestampError(String);

impl Timestamp {
    /// An unset time: Go's zero value, which its encoder writes as null.
    pub const UNSET: Self = Self(-62_135_596_800_000_000);

    /// The time `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Parse RFC 3339 with any offset, and the variants that Go accepts. Digits beyond microseconds
    /// are dropped. The year must be between 0 and 9999.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let micros = parse_as_go(text).or_else(|| {
            let time = text.parse::<jiff::Timestamp>().ok()?;
            Some(time.as_microsecond())
        });
        let in_range = micros.filter(|micros| (MICROS_MIN..=MICROS_MAX).contains(micros));
        in_range.map(Self).ok_or_else(|| TimestampError(text.to_owned()))
    }
}

/// Parse a time as Go does, to microseconds since the Unix epoch: Go accepts an hour of one digit,
/// a comma before the fraction, and the last day of the year 9999, which `jiff` does not support.
fn parse_as_go(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let year = digits(date.get(..4)?)?;
    let month = digits(date.get(4..)?.strip_prefix('-')?.get(..2)?)?;
    let day = digits(date.get(7..)?.strip_prefix('-')?)?;
    if date.len() != 10 || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let (hour, rest) = time.split_once(':')?;
    let (minute, rest) = rest.split_once(':')?;
    let (second, rest) = (rest.get(..2)?, rest.get(2..)?);
    let fraction = rest.strip_prefix(['.', ','])?;
    let len = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, zone) = fraction.split_at_checked(len)?;
    let has_length = (1..=2).contains(&hour.len()) && minute.len() == 2 && len > 0;
    let (hour, minute, second) = (digits(hour)?, digits(minute)?, digits(second)?);
    if !has_length || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = digits(&format!("{:0<6}", fraction.get(..len.min(6))?))?;
    let seconds = day_number(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - offset_seconds(zone)?) * 1_000_000 + micros)
}

/// Parse a number that consists of digits only.
fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Parse `Z`, or an offset like `+01:30`, to seconds.
fn offset_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, text) = match zone.split_at_checked(1)? {
        ("+", text) => (1, text),
        ("-", text) => (-1, text),
        _ => return None,
    };
    let (hours, minutes) = text.split_once(':')?;
    let has_length = hours.len() == 2 && minutes.len() == 2;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (has_length && hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days since the Unix epoch; the inverse of [`civil`].
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl Timestamp {
    /// Formats the time as RFC 3339 in whole seconds with `Z`, like Kubernetes' `Time`. Fractions of
    /// a second are dropped.
    pub fn to_rfc3339_seconds(self) -> String {
        let mut text = self.to_string();
        text.truncate(SECONDS_LEN);
        text.push('Z');
        text
    }

    /// The time in RFC 3339 as a JSON string; `None` if it is not set.
    pub(crate) fn quoted(self) -> Option<[u8; 29]> {
        (self != Self::UNSET).then(|| self.text())
    }

    /// The 27 characters of the time in RFC 3339, in quotes. Written without the formatting
    /// machinery, because each event contains several times. Years outside of 0 to 9999 are
    /// clamped.
    fn text(self) -> [u8; 29] {
        let mut text = *b"\"0000-00-00T00:00:00.000000Z\"";
        let micros = self.0.clamp(MICROS_MIN, MICROS_MAX);
        let (days, of_day) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
        let (year, month, day) = civil(days);
        let seconds = u32::try_from(of_day / 1_000_000).unwrap_or_default();
        let micros = u32::try_from(of_day % 1_000_000).unwrap_or_default();
        let pairs = [
            (1, year / 100),
            (3, year % 100),
            (6, month),
            (9, day),
            (12, seconds / 3600),
            (15, seconds / 60 % 60),
            (18, seconds % 60),
            (21, micros / 10_000),
            (23, micros / 100 % 100),
            (25, micros % 100),
        ];
        for (start, number) in pairs {
            text[start..start + 2].copy_from_slice(&two_digits(number));
        }
        text
    }
}

/// Length of a date and a time of day in whole seconds.
const SECONDS_LEN: usize = "0000-00-00T00:00:00".len();
const DAY_MICROS: i64 = 86_400_000_000;
const MICROS_MIN: i64 = -62_167_219_200_000_000;
const MICROS_MAX: i64 = 253_402_300_799_999_999;

/// The two digits of a number below 100.
fn two_digits(number: u32) -> [u8; 2] {
    let [number, ..] = number.to_le_bytes();
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

/// The year, month and day of a day since the Unix epoch, in the Gregorian calendar. The
/// calculation uses years that begin in March, so that the leap day is the last one, and an era
/// before the year 0, so that no number is negative.
fn civil(days: i64) -> (u32, u32, u32) {
    let days = u32::try_from(days + 719_468 + 146_097).unwrap_or_default();
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2) - 400, month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).unwrap_or_default().trim_matches('"'))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatted_times_agree_with_jiff() {
        let mut micros = MICROS_MIN;
        while micros <= jiff::Timestamp::MAX.as_microsecond() {
            let time = Timestamp(micros);
            let expected = jiff::Timestamp::from_microsecond(micros).unwrap();
            assert_eq!(time.to_string(), format!("{expected:.6}"));
            assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
            micros += 86_399_123_457 * 97;
        }
    }

    #[test]
    fn offsets_and_fine_fractions_are_parsed() {
        let expected = Timestamp::parse("2026-02-28T23:30:00.123456Z").unwrap();
        assert_eq!(Timestamp::parse("2026-03-01T01:00:00.123456789+01:30"), Ok(expected));
    }

    #[test]
    fn times_of_go_and_of_rfc_3339_are_read() {
        for (text, expected) in [
            ("9999-12-31T23:59:59.999999Z", Some("9999-12-31T23:59:59.999999Z")),
            ("9999-12-31T22:59:59.000000-01:00", Some("9999-12-31T23:59:59.000000Z")),
            ("0000-01-01T00:00:00.000000Z", Some("0000-01-01T00:00:00.000000Z")),
            ("0000-02-29T00:00:00.000001Z", Some("0000-02-29T00:00:00.000001Z")),
            ("2026-01-01T3:04:05,123456+01:00", Some("2026-01-01T02:04:05.123456Z")),
            ("2026-01-01T03:04:05Z", Some("2026-01-01T03:04:05.000000Z")),
            ("2026-01-01T03:04:05.1Z", Some("2026-01-01T03:04:05.100000Z")),
            ("2026-01-01T03:04:05.1234567891+24:00", Some("2025-12-31T03:04:05.123456Z")),
            ("9999-12-31T23:00:00.000000-05:00", None),
            ("0000-01-01T00:00:00.000000+01:00", None),
            ("2026-02-29T00:00:00.000000Z", None),
            ("2026-13-01T00:00:00.000000Z", None),
            ("2026-01-01T24:00:00.000000Z", None),
            ("2026-01-01T00:00:00.000000+0é", None),
            ("+026-01-01T00:00:00.000000Z", None),
            ("2026-01-01T00:00:00.000000", None),
            ("", None),
            ("yesterday", None),
        ] {
            let formatted = Timestamp::parse(text).ok().map(|time| time.to_string());
            assert_eq!(formatted.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn whole_seconds_have_no_fraction() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_426_200_999_999, "2026-11-23T09:30:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_rfc3339_seconds(), expected);
        }
    }
}
