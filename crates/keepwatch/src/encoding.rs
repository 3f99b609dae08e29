//! Selects the encoder of lines on standard output by the name of an encoding.
//!
//! Colors are for terminals, unless the user switches them on or off with the usual variables:
//! `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb`.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use anyhow::{Context as _, Result};
use event::k10::LineContext;
use sink::{Encoding, Terminal};

use crate::args::EncodingName;

/// Returns the encoding for standard output by its name. Machine-readable encodings contain
/// `labels` in each line.
pub(crate) fn for_stdout(name: EncodingName, labels: LineContext) -> Result<Encoding> {
    Ok(match name {
        EncodingName::Kasten => Encoding::Kasten(labels),
        EncodingName::V1 => Encoding::V1,
        EncodingName::Short => {
            let stdout = io::stdout();
            let fd = stdout.as_fd().try_clone_to_owned().context("cannot use standard output")?;
            Encoding::Short(Terminal::new(fd, is_colored(&stdout)))
        }
    })
}

/// The default encoding: for people on a terminal, for programs elsewhere.
pub(crate) fn default_for_stdout() -> EncodingName {
    if io::stdout().is_terminal() { EncodingName::Short } else { EncodingName::Kasten }
}

/// Whether this output gets colors.
pub(crate) fn is_colored(output: &impl IsTerminal) -> bool {
    uses_colors(output.is_terminal(), variable)
}

fn uses_colors(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    if variable("NO_COLOR").is_some() {
        return false;
    }
    let is_forced = variable("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    is_forced || is_terminal && variable("TERM").as_deref() != Some("dumb")
}

/// The value of a variable that is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the binary's own environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_for_terminals_unless_the_environment_says_otherwise() {
        for (is_terminal, variables, expected) in [
            (true, &[][..], true),
            (false, &[], false),
            (true, &[("NO_COLOR", "1")], false),
            (true, &[("TERM", "dumb")], false),
            (true, &[("TERM", "xterm-256color")], true),
            (false, &[("CLICOLOR_FORCE", "1")], true),
            (false, &[("CLICOLOR_FORCE", "0")], false),
            (true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ] {
            let variable = |name: &str| {
                let entry = variables.iter().find(|(key, _)| *key == name);
                entry.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(uses_colors(is_terminal, variable), expected, "{is_terminal} {variables:?}");
        }
    }
}
