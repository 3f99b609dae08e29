//! Compares cron expressions: whether a schedule runs more rarely than before.
//!
//! The measure is the longest time between two runs; with equal times, the number of runs. Read are
//! the five fields of cron, six with seconds in front, the descriptors (`@daily`, and `@every 6h`),
//! and K8up's descriptors with a random time (`@daily-random`).
//!
//! Deliberately absent: the meaning of time zones, and `L`, `W` and `#`, which are not understood.

use super::duration;

/// Maximum length of an expression, in bytes.
const LEN_MAX: usize = 256;
const MINUTES_OF_DAY: u32 = 24 * 60;
/// The days of 28 years, after which days of the week and leap years repeat.
const DAYS_OF_CYCLE: u32 = 28 * 365 + 7;
const DAYS_OF_MONTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Descriptors, with the expressions for which they are.
const DESCRIPTORS: [(&str, &str); 7] = [
    ("yearly", "0 0 1 1 *"),
    ("annually", "0 0 1 1 *"),
    ("monthly", "0 0 1 * *"),
    ("weekly", "0 0 * * 0"),
    ("daily", "0 0 * * *"),
    ("midnight", "0 0 * * *"),
    ("hourly", "0 * * * *"),
];

/// How often a schedule runs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frequency {
    /// The longest time between two runs, in minutes; infinite without runs.
    gap: f64,
    /// Runs in 28 years.
    runs: f64,
}

/// Whether the first expression runs more rarely than the second. It does if one of two different
/// texts is not understood, or if the time zone or the number of fields changed: whoever writes the
/// first must not choose that it is not compared.
pub(crate) fn is_rarer(new: &str, old: &str) -> bool {
    if new == old {
        return false;
    }
    let is_same_form = form(new) == form(old);
    let (Some(new), Some(old), true) = (frequency(new), frequency(old), is_same_form) else {
        return true;
    };
    new.gap > old.gap || (new.gap >= old.gap && new.runs < old.runs)
}

/// The time zone, and whether there are seconds.
fn form(text: &str) -> (Option<&str>, bool) {
    let (zone, text) = match text.trim().split_once(' ') {
        Some((zone, rest)) if zone.contains("TZ=") => (Some(zone), rest),
        _ => (None, text),
    };
    (zone, !text.trim_start().starts_with('@') && text.split_whitespace().nth(5).is_some())
}

fn frequency(text: &str) -> Option<Frequency> {
    if text.len() > LEN_MAX {
        return None;
    }
    let mut text = text.trim();
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        text = text.split_once(' ')?.1.trim();
    }
    let Some(descriptor) = text.strip_prefix('@') else { return of_fields(text) };
    if let Some(every) = descriptor.strip_prefix("every ") {
        let gap = duration::seconds(every).filter(|seconds| *seconds > 0.0)? / 60.0;
        let cycle = f64::from(DAYS_OF_CYCLE) * f64::from(MINUTES_OF_DAY);
        return Some(Frequency { gap, runs: cycle / gap });
    }
    // A policy of K10 without a schedule.
    if descriptor == "onDemand" {
        return Some(Frequency { gap: f64::INFINITY, runs: 0.0 });
    }
    let name = descriptor.strip_suffix("-random").unwrap_or(descriptor);
    let (_, fields) = DESCRIPTORS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    of_fields(fields)
}

fn of_fields(text: &str) -> Option<Frequency> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = match fields.as_slice() {
        [_, rest @ ..] if rest.len() == 5 => <[&str; 5]>::try_from(rest).ok()?,
        fields => <[&str; 5]>::try_from(fields).ok()?,
    };
    let calendar = Calendar {
        days: set(days, 1, 31, &[])?,
        months: set(months, 1, 12, &MONTHS)?,
        // Sunday is 0 and 7.
        weekdays: set(weekdays, 0, 7, &WEEKDAYS).map(|days| days | days >> 7)?,
        is_any_day: is_any(days),
        is_any_weekday: is_any(weekdays),
    };
    let (minutes, hours) = (set(minutes, 0, 59, &[])?, set(hours, 0, 23, &[])?);
    let hours = (0..24).filter(move |hour| has(hours, *hour));
    let times: Vec<u32> = hours
        .flat_map(|hour| (0..60).filter(|minute| has(minutes, *minute)).map(move |m| hour * 60 + m))
        .collect();
    Some(calendar.frequency(&times))
}

