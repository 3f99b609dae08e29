//! How a record becomes a line: a property of the destination.

use event::View;
use event::kasten::Labels;
use event::record::SignalRecord;
use event::short;

use crate::Terminal;

/// The form of a line.
#[derive(Clone, Debug)]
pub enum Encoding {
    /// As K10 writes it, with a few keys for log tools in front.
    Kasten(Labels),
    /// As kube-apiserver's log back end writes it.
    V1,
    /// For a person, who reads it there.
    Short(Terminal),
}

impl Encoding {
    /// Appends one event, without the newline.
    pub fn write(&self, event: &View<'_>, line: &mut Vec<u8>) {
        match self {
            Self::Kasten(labels) => event::kasten::write(event, labels, line),
            Self::V1 => event::v1::write(event, line),
            Self::Short(terminal) => short::write(event, terminal.style(), line),
        }
    }

    /// Appends what became of a signal, without the newline. `shed` names what was left out of it.
    pub fn write_signal(&self, signal: &SignalRecord, shed: &str, line: &mut Vec<u8>) {
        match self {
            Self::Kasten(labels) => event::signal_line::kasten(signal, labels, shed, line),
            Self::V1 => event::signal_line::v1(signal, shed, line),
            Self::Short(terminal) => short::write_signal(signal, terminal.style(), line),
        }
    }
}
