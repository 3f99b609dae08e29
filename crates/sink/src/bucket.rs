//! Buckets: events as compressed objects in S3, Google Cloud Storage, Azure Blob Storage or a folder.
//!
//! A [`Draft`] takes events one by one and becomes an [`Object`]: lines, compressed as they come, under
//! a key that is a function of what is inside. [`Bucket::put`] uploads it only if it is not there
//! yet, so that the same object may be put again after a lost answer or a crash. Which range an
//! object has, and when it is tried again, is decided by the crate `delivery`.
//!
//! A destination is dialled only where [`Reach`] allows; redirects are not followed. What a store
//! answers is never repeated in an error, since it may be anything; its status and code are.

mod advice;
mod azure;
mod check;
mod credentials;
mod destination;
mod draft;
mod explain;
mod folder;
mod manner;
pub(crate) mod names;
mod open;
mod prefix;
mod put;
mod reach;
mod read;
mod shaping;
mod signer;
mod sigv4;
pub(crate) mod tls;
pub(crate) mod transport;

use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use object_store::ObjectStore;

use crate::Encoding;

pub use check::{CheckError, Checked};
pub use credentials::{Ambient, Container, WebIdentity};
pub use destination::{
    Credentials, Destination, LINE_BYTES, Limits, Provider, Retention, RetentionMode, Role,
    SEAL_AGE, SEAL_BYTES, folder_text,
};
pub use draft::{CHUNK_BYTES, Draft, Object};
pub use manner::Checksum;
pub use names::Names;
pub use prefix::{PREFIX_BYTES_MAX, PREFIX_DEFAULT, Prefix, PrefixError, Range, Stream};
pub use put::Put;
pub use reach::{Network, NetworkError, Reach};
pub use read::{KEYS_MAX, Listed, ReadError};
pub use shaping::Shaper;

/// The time of day, for signatures and retention.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What every bucket of a server has in common.
#[derive(Clone)]
pub struct Parts {
    /// Names the cluster in keys.
    pub cluster: String,
    /// How an event becomes a line.
    pub encoding: Encoding,
    /// Where may be dialled.
    pub reach: Reach,
    /// What the place where the server runs offers.
    pub ambient: Ambient,
    /// The time of day.
    pub clock: Clock,
}

/// A destination that is ready to be used.
pub struct Bucket {
    destination: Destination,
    parts: Parts,
    store: Arc<dyn ObjectStore>,
    signer: Option<Arc<signer::Signer>>,
    /// How the store takes uploads.
    manner: manner::Found,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").field("destination", &self.destination).finish_non_exhaustive()
    }
}

/// Why a destination cannot be used as it is described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The endpoint is no address that may be dialled.
    #[error("endpoint {endpoint:?} {what}")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// What is wrong with it.
        what: String,
    },
    /// A value is missing or malformed.
    #[error("{what}")]
    Value {
        /// Which, and how.
        what: String,
    },
    /// These credentials do not fit the provider.
    #[error("these credentials cannot be used with {provider}")]
    Credentials {
        /// Who keeps the objects.
        provider: &'static str,
    },
    /// The certificates to trust cannot be read.
    #[error("the CA certificates cannot be read: {what}")]
    Ca {
        /// What is wrong.
        what: String,
    },
}

impl Bucket {
    /// Prepares everything and talks to nobody.
    pub fn open(destination: &Destination, parts: Parts) -> Result<Self, OpenError> {
        let (store, signer) = open::store(destination, &parts)?;
        let manner = manner::Found::default();
        Ok(Self { destination: destination.clone(), parts, store, signer, manner })
    }

    /// Where objects go.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The portions in which events leave.
    pub fn limits(&self) -> Limits {
        self.destination.limits
    }

    /// The time of day, as this bucket has been told it.
    pub fn now(&self) -> Timestamp {
        (self.parts.clock)()
    }

    /// How long after the first request that met it silence is told: longer than a request lasts, so
    /// that who refuses at once is not told from who lets us wait.
    pub fn silence_time(&self) -> Duration {
        let patience = self.parts.reach.patience;
        patience + patience / 6
    }

    /// An empty object for the stream of `reader`.
    pub fn draft(&self, reader: &str) -> Draft {
        self.draft_up_to(reader, self.destination.limits.seal_bytes)
    }

    /// The same for a range of records that has been fixed before: it never gets full.
    pub fn draft_of_range(&self, reader: &str) -> Draft {
        self.draft_up_to(reader, usize::MAX)
    }

    fn draft_up_to(&self, reader: &str, seal_bytes: usize) -> Draft {
        Draft::new(
            Shaper::new(self.parts.encoding.clone(), self.destination.limits.line_bytes),
            self.destination.prefix.clone(),
            Stream::of(&self.parts.cluster, reader),
            seal_bytes,
        )
    }

    /// The place in words, for people.
    pub fn place(&self) -> String {
        match &self.destination.provider {
            Provider::S3 { endpoint: Some(endpoint), .. } => {
                format!("s3 bucket `{}` at {endpoint}", self.destination.bucket)
            }
            Provider::S3 { region, .. } => {
                format!("s3 bucket `{}` in region `{region}`", self.destination.bucket)
            }
            Provider::Gcs { .. } => format!("gcs bucket `{}`", self.destination.bucket),
            Provider::Azure { .. } => format!("azure container `{}`", self.destination.bucket),
            Provider::File { root, path } => format!("folder {}", folder_text(root, path)),
        }
    }
}
