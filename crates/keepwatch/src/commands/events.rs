//! `keepwatch events convert`: lines of `audit.k8s.io/v1` in, another encoding out.
//!
//! One line at a time, so that a file of any size passes. A line that is no event is named on
//! stderr; the good ones are printed all the same.

use std::io::{self, BufRead, BufWriter, Write};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use event::View;
use sink::Encoding;

use crate::args::{EncodingName, EventsCommand};
use crate::commands::{FAILED, say};
use crate::house::labels;

/// A longer line is not an event: bodies are at most 3 MiB each.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Runs one of the commands about events.
pub(crate) fn run(command: &EventsCommand) -> Result<ExitCode> {
    match command {
        EventsCommand::Convert { to, cluster_name } => {
            let encoding = match to {
                EncodingName::Kasten => Encoding::Kasten(labels(cluster_name)),
                EncodingName::V1 => Encoding::V1,
            };
            let out = BufWriter::new(io::stdout().lock());
            let all_good = convert(&mut io::stdin().lock(), out, &encoding)?;
            Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
        }
    }
}

/// Whether every line was an event.
fn convert(from: &mut impl BufRead, mut to: impl Write, encoding: &Encoding) -> Result<bool> {
    let mut all_good = true;
    let mut line = Vec::new();
    let mut converted = Vec::new();
    for number in 1_u64.. {
        line.clear();
        io::Read::take(&mut *from, LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .context("cannot read standard input")?;
        if line.is_empty() {
            break;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match event::v1::read(text) {
            Ok(event) => {
                converted.clear();
                encoding.write(&View::from(&event), &mut converted);
                converted.push(b'\n');
                to.write_all(&converted)?;
            }
            Err(error) => {
                all_good = false;
                say(&format!("line {number}: {:#}", anyhow::Error::new(error)));
            }
        }
    }
    to.flush()?;
    Ok(all_good)
}
