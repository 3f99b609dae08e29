//! The encoding of a line: a property of the destination.

use event::EventRef;
use event::k10::LineContext;
use event::record::SignalRecord;
use event::short;

use crate::Terminal;

/// The encoding of a line.
#[derive(Clone, Debug)]
pub enum Encoding {
    /// K10's encoding, preceded by a few keys for log tools.
    Kasten(LineContext),
    /// The encoding of kube-apiserver's log backend: an `audit.k8s.io/v1` event in JSON.
    V1,
    /// A short text for people who read it on this terminal.
    Short(Terminal),
}

impl Encoding {
    /// Appends one event, without the newline.
    pub fn write(&self, event: &EventRef<'_>, line: &mut Vec<u8>) {
        match self {
            Self::Kasten(labels) => event::k10::write(event, labels, line),
            Self::V1 => event::v1::write(event, line),
            Self::Short(terminal) => short::write(event, terminal.style(), line),
        }
    }

    /// Appends a change of a signal, without the newline. `truncated` names the omitted parts; it
    /// is empty if the signal is complete.
    pub fn write_signal(&self, signal: &SignalRecord, truncated: &str, line: &mut Vec<u8>) {
        match self {
            Self::Kasten(labels) => event::signal_line::k10(signal, labels, truncated, line),
            Self::V1 => event::signal_line::v1(signal, truncated, line),
            Self::Short(terminal) => short::write_signal(signal, terminal.style(), line),
        }
    }
}
