//! `keepwatch events convert`: converts audit events of any encoding to one of them, or to lines
//! for users.
//!
//! It converts line by line, so that files of any size can be converted. A line that is not an
//! event is reported on stderr, and the others are converted. Fields that the encodings cannot
//! represent are also reported, with the number of occurrences.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use event::decoded::{self, Decoded, Document, NAMES_MAX, Notes};
use event::k10::LineContext;
use event::{EventRef, short};
use sink::{Encoding, Terminal};

use crate::args::EventsCommand;
use crate::commands::FAILED;
use crate::encoding;
use crate::input::{self, LINE_BYTES_MAX, Line, Lines};
use crate::line_labels::labels;
use crate::printable;
use crate::terminal::eprint_line;

const UNREADABLE: &str = "cannot read standard input";

/// Runs one of the commands about events.
pub(crate) fn run(command: &EventsCommand) -> Result<ExitCode> {
    match command {
        EventsCommand::Convert { to, cluster_name } => {
            let target = match encoding::for_stdout(*to, labels(cluster_name))? {
                Encoding::Kasten(labels) => Target::Kasten(labels),
                Encoding::V1 => Target::V1,
                Encoding::Short(terminal) => Target::Short(terminal),
            };
            let from = input::standard_input().context(UNREADABLE)?;
            let out = BufWriter::new(io::stdout().lock());
            let all_valid = Conversion { target, out, tally: Tally::default() }.run(from)?;
            Ok(if all_valid { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
        }
    }
}

/// The output's encoding.
enum Target {
    Kasten(LineContext),
    V1,
    Short(Terminal),
}

#[derive(Default)]
struct Tally {
    notes: Notes,
    signals: u64,
    /// Lines, or items of a list, that are not events.
    invalid: u64,
}

struct Conversion<W> {
    target: Target,
    out: W,
    tally: Tally,
}

impl<W: Write> Conversion<W> {
    /// Whether every line was an event.
    fn run(mut self, mut from: Lines) -> Result<bool> {
        loop {
            let read = match from.next().context(UNREADABLE)? {
                Some(Line::Complete(line)) => decoded::read(line, &mut self.tally.notes),
                Some(Line::TooLong) => {
                    let why = format!("it is longer than {LINE_BYTES_MAX} bytes");
                    self.report_invalid(&format!("line {}", from.number()), &why);
                    continue;
                }
                None => break,
            };
            let location = format!("line {}", from.number());
            match read {
                Ok(Document::Event(event)) => self.print(&event)?,
                Ok(Document::List(events)) => {
                    for (item, event) in events.into_iter().enumerate() {
                        match event {
                            Ok(event) => self.print(&event)?,
                            Err(error) => {
                                self.report_invalid(
                                    &format!("{location}, items[{item}]"),
                                    &with_causes(error),
                                );
                            }
                        }
                    }
                }
                Ok(Document::Signal) => self.tally.signals += 1,
                Err(error) => self.report_invalid(&location, &with_causes(error)),
            }
        }
        self.out.flush()?;
        self.tally.print();
        Ok(self.tally.invalid == 0)
    }

    fn print(&mut self, event: &Decoded) -> Result<()> {
        let mut line = Vec::new();
        match &self.target {
            Target::Kasten(labels) => event.write_k10(labels, &mut line),
            Target::V1 => event.write_v1(&mut line),
            Target::Short(terminal) => {
                event.write_v1(&mut line);
                match event::v1::read(&std::mem::take(&mut line)) {
                    Ok(event) => short::write(&EventRef::from(&event), terminal.style(), &mut line),
                    Err(error) => {
                        self.report_invalid(
                            "an event",
                            &format!("{:#}", anyhow::Error::new(error)),
                        );
                        return Ok(());
                    }
                }
            }
        }
        line.push(b'\n');
        self.out.write_all(&line)?;
        Ok(())
    }

    fn report_invalid(&mut self, location: &str, why: &str) {
        self.tally.invalid += 1;
        eprint_line(&format!("{location}: {}", printable::plain(why)));
    }
}

impl Tally {
    /// Reports fields and lines that are not in the output.
    fn print(&self) {
        for (path, count) in self.notes.unknown() {
            let path = printable::plain(path);
            eprint_line(&format!("left out: field `{path}`, {}", times(count)));
        }
        if self.notes.further_unknown() > 0 {
            let times = times(self.notes.further_unknown());
            eprint_line(&format!(
                "left out: fields of other names than these {NAMES_MAX}, {times}"
            ));
        }
        if self.notes.replaced() > 0 {
            eprint_line(&format!(
                "{}: a string had invalid UTF-8 or half a surrogate pair, which was replaced by U+FFFD, \
                 as Kubernetes' decoder does it",
                times(self.notes.replaced())
            ));
        }
        if self.signals > 0 {
            eprint_line(&format!(
                "left out: {} between the events",
                count_of_signals(self.signals)
            ));
        }
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn count_of_signals(count: u64) -> String {
    if count == 1 { "one signal".to_owned() } else { format!("{count} signals") }
}

fn with_causes(error: decoded::ReadError) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
