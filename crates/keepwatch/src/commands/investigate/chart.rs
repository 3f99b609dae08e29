//! The chart of the page: rows by kind of request over time, and the signals above them, as inline
//! SVG.
//!
//! There is no script: CSS shows the tooltip under the pointer. The page defines the colors.

use std::fmt::Write as _;

use event::Signal;

use super::classify::Class;
use super::density::Counts;
use super::scale::{Bin, Scale};
use super::sessions::Session;
use super::text::counted;
use super::ticks;
use super::timeline::Timeline;
use crate::printable::{html, shortened};

/// The size of the drawing.
const WIDTH: f64 = 1120.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const LANE: f64 = 56.0;
const LANE_GAP: f64 = 10.0;
const ROW: f64 = 21.0;
const AXIS: f64 = 34.0;
/// Rows of signals; further signals share the last row.
const ROWS_MAX: usize = 16;
/// Signals that are drawn.
const SIGNALS_MAX: usize = 60;
/// Width for the label of a signal.
const LABEL: f64 = 300.0;
/// Width for the label of a tick.
const TICK: f64 = 88.0;

/// The complete drawing; `None` if there is nothing to draw.
pub(crate) fn svg(timeline: &Timeline) -> Option<String> {
    let mut drawing = String::new();
    // Writing to a string does not fail.
    draw(timeline, &mut drawing)?.unwrap_or_default();
    Some(drawing)
}

fn draw(timeline: &Timeline, to: &mut String) -> Option<std::fmt::Result> {
    let (first, last) = timeline.range()?;
    let sessions: Vec<Session> = timeline.sessions.all().copied().collect();
    let (first, last) = (first.as_micros(), last.as_micros());
    let scale = Scale::new(&sessions, first, last, LEFT, WIDTH - RIGHT);
    let signals: Vec<&Signal> =
        timeline.signals.iter().take(SIGNALS_MAX).map(|signal| &**signal).collect();
    let rows = rows(&signals, &scale);
    let row_count = rows.iter().max().map_or(0, |row| row + 1);
    let lanes_top = TOP + offset(row_count, ROW) + if row_count > 0 { 14.0 } else { 0.0 };
    let bottom = lanes_top + offset(Class::ALL.len(), LANE + LANE_GAP);
    let intervals = scale.bins();
    let starts: Vec<i64> = intervals.iter().map(|bin| bin.from).collect();
    let counts = timeline.density.bins(&starts);
    let bins: Vec<(&Bin, &Counts)> = intervals.iter().zip(&counts).collect();
    let drawn = (|| {
        writeln!(
            to,
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
             aria-label=\"Requests over time by kind, with signals\">",
            bottom + AXIS
        )?;
        to.push_str(DEFINITIONS);
        axis(&scale, lanes_top, bottom, to)?;
        lanes(timeline, &bins, lanes_top, to)?;
        tooltips(&bins, lanes_top, bottom, to)?;
        for (signal, row) in signals.iter().zip(&rows) {
            marker(signal, *row, &scale, bottom, to)?;
        }
        writeln!(to, "</svg>")
    })();
    Some(drawn)
}

/// Refused requests are hatched.
const DEFINITIONS: &str = "<defs>\
    <pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
    patternTransform=\"rotate(45)\"><rect width=\"5\" height=\"5\" class=\"hatch-ground\"/>\
    <rect width=\"2.2\" height=\"5\" class=\"hatch-line\"/></pattern></defs>\n";

/// The row of each signal: the first row in which it does not overlap another signal.
fn rows(signals: &[&Signal], scale: &Scale) -> Vec<usize> {
    let mut ends: Vec<f64> = Vec::new();
    let mut rows = Vec::new();
    for signal in signals {
        let start = scale.x(signal.spec.first_seen.as_micros());
        let end = scale.x(signal.spec.last_seen.as_micros());
        // The label is beside the bar, on one of its sides.
        let (start, end) = if label_is_left(start, end) {
            (start - LABEL, end + 16.0)
        } else {
            (start, end + LABEL)
        };
        let free = ends.iter().position(|busy| *busy <= start);
        let row = free.unwrap_or(ends.len()).min(ROWS_MAX - 1);
        if row == ends.len() {
            ends.push(end);
        } else if let Some(busy) = ends.get_mut(row) {
            *busy = busy.max(end);
        }
        rows.push(row);
    }
    rows
}

fn axis(scale: &Scale, top: f64, bottom: f64, to: &mut String) -> std::fmt::Result {
    let mut day = String::new();
    for segment in &scale.segments {
        let width = segment.right - segment.left;
        writeln!(
            to,
            "<rect class=\"session\" x=\"{:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
            segment.left,
            bottom - top
        )?;
        for tick in ticks::between(segment.from, segment.to, width / TICK) {
            let x = scale.x(tick.at);
            writeln!(
                to,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 14.0,
                html(&tick.label)
            )?;
            if let Some(new) = tick.day.filter(|new| *new != day) {
                writeln!(
                    to,
                    "<text class=\"tick day\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                    bottom + 28.0,
                    html(&new)
                )?;
                day = new;
            }
        }
    }
    for pair in scale.segments.windows(2) {
        let [before, after] = pair else { continue };
        let middle = f64::midpoint(before.right, after.left);
        let pause = ticks::length(after.from.saturating_sub(before.to));
        writeln!(
            to,
            "<path class=\"pause\" d=\"M{middle:.1} {top}V{bottom}\"/>\
             <text class=\"tick pause\" transform=\"translate({:.1} {:.1}) rotate(-90)\">{pause} without requests</text>",
            middle + 4.0,
            f64::midpoint(top, bottom)
        )?;
    }
    Ok(())
}

