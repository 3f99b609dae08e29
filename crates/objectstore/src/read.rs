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
use crate::http::{ResponseInfo, ResponseSlot, extensions, info_of};

/// The maximum number of keys in a listing, which is held in memory.
pub const KEYS_MAX: usize = 1_000_000;

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
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
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, ReadError> {
        let place = self.destination.to_string();
        // `object_store` lists whole path segments only; the rest of the prefix is compared here.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::parse(folder)
            .map_err(|error| ReadError(format!("prefix {prefix:?}: {}", error_chain(&error))))?;
        let parent = Some(&folder).filter(|folder| !folder.as_ref().is_empty());
        let mut found = self.store.list(parent);
        let mut listed = Vec::new();
        loop {
            let next = found.try_next().await.map_err(|error| {
                ReadError(format!(
                    "cannot list {place}: {}; it takes the right s3:ListBucket",
                    error_chain(&error)
                ))
            })?;
            let Some(object) = next else { break };
            let key = String::from(object.location);
            if key.starts_with(prefix) {
                listed.push(Listed { key, size: object.size });
            }
            if listed.len() > KEYS_MAX {
                return Err(ReadError(format!(
                    "more than {KEYS_MAX} objects in {place} begin with {prefix:?}: give a longer \
                     prefix, such as one day's"
                )));
            }
        }
        listed.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(listed)
    }

    /// The body of an object, as a stream.
    pub async fn read(
        &self,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, ReadError>>, ReadError> {
        let place = self.destination.to_string();
        let path = Path::parse(key)
            .map_err(|error| ReadError(format!("key {key:?}: {}", error_chain(&error))))?;
        let mut found = self.open_body(&path).await;
        if let Err(response) = &found
            && self.can_refresh(response).await
        {
            found = self.open_body(&path).await;
        }
        let body = found.map_err(|response| unreadable(key, &place, &response))?;
        let key = key.to_owned();
        let interrupted = move |error: object_store::Error| {
            ReadError(format!("reading {key} in {place} broke off: {}", error_chain(&error)))
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
            Ok(found) => Ok(found.into_stream()),
            Err(error) => Err(info_of(&slot, &error)),
        }
    }
}

fn unreadable(key: &str, place: &str, response: &ResponseInfo) -> ReadError {
    let advice = match response.status {
        Some(StatusCode::FORBIDDEN) => "; it takes the right s3:GetObject",
        Some(StatusCode::UNAUTHORIZED) => "; check the credentials",
        _ => "",
    };
    ReadError(format!("cannot read {key} in {place}: {}{advice}", response.refused()))
}