/// The days of an expression.
struct Calendar {
    days: u64,
    months: u64,
    weekdays: u64,
    is_any_day: bool,
    is_any_weekday: bool,
}

impl Calendar {
    /// The frequency at these minutes of each day, in order.
    fn frequency(&self, times: &[u32]) -> Frequency {
        let never = Frequency { gap: f64::INFINITY, runs: 0.0 };
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return never };
        let within = times.windows(2).filter_map(|pair| pair.get(1)?.checked_sub(*pair.first()?));
        let mut gap = within.max().unwrap_or(0);
        let (mut runs, mut first_day, mut previous) = (0.0, None, None);
        let mut between = |from: u32, to: u32| {
            gap = gap.max((to - from) * MINUTES_OF_DAY + *first - *last);
        };
        let (mut day, mut month, mut year) = (1, 0, 0);
        for index in 0..DAYS_OF_CYCLE {
            // The cycle begins on a Saturday: 1 January 2000.
            if self.has(day, month + 1, (index + 6) % 7) {
                runs += 1.0;
                if let Some(previous) = previous {
                    between(previous, index);
                }
                first_day.get_or_insert(index);
                previous = Some(index);
            }
            let leap = u32::from(month == 1 && year % 4 == 0);
            let len = DAYS_OF_MONTHS.get(month as usize).map_or(31, |days| days + leap);
            (day, month, year) = match (day < len, month < 11) {
                (true, _) => (day + 1, month, year),
                (false, true) => (1, month + 1, year),
                (false, false) => (1, 0, year + 1),
            };
        }
        let (Some(first_day), Some(last_day)) = (first_day, previous) else { return never };
        between(last_day, first_day + DAYS_OF_CYCLE);
        #[expect(clippy::cast_precision_loss, reason = "a day has 1440 minutes")]
        let runs = runs * times.len() as f64;
        Frequency { gap: f64::from(gap), runs }
    }

    /// As in robfig/cron 3, which the tools use: if both days are restricted, one of them is enough.
    fn has(&self, day: u32, month: u32, weekday: u32) -> bool {
        let (is_day, is_weekday) = (has(self.days, day), has(self.weekdays, weekday));
        let is_today = if self.is_any_day || self.is_any_weekday {
            is_day && is_weekday
        } else {
            is_day || is_weekday
        };
        is_today && has(self.months, month)
    }
}

/// Whether a field of days is not restricted. `*/2` is a restriction, unlike in Vixie's cron.
fn is_any(field: &str) -> bool {
    field.split(',').any(|part| matches!(part, "*" | "?" | "*/1" | "?/1"))
}

const fn has(set: u64, value: u32) -> bool {
    set & (1 << value) != 0
}

/// The values of a field, as bits.
fn set(field: &str, min: u32, max: u32, names: &[&str]) -> Option<u64> {
    let mut set = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?))
            }
            None => (part, None),
        };
        let number =
            |text: &str| value(text, names, min).filter(|number| (min..=max).contains(number));
        let (from, to) = match (range, range.split_once('-'), step) {
            ("*" | "?", ..) => (min, max),
            (_, Some((from, to)), _) => (number(from)?, number(to)?),
            // `5/15` runs to the end.
            (_, None, Some(_)) => (number(range)?, max),
            (_, None, None) => (number(range)?, number(range)?),
        };
        if from > to {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        for value in (from..=to).step_by(step) {
            set |= 1 << value;
        }
    }
    Some(set)
}

