//! Lines for people on stderr that are not part of the log.

use std::io::{self, Write as _};

use crate::audit_marker::MarkerBreaker;

/// Writes one line to stderr.
pub(crate) fn eprint_line(line: &str) {
    // If this cannot be written, there is no other place to report it.
    writeln!(MarkerBreaker(io::stderr()), "{line}").ok();
}
