//! The providers of object stores, and the interface that each implements.
//!
//! Each provider implements [`StoreProvider`] in its folder; [`Provider`] lists them. Credentials
//! are in `credentials`, because a provider may accept several kinds.

use std::fmt;

use crate::advice::Advice;
use crate::config::BucketConfig;
use crate::destination::Destination;
use crate::diagnose::Operation;
use crate::http::ResponseInfo;
use crate::signing::OpenResult;
use crate::upload_mode::Checksum;

pub use crate::aws::S3;
pub use crate::azure::Azure;
pub use crate::gcp::Gcs;
pub use crate::local::FileStore;

/// An object store of one provider.
#[derive(Clone, Debug)]
pub enum Provider {
    /// AWS S3, or a store that speaks its protocol.
    S3(S3),
    /// Google Cloud Storage.
    Gcs(Gcs),
    /// Azure Blob Storage.
    Azure(Azure),
    /// A folder, usually on a mounted volume.
    File(FileStore),
}

impl Provider {
    pub(crate) fn get(&self) -> &dyn StoreProvider {
        match self {
            Self::S3(provider) => provider,
            Self::Gcs(provider) => provider,
            Self::Azure(provider) => provider,
            Self::File(provider) => provider,
        }
    }

    /// The configured URL; `None` for the provider's default and for a folder.
    pub fn endpoint(&self) -> Option<&str> {
        self.get().endpoint()
    }
}

/// The provider-specific part of a destination.
pub(crate) trait StoreProvider: fmt::Debug + Send + Sync {
    /// The client of a destination. Sends nothing.
    fn open(&self, destination: &Destination, config: &BucketConfig) -> OpenResult;

    /// Provider and bucket, for messages.
    fn describe(&self, bucket: &str) -> String;

    /// The configured URL of the server.
    fn endpoint(&self) -> Option<&str>;

    /// The description of the endpoint if none is configured, such as `of AWS`; `None` if requests
    /// use no network.
    fn default_endpoint(&self) -> Option<&'static str>;

    /// What the owner of the bucket can do about each error code.
    fn advice(&self) -> &'static [Advice] {
        &[]
    }

    /// The permission that an operation needs.
    fn permission(&self, _operation: Operation) -> &'static str {
        ""
    }

    /// The permission to list objects.
    fn list_permission(&self) -> &'static str {
        "to read the folder"
    }

    /// The code to assume for a response without an unambiguous code.
    fn implied_code(&self, _response: &ResponseInfo) -> Option<&'static str> {
        None
    }

    /// A description of the bucket, with placeholders of [`Advice`].
    fn bucket_text(&self) -> &'static str {
        "bucket `{bucket}`"
    }

    /// The region in messages; `None` for providers without regions.
    fn region(&self) -> Option<&str> {
        None
    }

    /// The message for a response without a message for its code or status.
    fn diagnose_other(&self, _: &Destination, _: &ResponseInfo) -> Option<String> {
        None
    }

    /// Whether stores of this provider accept different headers of an upload.
    fn negotiates_headers(&self) -> bool {
        false
    }

    /// The checksum to send with an upload. `detected` is the checksum that the store accepts.
    fn checksum(&self, _detected: Checksum) -> Checksum {
        Checksum::Md5
    }
}
