//! Ticks of the chart's time axis: round times, few enough to be readable.

use event::Timestamp;

/// Distances between ticks, in microseconds.
const STEPS: [i64; 28] = {
    const MS: i64 = 1000;
    const S: i64 = 1000 * MS;
    const M: i64 = 60 * S;
    const H: i64 = 60 * M;
    const D: i64 = 24 * H;
    [
        MS,
        5 * MS,
        10 * MS,
        50 * MS,
        100 * MS,
        200 * MS,
        500 * MS,
        S,
        2 * S,
        5 * S,
        10 * S,
        30 * S,
        M,
        2 * M,
        5 * M,
        10 * M,
        30 * M,
        H,
        2 * H,
        3 * H,
        6 * H,
        12 * H,
        D,
        2 * D,
        7 * D,
        14 * D,
        28 * D,
        91 * D,
    ]
};
const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 3600 * SECOND;

/// A mark on the axis.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) at: i64,
    pub(crate) label: String,
    /// The date, if it differs from that of the previous tick.
    pub(crate) day: Option<String>,
}

/// The ticks between two times, approximately as many as fit.
#[expect(clippy::cast_possible_truncation, reason = "it is a small number")]
pub(crate) fn between(from: i64, to: i64, count_max: f64) -> Vec<Tick> {
    let range = to.saturating_sub(from);
    let steps_max = (count_max as i64).max(1);
    let fits = |step: &i64| range / step <= steps_max;
    let step = STEPS.into_iter().find(fits).unwrap_or(range / steps_max + 1);
    let mut ticks = Vec::new();
    let mut day = String::new();
    let mut at = (from.div_euclid(step) + 1).saturating_mul(step);
    while at <= to {
        let text = Timestamp::from_micros(at).to_string();
        let (date, clock) = text.split_once('T').unwrap_or((&text, ""));
        let length = match step {
            _ if step < SECOND => 12,
            _ if step < 60 * SECOND => 8,
            _ => 5,
        };
        if step >= DAY {
            ticks.push(Tick { at, label: date.to_owned(), day: None });
        } else {
            let label = clock.get(..length).unwrap_or(clock).to_owned();
            let new = (date != day).then(|| date.to_owned());
            date.clone_into(&mut day);
            ticks.push(Tick { at, label, day: new });
        }
        at = at.saturating_add(step);
    }
    ticks
}

/// `4 h`, `3 days`.
pub(crate) fn length(micros: i64) -> String {
    let minutes = micros / (60 * SECOND);
    match minutes {
        ..=119 => format!("{minutes} min"),
        120..=2879 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

/// `2026-11-23 09:30:00 to 09:31:00`.
pub(crate) fn span(from: i64, to: i64) -> String {
    let length = if to.saturating_sub(from) < 10 * SECOND { 23 } else { 19 };
    let text = |at: i64| {
        let text = Timestamp::from_micros(at).to_string();
        text.get(..length).unwrap_or(&text).replace('T', " ")
    };
    let (from, to) = (text(from), text(to));
    let same_day = from.get(..11) == to.get(..11);
    let to = if same_day { to.get(11..).unwrap_or(&to) } else { &to };
    format!("{from} to {to}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let start = Timestamp::parse("2026-11-23T09:58:20Z").unwrap().as_micros();
        for (range, first, day) in [
            (3 * SECOND, "09:58:20.500", Some("2026-11-23")),
            (120 * SECOND, "09:58:30", Some("2026-11-23")),
            (7200 * SECOND, "10:00", Some("2026-11-23")),
            (30 * DAY, "2026-11-26", None),
            (3650 * DAY, "2027-09-27", None),
        ] {
            let ticks = between(start, start + range, 9.0);
            assert!((1..=10).contains(&ticks.len()), "{ticks:?}");
            let label_and_day = (ticks[0].label.as_str(), ticks[0].day.as_deref());
            assert_eq!(label_and_day, (first, day), "{range}");
        }
    }

    #[test]
    fn a_span_within_a_day_contains_the_date_once() {
        let start = Timestamp::parse("2026-11-23T09:58:20Z").unwrap().as_micros();
        assert_eq!(span(start, start + 60 * SECOND), "2026-11-23 09:58:20 to 09:59:20");
        assert_eq!(span(start, start + DAY), "2026-11-23 09:58:20 to 2026-11-24 09:58:20");
        assert_eq!(span(start, start + 1000), "2026-11-23 09:58:20.000 to 09:58:20.001");
    }
}
