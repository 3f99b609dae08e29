//! Where events leave the house: the [`Sink`] trait and one file per destination.
//!
//! A sink takes whole lines, in the order of the journal, and says how many it has for good. It
//! does not read the journal, encode, retry or keep a cursor: that is the crate `delivery`.
//!
//! To add a destination, write one file beside [`mod@file`], implement [`Sink`], and wire it where the
//! binary lists its rooms.

mod batch;
pub mod bucket;
mod chain;
mod encoding;
pub mod file;
pub mod notifier;
mod page_cache;
pub mod stdout;
mod terminal;

use std::time::Duration;

use async_trait::async_trait;

pub use batch::{Batch, Draft};
pub use chain::chain;
pub use encoding::Encoding;
pub use file::FileSink;
pub use stdout::StdoutSink;
pub use terminal::Terminal;

/// A destination for records.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Names the destination, its cursor and its metrics. Unique in a server.
    fn name(&self) -> &str;

    /// How a record becomes a line here.
    fn encoding(&self) -> &Encoding;

    /// Called once, before the first batch, with the state that was last committed with the
    /// cursor; empty when there is none yet. Called again if it fails.
    async fn resume(&mut self, state: &str) -> Result<(), DeliverError>;

    /// Deliver the batch, or its beginning. What [`Delivered::records`] counts, the destination
    /// has for good.
    ///
    /// The same records may come again after a crash: a destination that must not see repeats
    /// recognises them by what it kept in its state. An empty batch asks the sink to look after
    /// itself, such as to reopen a file.
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliverError>;
}

/// How far a batch got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// So many records of the batch, from its beginning, are there for good.
    pub records: usize,
    /// Where the destination stands now; to be committed together with the cursor.
    pub state: String,
    /// The cursor must be durable before the sink is called again.
    pub settle: bool,
}

/// What is behind a failure.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What delivery should do next. One variant for each thing it can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// Try this batch again.
    #[error("destination is not ready")]
    Retry {
        /// When trying makes sense, if the destination said so.
        after: Option<Duration>,
        /// What it said.
        source: BoxError,
    },
    /// The same, but nobody answered. People are told the same words at the same time whatever the
    /// reason is, because it would tell closed ports from others.
    #[error("destination is not ready")]
    Silent {
        /// There was not even a connection: asking again costs next to nothing, and whoever comes back
        /// is to be noticed soon.
        is_unreached: bool,
        /// What people may know.
        source: BoxError,
    },
    /// Nothing will be taken until somebody changes the configuration. Tried again, rarely.
    #[error("sink is misconfigured")]
    Misconfigured {
        /// What is wrong.
        source: BoxError,
    },
    /// The reader has gone away for good: stop this sink, and nothing else.
    #[error("destination is closed")]
    Closed,
}
