//! What the controller needs of delivery, and how that can fail. Implemented by the binary.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use event::Timestamp;
use objectstore::{Capabilities, CheckError, Destination, OpenError};
use sink::{BoxError, DeliveryHealth};

/// The position from which a new reader reads the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record that the journal has.
    Oldest,
    /// The first record at this time or later.
    Since(Timestamp),
}

/// Why the journal keeps nothing for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkReason {
    /// Its delivery is switched off: records of that time need not be delivered.
    Off,
    /// It has no destination, because a Profile or Secret is missing or cannot be used. Records that the
    /// journal still has are delivered when there is one.
    NoDestination,
}

/// Why a destination cannot be used. The text is for its owner: it contains no secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DestinationError {
    /// It cannot be used as it is described.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its store does not do what delivery needs.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The volume of a profile of type `FileStore` is not mounted.
    #[error("no volume is mounted at {}", .0.display())]
    NotMounted(PathBuf),
    /// The folder of the volume cannot be created.
    #[error("{} {}", path.display(), folder_error(*kind))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        kind: ErrorKind,
    },
}

fn folder_error(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::PermissionDenied => "may not be written".to_owned(),
        kind => format!("cannot be made: {kind}"),
    }
}

/// Why delivery could not be changed. Another attempt may succeed.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(BoxError),
    /// The destination cannot be used.
    #[error(transparent)]
    Destination(#[from] DestinationError),
}

/// Controls the delivery of the journal to destinations.
#[async_trait]
pub trait DeliveryControl: Send + Sync {
    /// Makes the journal keep its events for a reader, durably. A reader that exists keeps its position.
    async fn reserve(&self, reader: &str, start: Start) -> Result<(), DeliveryError>;
    /// Writes to a destination and reads back.
    async fn check(&self, destination: &Destination) -> Result<Capabilities, DestinationError>;
    /// Delivers to a destination from now on, from the reader's position.
    async fn start(&self, reader: &str, destination: &Destination) -> Result<(), DeliveryError>;
    /// Stops delivery. The journal keeps its events, and the reader its position.
    async fn pause(&self, reader: &str);
    /// Stops delivery. The journal keeps nothing for the reader, but its position is remembered, and a
    /// later [`reserve`](Self::reserve) continues there. Returns the number of undelivered events, if the
    /// journal kept them until now.
    async fn park(
        &self,
        reader: &str,
        start: Start,
        reason: ParkReason,
    ) -> Result<Option<u64>, DeliveryError>;
    /// Delivers what the journal holds now, within `time`, and forgets the reader. Returns the number of
    /// undelivered events.
    async fn drain(&self, reader: &str, time: Duration) -> Result<u64, DeliveryError>;
    /// Health of the delivery, if the reader has a destination.
    fn health(&self, reader: &str) -> Option<DeliveryHealth>;
    /// Names of all readers of the journal, including those for which it keeps nothing.
    fn readers(&self) -> Vec<String>;
}
