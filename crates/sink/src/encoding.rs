//! How a record becomes a line: a property of the destination.

use event::View;
use event::kasten::Labels;

/// The form of a line.
#[derive(Clone, Debug)]
pub enum Encoding {
    /// As K10 writes it, with a few keys for log tools in front.
    Kasten(Labels),
    /// As kube-apiserver's log back end writes it.
    V1,
}

impl Encoding {
    /// Appends one event, without the newline.
    pub fn write(&self, event: &View<'_>, line: &mut Vec<u8>) {
        match self {
            Self::Kasten(labels) => event::kasten::write(event, labels, line),
            Self::V1 => event::v1::write(event, line),
        }
    }
}
