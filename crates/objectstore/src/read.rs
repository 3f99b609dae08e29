//! Lists and reads objects, for commands that examine delivered events.
//!
//! A key may be any that the store holds, not only one that [`Bucket::put`] creates. A body is streamed,
//! so that an object of any size takes little memory.

use ::http::StatusCode;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::GetOptions;
use object_store::path::Path;
use sink::error_chain;

use crate::bucket::Bucket;
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
}

/// Why a bucket cannot be read, and what its owner can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(String);

impl Bucket {
    /// The objects whose keys begin with `prefix`, sorted by key.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, ReadError> {
        let destination = self.destination.to_string();
        // `object_store` lists whole path segments only; the rest of the prefix is compared here.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::parse(folder)
            .map_err(|error| ReadError(format!("prefix {prefix:?}: {}", error_chain(&error))))?;
        let parent = Some(&folder).filter(|folder| !folder.as_ref().is_empty());
        let mut objects = self.store.list(parent);
        let mut entries = Vec::new();
        loop {
            let next = objects.try_next().await.map_err(|error| {
                ReadError(format!(
                    "cannot list {destination}: {}; it takes the right s3:ListBucket",
                    error_chain(&error)
                ))
            })?;
            let Some(object) = next else { break };
            let key = String::from(object.location);
            if key.starts_with(prefix) {
                entries.push(ObjectEntry { key, size: object.size });
            }
            if entries.len() > KEYS_MAX {
                return Err(ReadError(format!(
                    "more than {KEYS_MAX} objects in {destination} begin with {prefix:?}: give a longer \
                     prefix, such as one day's"
                )));
            }
        }
        entries.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(entries)
    }

    /// The body of an object, as a stream.
    pub async fn read(
        &self,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, ReadError>>, ReadError> {
        let destination = self.destination.to_string();
        let path = Path::parse(key)
            .map_err(|error| ReadError(format!("key {key:?}: {}", error_chain(&error))))?;
        let mut body = self.open_body(&path).await;
        if let Err(response) = &body
            && self.can_refresh(response).await
        {
            body = self.open_body(&path).await;
        }
        let body = body.map_err(|response| read_error(key, &destination, &response))?;
        let key = key.to_owned();
        let interrupted = move |error: object_store::Error| {
            ReadError(format!("reading {key} in {destination} broke off: {}", error_chain(&error)))
        };
        Ok(body.map_err(interrupted).boxed())
    }

    async fn open_body(
        &self,
        path: &Path,
    ) -> Result<BoxStream<'static, object_store::Result<Bytes>>, ResponseInfo> {
        let slot = ResponseSlot::default();
        let options = GetOptions::default().with_extensions(extensions(&slot));
        match self.store.get_opts(path, options).await {
            Ok(response) => Ok(response.into_stream()),
            Err(error) => Err(response_info(&slot, &error)),
        }
    }
}

fn read_error(key: &str, destination: &str, response: &ResponseInfo) -> ReadError {
    let advice = match response.status {
        Some(StatusCode::FORBIDDEN) => "; it takes the right s3:GetObject",
        Some(StatusCode::UNAUTHORIZED) => "; check the credentials",
        _ => "",
    };
    ReadError(format!("cannot read {key} in {destination}: {}{advice}", response.to_error()))
}
