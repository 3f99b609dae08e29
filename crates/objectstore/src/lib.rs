//! Object stores: events as compressed objects in S3, Google Cloud Storage, Azure Blob Storage or a
//! folder.
//!
//! An [`ObjectBuilder`] takes events one by one and becomes an [`Object`]: lines, compressed as
//! they are added, under a key that is a function of its content. [`Bucket::put`] uploads it only
//! if the key is free, so that an upload can be repeated after a lost response or a crash.
//!
//! The server connects only where [`sink::http::EgressPolicy`] permits, and follows no redirect. An
//! error repeats the status and the code of a store's response, never its text.
//!
//! The crate `delivery` decides which records an object contains, and when an upload is repeated.
//!
//! To add a provider, add a folder beside `aws` with an implementation of `StoreProvider`, a
//! variant of [`Provider`], and one of [`Credentials`] if it has its own.

mod advice;
mod aws;
mod azure;
mod bucket;
mod check;
mod config;
mod credentials;
mod destination;
mod diagnose;
mod endpoint;
mod gcp;
mod http;
mod key;
mod local;
mod object;
mod provider;
mod put;
mod read;
mod signing;
mod upload_mode;

pub use bucket::Bucket;
pub use check::{Capabilities, CheckError};
pub use config::{
    BucketConfig, Clock, ContainerCredentials, OpenError, WebIdentity, WorkloadIdentity,
};
pub use credentials::{Credentials, Role};
pub use destination::{
    Destination, LINE_BYTES, Limits, Retention, RetentionMode, SEAL_AGE, SEAL_BYTES,
};
pub use key::{ObjectRange, PREFIX_BYTES_MAX, PREFIX_DEFAULT, Prefix, PrefixError, Stream};
pub use object::{CHUNK_BYTES, Object, ObjectBuilder};
pub use provider::{Azure, FileStore, Gcs, Provider, S3};
pub use put::PutOutcome;
pub use read::{KEYS_MAX, ObjectEntry, ReadError};
pub use upload_mode::Checksum;
