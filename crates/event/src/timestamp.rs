//! A point in time with the precision that audit events have.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since the Unix epoch, UTC. Written as RFC 3339 with six decimals and `Z`, as
/// Kubernetes' `MicroTime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time")]
pub struct TimestampError(String);

impl Timestamp {
    /// No time: Go's zero value, which its encoder writes as null.
    pub const UNSET: Self = Self(-62_135_596_800_000_000);

    /// The time so many microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 with any offset; what is finer than a microsecond is cut off.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        text.parse::<jiff::Timestamp>()
            .map(|time| Self(time.as_microsecond()))
            .map_err(|_| TimestampError(text.to_owned()))
    }
}

impl Timestamp {
    /// The RFC 3339 form as a JSON string, unless the time is not set.
    pub(crate) fn quoted(self) -> Option<[u8; 29]> {
        (self != Self::UNSET).then(|| self.text())
    }

    /// The 27 characters of the RFC 3339 form in quotes, without a way through the formatting
    /// machinery: it is written several times in each event. Years outside of 0 to 9999 have none:
    /// they are cut.
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
        for (place, number) in pairs {
            text[place..place + 2].copy_from_slice(&two_digits(number));
        }
        text
    }
}

const DAY_MICROS: i64 = 86_400_000_000;
const MICROS_MIN: i64 = -62_167_219_200_000_000;
const MICROS_MAX: i64 = 253_402_300_799_999_999;

/// A number below 100.
fn two_digits(number: u32) -> [u8; 2] {
    let [number, ..] = number.to_le_bytes();
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

/// Year, month and day of a day counted from the epoch, in the Gregorian calendar. The year is
/// taken to begin in March, so that the leap day is its last, and days are counted from an era before
/// the year 0, so that none is negative.
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
    fn text_agrees_with_the_calendar_of_jiff() {
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
    fn offsets_and_fine_fractions_are_read() {
        let expected = Timestamp::parse("2026-02-28T23:30:00.123456Z").unwrap();
        assert_eq!(Timestamp::parse("2026-03-01T01:00:00.123456789+01:30"), Ok(expected));
        assert!(Timestamp::parse("yesterday").is_err());
    }
}
