//! A destination with a client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use object_store::ObjectStore;
use sink::LineLimiter;

use crate::config::{BucketConfig, OpenError};
use crate::destination::{Destination, Limits};
use crate::key::Stream;
use crate::object::ObjectBuilder;
use crate::signing::{Client, RequestSigner};
use crate::upload_mode::DetectedMode;

/// A destination with a client.
pub struct Bucket {
    pub(crate) destination: Destination,
    pub(crate) config: BucketConfig,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) signer: Option<Arc<dyn RequestSigner>>,
    /// The upload mode that the store accepts.
    pub(crate) mode: DetectedMode,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("destination", &self.destination).finish_non_exhaustive()
    }
}

impl Bucket {
    /// Prepares the client. Sends nothing.
    ///
    /// # Errors
    ///
    /// The destination is invalid. No request is sent.
    pub fn open(destination: &Destination, config: BucketConfig) -> Result<Self, OpenError> {
        let Client { store, signer } = destination.provider.get().open(destination, &config)?;
        let mode = DetectedMode::default();
        Ok(Self { destination: destination.clone(), config, store, signer, mode })
    }

    /// The destination of the objects.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The limits on objects and lines.
    pub fn limits(&self) -> Limits {
        self.destination.limits
    }

    /// The current time, by the clock of this bucket's configuration.
    pub fn now(&self) -> Timestamp {
        (self.config.clock)()
    }

    /// Delay before a missing response is reported. Longer than any request, so that a closed port
    /// and a filtered one cannot be distinguished by timing.
    pub fn no_response_delay(&self) -> Duration {
        self.config.egress.no_response_delay()
    }

    /// A builder for the next object of the reader `reader`.
    pub fn object_builder(&self, reader: &str) -> ObjectBuilder {
        self.builder(reader, self.destination.limits.seal_bytes)
    }

    /// A builder for an object whose range of records is already decided: it is never full.
    pub fn range_builder(&self, reader: &str) -> ObjectBuilder {
        self.builder(reader, usize::MAX)
    }

    fn builder(&self, reader: &str, seal_bytes: usize) -> ObjectBuilder {
        ObjectBuilder::new(
            LineLimiter::for_datadog(
                self.config.encoding.clone(),
                self.destination.limits.line_bytes,
            ),
            self.destination.prefix.clone(),
            Stream::new(&self.config.cluster, reader),
            seal_bytes,
        )
    }
}
