//! The scale of the chart: sessions are wide, pauses between them are narrow.
//!
//! With a linear axis, a quiet day between two bursts would leave each of them a pixel. With many
//! sessions the axis is linear.

use super::sessions::Session;

/// With more sessions, the axis is linear.
const SEGMENTS_MAX: usize = 7;
/// Width of a pause.
const PAUSE: f64 = 26.0;
/// The minimum width of each segment, as a share of an equal part.
const SHARE_MIN: f64 = 0.45;
/// Width of a bar.
const BIN: f64 = 11.0;
/// Padding on both sides of a session, as a share of its length.
const MARGIN: f64 = 0.03;
/// Minimum padding on both sides of a session. Microseconds.
const MARGIN_MIN: i64 = 50_000;

/// A linear segment of the axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) left: f64,
    pub(super) right: f64,
}

/// The axis.
pub(super) struct Scale {
    pub(super) segments: Vec<Segment>,
}

/// The position and the time range of a bar.
pub(super) struct Bin {
    pub(super) left: f64,
    pub(super) width: f64,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Scale {
    /// Creates an axis from `left` to `right` for the times from `first` to `last`.
    pub(super) fn new(sessions: &[Session], first: i64, last: i64, left: f64, right: f64) -> Self {
        let mut ranges: Vec<(i64, i64)> = sessions
            .iter()
            .map(|session| padded(session.first.as_micros(), session.last.as_micros()))
            .collect();
        if ranges.is_empty() || ranges.len() > SEGMENTS_MAX {
            ranges = vec![padded(first, last)];
        }
        // Signals may reach beyond the activity.
        if let Some(range) = ranges.first_mut() {
            range.0 = range.0.min(first);
        }
        if let Some(range) = ranges.last_mut() {
            range.1 = range.1.max(last);
        }
        let parts = number(ranges.len());
        let width = right - left - PAUSE * (parts - 1.0);
        let roots: Vec<f64> = ranges.iter().map(|(from, to)| length(*from, *to).sqrt()).collect();
        let sum: f64 = roots.iter().sum();
        let mut x = left;
        let mut segments = Vec::new();
        for ((from, to), root) in ranges.into_iter().zip(roots) {
            let share = SHARE_MIN / parts + (1.0 - SHARE_MIN) * root / sum;
            segments.push(Segment { from, to, left: x, right: x + width * share });
            x += width * share + PAUSE;
        }
        Self { segments }
    }

    /// The coordinate of a time.
    pub(super) fn x(&self, time: i64) -> f64 {
        let mut before: Option<&Segment> = None;
        for segment in &self.segments {
            if time < segment.from {
                return before
                    .map_or(segment.left, |before| f64::midpoint(before.right, segment.left));
            }
            if time <= segment.to {
                let share = length(segment.from, time) / length(segment.from, segment.to);
                return segment.left + share.min(1.0) * (segment.right - segment.left);
            }
            before = Some(segment);
        }
        before.map_or(0.0, |segment| segment.right)
    }

    /// The bars.
    pub(super) fn bins(&self) -> Vec<Bin> {
        let mut bins = Vec::new();
        for segment in &self.segments {
            let count = count((segment.right - segment.left) / BIN);
            let width = (segment.right - segment.left) / number(count);
            let time = |index: usize| {
                let offset = i128::from(segment.to - segment.from) * index as i128 / count as i128;
                segment.from.saturating_add(i64::try_from(offset).unwrap_or(0))
            };
            bins.extend((0..count).map(|index| Bin {
                left: segment.left + number(index) * width,
                width,
                from: time(index),
                to: time(index + 1),
            }));
        }
        bins
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "it is a margin")]
fn padded(from: i64, to: i64) -> (i64, i64) {
    let margin = ((to - from) as f64 * MARGIN) as i64 + MARGIN_MIN;
    (from.saturating_sub(margin), to.saturating_add(margin))
}

#[expect(clippy::cast_precision_loss, reason = "a pixel is wider than the error")]
fn length(from: i64, to: i64) -> f64 {
    to.saturating_sub(from).max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "it counts bars")]
fn number(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a small width")]
fn count(share: f64) -> usize {
    share.round().max(1.0) as usize
}

#[cfg(test)]
mod tests {
    use event::Timestamp;

    use super::*;

    const HOUR: i64 = 3600 * 1_000_000;

    fn session(from: i64, to: i64) -> Session {
        let time = Timestamp::from_micros;
        Session { first: time(from), last: time(to), count: 1 }
    }

    #[test]
    fn a_pause_is_narrow_and_times_stay_in_order() {
        let sessions = [session(0, HOUR / 60), session(20 * HOUR, 21 * HOUR)];
        let scale = Scale::new(&sessions, 0, 21 * HOUR, 100.0, 1100.0);
        let times = [0, HOUR / 60, 10 * HOUR, 20 * HOUR, 21 * HOUR];
        let positions = times.map(|time| scale.x(time));
        assert!(
            positions.is_sorted() && positions[0] >= 100.0 && positions[4] <= 1100.0,
            "{positions:?}"
        );
        assert!(
            positions[1] - positions[0] > 100.0 && positions[3] - positions[1] < 80.0,
            "{positions:?}"
        );
        let bins = scale.bins();
        assert!((80..100).contains(&bins.len()), "{}", bins.len());
        assert!(bins.windows(2).all(|pair| pair[0].to <= pair[1].from));
    }

    #[test]
    fn many_sessions_have_a_linear_axis() {
        let sessions: Vec<Session> =
            (0..20).map(|hour| session(hour * HOUR, hour * HOUR + 1)).collect();
        let scale = Scale::new(&sessions, 0, 19 * HOUR, 0.0, 1000.0);
        assert_eq!(scale.segments.len(), 1);
    }
}
