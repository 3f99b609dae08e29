//! The interface between the controller and delivery, and its errors. The binary implements it.

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

/// Why the journal retains no records for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkReason {
    /// Its delivery is switched off: records from that period are not delivered.
    Off,
    /// It has no destination, because a Profile or Secret is missing or cannot be used. Records
    /// that the journal still has are delivered when there is one.
    NoDestination,
}

/// Why a destination cannot be used. The text is for the owner of the destination and contains no
/// secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DestinationError {
    /// Its configuration is invalid.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its store does not meet the requirements of delivery.
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
        /// The error of the operating system.
        kind: ErrorKind,
    },
}

fn folder_error(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::PermissionDenied => "may not be written".to_owned(),
        kind => format!("cannot be created: {kind}"),
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
    /// Makes the journal retain events for a reader, durably. An existing reader keeps its
    /// position.
    async fn reserve(&self, reader: &str, start: Start) -> Result<(), DeliveryError>;
    /// Writes an object to a destination and reads it back.
    async fn check(&self, destination: &Destination) -> Result<Capabilities, DestinationError>;
    /// Starts delivery to a destination from the reader's position.
    async fn start(&self, reader: &str, destination: &Destination) -> Result<(), DeliveryError>;
    /// Stops delivery. The journal retains the events, and the reader keeps its position.
    async fn pause(&self, reader: &str);
    /// Stops delivery. The journal retains no events for the reader, but keeps its position, at
    /// which a later [`reserve`](Self::reserve) continues. Returns the number of undelivered
    /// events, if the journal retained them until now.
    async fn park(
        &self,
        reader: &str,
        start: Start,
        reason: ParkReason,
    ) -> Result<Option<u64>, DeliveryError>;
    /// Delivers the current events of the journal, within `time`, and removes the reader. Returns
    /// the number of undelivered events.
    async fn drain(&self, reader: &str, time: Duration) -> Result<u64, DeliveryError>;
    /// Health of the delivery, if the reader has a destination.
    fn health(&self, reader: &str) -> Option<DeliveryHealth>;
    /// Names of all readers of the journal, including parked ones.
    fn readers(&self) -> Vec<String>;
}
