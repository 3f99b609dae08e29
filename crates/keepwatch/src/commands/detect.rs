//! `keepwatch detect`: signals in audit lines from any source, by the server's rules.
//!
//! The server's engine reads the lines, so that events from before Keepwatch was installed, or from
//! other systems, can be searched, and a rule can be tested on real events. Nothing is sent.

mod signals;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::args::detect::{DetectArgs, SignalFormat};
use crate::commands::FAILED;
use crate::input::{Inputs, Progress};
use crate::replay::Replay;
use crate::signal_table;
use crate::terminal::eprint_line;
use crate::usage_error::UsageError;
use signals::Signals;

/// Exit code with `--exit-code`: there are signals.
const SIGNALS: u8 = 3;

/// Reads all inputs to their end and prints the signals.
pub(crate) fn run(args: &DetectArgs) -> Result<ExitCode> {
    if args.input.inputs.is_empty() {
        return Err(UsageError(vec![
            "nothing to read: specify files, folders, s3://BUCKET/PREFIX, or - for standard input"
                .to_owned(),
        ])
        .into());
    }
    let mut replay = Replay::open(&args.rules)?;
    let mut inputs = Inputs::open(&args.input)?;
    let mut signals = Signals::default();
    let mut progress = Progress::new();
    while let Some(next) = inputs.next() {
        replay.process(&next).try_for_each(|change| signals.process(change))?;
        progress.tick(&inputs);
    }
    replay.finish().try_for_each(|change| signals.process(change))?;
    progress.finish();
    summarize(&inputs)?;
    if replay.late() > 0 {
        eprint_line(&format!(
            "{} events came too late after newer ones, so counts over time can lack them: sort the \
             input by time, pass each log as a separate input, or raise --lateness",
            replay.late()
        ));
    }

    let mut out = BufWriter::new(io::stdout().lock());
    let count = signals.len();
    match args.output {
        SignalFormat::Ndjson => signals.write(&mut out)?,
        SignalFormat::Table => table(signals, &mut out)?,
    }
    out.flush()?;
    Ok(match count {
        _ if inputs.tally().failures > 0 => ExitCode::from(FAILED),
        1.. if args.exit_code => ExitCode::from(SIGNALS),
        _ => ExitCode::SUCCESS,
    })
}

/// Writes one line for each signal, or `No signals.`
fn table(signals: Signals, to: &mut impl Write) -> Result<()> {
    if signals.len() == 0 {
        writeln!(to, "No signals.")?;
        return Ok(());
    }
    writeln!(to, "{}", signal_table::head())?;
    signals.for_each_object(|object| {
        writeln!(to, "{}", signal_table::row(&object))?;
        Ok(())
    })
}

/// Reports the numbers of lines and events; fails if no input could be read.
pub(crate) fn summarize(inputs: &Inputs) -> Result<()> {
    let tally = inputs.tally();
    if tally.others > 0 {
        let lines = if tally.others == 1 { "line is" } else { "lines are" };
        eprint_line(&format!(
            "{} {lines} no audit event; {} events were read",
            tally.others, tally.events
        ));
    }
    if tally.signals > 0 {
        eprint_line(&format!("{} signals between the events were skipped", tally.signals));
    }
    if tally.events == 0 && (tally.failures > 0 || tally.others > 0) {
        bail!("nothing could be read");
    }
    Ok(())
}
