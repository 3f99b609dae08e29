//! Lists and reads objects, for commands that examine delivered events and for sources of events.
//!
//! Any key of the store can be read, not only the keys that [`Bucket::put`] creates. A body is
//! streamed, so that an object of any size takes little memory.

use ::http::StatusCode;
use bytes::Bytes;
use event::Timestamp;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta};
use sink::error_chain;

use crate::bucket::Bucket;
use crate::diagnose::Operation;
use crate::http::{ResponseInfo, ResponseSlot, extensions, response_info};

/// The maximum number of keys in a listing, which is held in memory.
pub const KEYS_MAX: usize = 1_000_000;

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// The whole key.
    pub key: String,
    /// Length of the object in bytes.
    pub size: u64,
    /// Identifies its content; empty if the store names none.
    pub etag: String,
    /// When it was written, by the clock of the store.
    pub modified: Timestamp,
}

/// Why a bucket cannot be read, and what its owner can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(String);

impl Bucket {
    /// The objects whose keys begin with `prefix`, sorted by key.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, ReadError> {
        let (mut objects, mut entries) = (self.listing(prefix)?, Vec::new());
        while let Some(entry) = objects.try_next().await? {
            entries.push(entry);
            if entries.len() > KEYS_MAX {
                return Err(ReadError(format!(
                    "more than {KEYS_MAX} objects in {} begin with {prefix:?}: give a longer prefix, \
                     such as one day's",
                    self.destination
                )));
            }
        }
        entries.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(entries)
    }

    /// The objects whose keys begin with `prefix`, in the order of the store, page by page. Any
    /// number of objects takes little memory.
    pub fn listing(
        &self,
        prefix: &str,
    ) -> Result<BoxStream<'static, Result<ObjectEntry, ReadError>>, ReadError> {
        let (destination, prefix) = (self.destination.to_string(), prefix.to_owned());
        // `object_store` lists whole path segments only; the rest of the prefix is compared here.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::parse(folder)
            .map_err(|error| ReadError(format!("prefix {prefix:?}: {}", error_chain(&error))))?;
        let parent = Some(&folder).filter(|folder| !folder.as_ref().is_empty());
        let permission = self.destination.provider.get().list_permission();
        let failed = move |error: object_store::Error| {
            ReadError(format!(
                "cannot list {destination}: {}; grant the permission {permission}",
                error_chain(&error)
            ))
        };
        let entry = |object: ObjectMeta| ObjectEntry {
            key: String::from(object.location),
            size: object.size,
            etag: object.e_tag.unwrap_or_default(),
            modified: Timestamp::from_micros(object.last_modified.timestamp_micros()),
        };
        let objects = self.store.list(parent).map_ok(entry).map_err(failed);
        let begins = move |entry: &ObjectEntry| std::future::ready(entry.key.starts_with(&prefix));
        Ok(objects.try_filter(begins).boxed())
    }

    /// The body of an object, as a stream.
    pub async fn read(
        &self,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, ReadError>>, ReadError> {
        self.read_with(key, GetOptions::default()).await
    }

    /// The body of the listed version of an object from an offset, as a stream. Fails if the object
    /// was replaced meanwhile.
    pub async fn read_from(
        &self,
        object: &ObjectEntry,
        offset: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, ReadError>>, ReadError> {
        let options = GetOptions {
            range: (offset > 0).then_some(GetRange::Offset(offset)),
            if_match: Some(object.etag.clone()).filter(|etag| !etag.is_empty()),
            ..GetOptions::default()
        };
        self.read_with(&object.key, options).await
    }

    async fn read_with(
        &self,
        key: &str,
        options: GetOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, ReadError>>, ReadError> {
        let destination = self.destination.to_string();
        let path = Path::parse(key)
            .map_err(|error| ReadError(format!("key {key:?}: {}", error_chain(&error))))?;
        let mut body = self.open_body(&path, options.clone()).await;
        if let Err(response) = &body
            && self.can_refresh(response).await
        {
            body = self.open_body(&path, options).await;
        }
        let permission = self.destination.provider.get().permission(Operation::Read);
        let failed = |response| read_error(key, &destination, permission, &response);
        let body = body.map_err(failed)?;
        let key = key.to_owned();
        let interrupted = move |error: object_store::Error| {
            ReadError(format!(
                "reading {key} in {destination} was interrupted: {}",
                error_chain(&error)
            ))
        };
        Ok(body.map_err(interrupted).boxed())
    }

    async fn open_body(
        &self,
        path: &Path,
        options: GetOptions,
    ) -> Result<BoxStream<'static, object_store::Result<Bytes>>, ResponseInfo> {
        let slot = ResponseSlot::default();
        let options = options.with_extensions(extensions(&slot));
        match self.store.get_opts(path, options).await {
            Ok(response) => Ok(response.into_stream()),
            Err(error) => Err(response_info(&slot, &error)),
        }
    }
}

fn read_error(
    key: &str,
    destination: &str,
    permission: &str,
    response: &ResponseInfo,
) -> ReadError {
    let advice = match response.status {
        Some(StatusCode::FORBIDDEN) => format!("; grant the permission {permission}"),
        Some(StatusCode::UNAUTHORIZED) => "; check the credentials".to_owned(),
        Some(StatusCode::PRECONDITION_FAILED) => "; it was replaced meanwhile".to_owned(),
        _ => String::new(),
    };
    ReadError(format!("cannot read {key} in {destination}: {}{advice}", response.to_error()))
}
