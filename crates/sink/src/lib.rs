//! Destinations that accept lines: the [`Sink`] trait, standard output and files. Notifiers, which
//! send signals by HTTP, are here too.
//!
//! A sink receives whole lines in the order of the journal and reports how many are durable. It
//! does not read the journal, encode, retry or keep a cursor: the crate `delivery` does.
//! Destinations that accept objects instead of lines are in the crate `objectstore`.
//!
//! To add a destination, write one file next to [`mod@file`], implement [`Sink`], and open it in
//! the binary's module `commands::serve::sinks`.

mod batch;
mod delivery_health;
mod encoding;
mod error_chain;
pub mod event_list;
pub mod file;
mod hex;
pub mod http;
mod line_limit;
pub mod notifier;
mod page_cache;
pub mod stdout;
mod terminal;

use std::time::Duration;

use async_trait::async_trait;

pub use batch::{Batch, BatchBuilder};
pub use delivery_health::DeliveryHealth;
pub use encoding::Encoding;
pub use error_chain::error_chain;
pub use file::FileSink;
pub use hex::hex;
pub use line_limit::LineLimiter;
pub use page_cache::drop_page_cache;
pub use stdout::StdoutSink;
pub use terminal::Terminal;

/// A destination for records.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The name of the destination, of its cursor and in its metrics. It must be unique in a server
    /// and must not change: a cursor is found by it.
    fn name(&self) -> &str;

    /// The encoding of lines for this destination.
    fn encoding(&self) -> &Encoding;

    /// Called before the first batch with the state that was last committed with the cursor,
    /// initially empty. Called again if it fails.
    async fn resume(&mut self, state: &str) -> Result<(), DeliverError>;

    /// Delivers the batch, or its beginning. The records that [`Delivered::records`] counts are
    /// durable at the destination.
    ///
    /// Records can be delivered again after a crash: a destination that must not have duplicates
    /// recognizes them by its state. An empty batch is a request for maintenance, for example to
    /// reopen a file.
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliverError>;
}

/// The delivered part of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Number of records, from the beginning of the batch, that are durable at the destination.
    pub records: usize,
    /// The state to commit together with the cursor.
    pub state: String,
    /// The cursor must be durable before the sink is called again.
    pub sync_cursor: bool,
}

/// The cause of a failure.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error of delivery. Each variant is handled differently.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// Try this batch again.
    #[error("destination is not ready")]
    Retry {
        /// The value of `Retry-After`, if the destination sent it.
        after: Option<Duration>,
        /// The cause.
        source: BoxError,
    },
    /// Try this batch again; there was no response. Its text and the delay until it is reported do
    /// not depend on the cause, which would otherwise reveal whether a port is closed or filtered.
    #[error("destination is not ready")]
    NoResponse {
        /// No connection was established, so another attempt is cheap and may be made soon.
        is_connect_error: bool,
        /// The cause, without details that the author of a profile must not see.
        source: BoxError,
    },
    /// No batch is accepted until the configuration changes. Try again, but rarely.
    #[error("sink is misconfigured")]
    Misconfigured {
        /// The cause.
        source: BoxError,
    },
    /// The destination is closed permanently, such as a closed pipe: stop this sink only.
    #[error("destination is closed")]
    Closed,
}
