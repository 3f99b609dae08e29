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
    /// The 27 characters of the RFC 3339 form, without a way through the formatting machinery: it
    /// is written several times in each event. Years outside of 0 to 9999 have none: they are cut.
    pub(crate) fn text(self) -> [u8; 27] {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let micros = self.0.clamp(MICROS_MIN, MICROS_MAX);
        let (days, of_day) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
        let (year, month, day) = civil(days);
        let seconds = of_day / 1_000_000;
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], seconds / 3600);
        digits(&mut text[14..16], seconds / 60 % 60);
        digits(&mut text[17..19], seconds % 60);
        digits(&mut text[20..26], of_day % 1_000_000);
        text
    }
}

const DAY_MICROS: i64 = 86_400_000_000;
const MICROS_MIN: i64 = -62_167_219_200_000_000;
const MICROS_MAX: i64 = 253_402_300_799_999_999;

/// Writes a number that is not negative, filled up with zeros.
fn digits(place: &mut [u8], number: i64) {
    let mut number = u32::try_from(number).unwrap_or(0);
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
    }
}

/// Year, month and day of a day counted from the epoch, in the Gregorian calendar. The year is
/// taken to begin in March, so that the leap day is its last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
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