/// One lane for each kind: its name, its sum, and a bar for each interval.
fn lanes(
    timeline: &Timeline,
    bins: &[(&Bin, &Counts)],
    top: f64,
    to: &mut String,
) -> std::fmt::Result {
    let highest = bins.iter().flat_map(|(_, counts)| counts.all).max().unwrap_or(1).max(1);
    for (index, (class, sum)) in Class::ALL.into_iter().zip(timeline.by_class).enumerate() {
        let base = top + offset(index, LANE + LANE_GAP) + LANE;
        writeln!(
            to,
            "<text class=\"lane\" x=\"0\" y=\"{:.1}\">{}</text>\
             <text class=\"sum\" x=\"0\" y=\"{:.1}\">{sum}</text>\
             <line class=\"base\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{base}\" y2=\"{base}\"/>",
            base - 24.0,
            class.title(),
            base - 6.0,
            WIDTH - RIGHT
        )?;
        for (bin, counts) in bins {
            let count = |counts: &[u64]| counts.get(index).copied().unwrap_or(0);
            let (all, refused) = (count(&counts.all), count(&counts.refused));
            if all == 0 {
                continue;
            }
            let (x, width) = (bin.left, bin.width);
            let (height, hatched) = (height(all, highest), height(refused, highest));
            writeln!(
                to,
                "<rect class=\"bar {}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"1.5\"/>",
                class.as_str(),
                x + 1.0,
                base - height,
                width - 2.0
            )?;
            if refused > 0 {
                writeln!(
                    to,
                    "<rect class=\"refused\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{hatched:.1}\" rx=\"1.5\"/>",
                    x + 1.0,
                    base - hatched,
                    width - 2.0
                )?;
            }
        }
    }
    Ok(())
}

/// The tooltips of the intervals.
fn tooltips(bins: &[(&Bin, &Counts)], top: f64, bottom: f64, to: &mut String) -> std::fmt::Result {
    for (bin, counts) in bins.iter().filter(|(_, counts)| counts.all.iter().any(|count| *count > 0))
    {
        let mut lines = vec![ticks::span(bin.from, bin.to)];
        for (index, class) in Class::ALL.into_iter().enumerate() {
            let count = |counts: &[u64]| counts.get(index).copied().unwrap_or(0);
            let (all, refused) = (count(&counts.all), count(&counts.refused));
            if all > 0 {
                let aside =
                    if refused > 0 { format!(", {refused} refused") } else { String::new() };
                lines.push(format!("{}: {all}{aside}", class.title()));
            }
        }
        writeln!(
            to,
            "<g class=\"spot\"><rect class=\"area\" x=\"{:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            bin.left,
            bin.width,
            bottom - top
        )?;
        tip(&lines, bin.left + bin.width / 2.0, top + 4.0, 230.0, to)?;
        writeln!(to, "</g>")?;
    }
    Ok(())
}

/// A signal: from its first to its last event, with its title.
fn marker(
    signal: &Signal,
    row: usize,
    scale: &Scale,
    bottom: f64,
    to: &mut String,
) -> std::fmt::Result {
    let spec = &signal.spec;
    let severity = spec.severity.as_str();
    let (x, end) = (scale.x(spec.first_seen.as_micros()), scale.x(spec.last_seen.as_micros()));
    let y = TOP + offset(row, ROW) + 8.0;
    let is_left = label_is_left(x, end);
    let (label_x, anchor) = if is_left { (x - 12.0, "end") } else { (end + 12.0, "start") };
    writeln!(
        to,
        "<g class=\"signal {severity}\"><line class=\"drop\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{bottom}\"/>\
         <rect class=\"span\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"6\" rx=\"3\"/>\
         <path class=\"mark\" d=\"M{x:.1} {:.1}l7 7l-7 7l-7 -7z\"/>\
         <text class=\"name\" x=\"{label_x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        y - 3.0,
        (end - x).max(1.0),
        y - 7.0,
        y + 4.0,
        html(&shortened(&spec.rule.title, 48))
    )?;
    let lines = [
        format!("{severity}: {}", shortened(&spec.title, 60)),
        format!("{}, {}", counted(spec.count, "event"), signal.state.as_str()),
        ticks::span(spec.first_seen.as_micros(), spec.last_seen.as_micros()),
    ];
    tip(&lines, x + 20.0, y + 14.0, 430.0, to)?;
    writeln!(to, "</g>")
}

/// A box with lines, inside the drawing.
fn tip(lines: &[String], x: f64, y: f64, width: f64, to: &mut String) -> std::fmt::Result {
    let x = (x + 8.0).min(WIDTH - width - 4.0).max(0.0);
    let height = offset(lines.len(), 17.0) + 12.0;
    writeln!(
        to,
        "<g class=\"tip\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
    )?;
    for (index, line) in lines.iter().enumerate() {
        let class = if index == 0 { "head" } else { "body" };
        writeln!(
            to,
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 10.0,
            y + 19.0 + offset(index, 17.0),
            html(line)
        )?;
    }
    writeln!(to, "</g>")
}

/// The height of a bar. It grows with the square root, so that small counts are visible beside
/// large ones.
#[expect(clippy::cast_precision_loss, reason = "a pixel is higher than the error")]
fn height(count: u64, highest: u64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    ((count as f64).sqrt() / (highest as f64).sqrt() * (LANE - 6.0)).max(5.0)
}

/// Whether the label is left of the bar: only if there is no room at its right.
fn label_is_left(start: f64, end: f64) -> bool {
    end > WIDTH - RIGHT - LABEL && start > LEFT + LABEL
}

#[expect(clippy::cast_precision_loss, reason = "rows and columns are few")]
fn offset(count: usize, step: f64) -> f64 {
    count as f64 * step
}
