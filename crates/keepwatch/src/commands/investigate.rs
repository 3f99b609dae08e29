//! `keepwatch investigate`: the activity of a user, from audit lines or from a server.
//!
//! For all formats, events and signals are collected in a [`Timeline`], which is then rendered as
//! text, as JSON or as a page. Nothing is changed.

mod chart;
mod classify;
mod density;
mod html;
mod html_requests;
mod json;
mod live;
mod related;
mod runs;
mod scale;
mod sessions;
mod text;
mod ticks;
mod timeline;

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use apiserver::Clock as _;
use event::Timestamp;

use crate::args::investigate::{InvestigateCommand, Since, TimelineFormat, UserArgs};
use crate::clock::SystemClock;
use crate::commands::{FAILED, detect};
use crate::input::{Inputs, Progress};
use crate::replay::Replay;
use timeline::{Scope, Timeline};

/// The default time range for a server.
const SINCE_DEFAULT: Duration = Duration::from_hours(24);

/// Runs one of the commands.
pub(crate) fn run(command: &InvestigateCommand) -> Result<ExitCode> {
    let InvestigateCommand::User(args) = command;
    let (timeline, is_complete) = if args.input.inputs.is_empty() {
        (live::read(args, scope(args, Some(SINCE_DEFAULT)))?, true)
    } else {
        from_inputs(args)?
    };
    let mut out = BufWriter::new(io::stdout().lock());
    match args.output {
        TimelineFormat::Text => out.write_all(text::page(&timeline).as_bytes())?,
        TimelineFormat::Html => out.write_all(html::page(&timeline).as_bytes())?,
        TimelineFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &json::document(&timeline))?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// The timeline of the inputs, and whether all of them could be read.
fn from_inputs(args: &UserArgs) -> Result<(Timeline, bool)> {
    let mut replay = Replay::open(&args.rules)?;
    let mut inputs = Inputs::open(&args.input)?;
    let origin = match args.input.inputs.as_slice() {
        [input] if input == "-" => "standard input".to_owned(),
        [input] => input.clone(),
        inputs => format!("{} inputs", inputs.len()),
    };
    let mut timeline = Timeline::new(scope(args, None), origin);
    let mut progress = Progress::new();
    while let Some(next) = inputs.next() {
        timeline.add(&next.event, &next.source);
        replay.process(&next).for_each(|change| timeline.add_signal(&change.signal));
        progress.tick(&inputs);
    }
    replay.finish().for_each(|change| timeline.add_signal(&change.signal));
    progress.finish();
    detect::summarize(&inputs)?;
    timeline.finish();
    Ok((timeline, inputs.tally().failures == 0))
}

/// The user and the time range.
fn scope(args: &UserArgs, since_default: Option<Duration>) -> Scope {
    let end = args.until.unwrap_or_else(|| SystemClock.now());
    let before = |period: Duration| {
        let micros = i64::try_from(period.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(end.as_micros().saturating_sub(micros))
    };
    let since = match args.since {
        Some(Since::At(time)) => Some(time),
        Some(Since::Before(period)) => Some(before(period)),
        None => since_default.map(before),
    };
    Scope { name: args.name.clone(), since, until: args.until }
}