/// A number or a name of a field; the first name is the minimum.
fn value(text: &str, names: &[&str], min: u32) -> Option<u32> {
    match names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        Some(index) => Some(u32::try_from(index).ok()? + min),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_rarer_if_it_leaves_a_longer_time_without_a_run() {
        for (new, old, expected) in [
            ("0 2 * * 0", "0 2 * * *", true),
            ("0 2 * * *", "0 2 * * 0", false),
            ("0 2 * * *", "0 2 * * *", false),
            ("30 4 * * *", "0 2 * * *", false),
            ("0 2 * * mon", "0 2 * * fri", false),
            ("0 2 * * 7", "0 2 * * sun", false),
            ("0 */12 * * *", "0 */6 * * *", true),
            ("0 0 1 1 *", "@monthly", true),
            // More runs, all of them on one day of the year.
            ("* * 1 1 *", "0 2 * * *", true),
            // Never.
            ("0 0 31 2 *", "0 0 29 2 *", true),
            ("0 0 31 2 *", "0 0 30 2 *", false),
            ("0 0 31 * *", "0 0 1 * *", true),
            // Fewer runs with the same longest time.
            ("0 0,23 * * 1-5", "0 * * * 1-5", true),
            // A day of the month or of the week: both are restricted.
            ("0 0 */2 * 1", "0 0 */2 * *", false),
            ("0 0 * * 1", "0 0 */2 * 1", true),
            ("0 0 1-31 * 1", "0 0 * * *", false),
            ("0 0 1,* * 1", "0 0 * * *", true),
            // Either day is enough.
            ("0 0 1 * 0", "0 0 * * 0", false),
            ("@weekly", "@daily", true),
            ("@daily-random", "@hourly-random", true),
            ("@onDemand", "@yearly", true),
            ("@daily", "@onDemand", false),
            ("@every 24h", "@every 6h", true),
            ("@every 24h", "0 0 * * *", false),
            ("@every 48h", "0 0 * * *", true),
            // With seconds, as in CloudNativePG.
            ("0 0 0 * * 0", "0 0 0 * * *", true),
            ("CRON_TZ=Europe/Berlin 0 2 * * 0", "0 2 * * *", true),
            ("0 2 ? JAN-JUN *", "0 2 * * *", true),
            // Only the new one is understood.
            ("0 2 * * *", "soon", true),
            ("soon", "soon", false),
            // Only the former one is understood.
            ("0 2 L * *", "0 2 * * *", true),
            ("61 2 * * *", "0 2 * * *", true),
            ("0 2 * *", "0 2 * * *", true),
            ("0/0 2 * * *", "0 2 * * *", true),
            ("5-1 2 * * *", "0 2 * * *", true),
            ("@every soon", "0 2 * * *", true),
            ("never", "0 2 * * *", true),
            ("", "0 2 * * *", true),
            // Velero reads neither this zone nor seconds.
            ("TZ=X/Y 0 2 * * *", "0 2 * * *", true),
            ("0 0 2 * * *", "0 2 * * *", true),
            ("TZ=UTC 0 2 * * *", "TZ=UTC 0 2 * * 0", false),
        ] {
            assert_eq!(is_rarer(new, old), expected, "{new}, before {old}");
        }
        assert!(is_rarer(&"0,".repeat(200), "0 2 * * *"));
    }

    #[test]
    fn the_longest_time_between_runs_is_in_minutes() {
        for (text, gap) in [
            ("* * * * *", 1.0),
            ("0 * * * *", 60.0),
            ("0 0 * * *", 1440.0),
            ("0 0 * * 1-5", 3.0 * 1440.0),
            ("0 0 1 * *", 31.0 * 1440.0),
            ("0 0 1 1 *", 366.0 * 1440.0),
            ("@every 90m", 90.0),
        ] {
            assert_eq!(frequency(text).map(|frequency| frequency.gap), Some(gap), "{text}");
        }
    }
}
