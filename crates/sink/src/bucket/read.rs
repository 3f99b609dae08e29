//! Objects are listed and read: for commands that look at what was delivered.
//!
//! Keys may be anything that a store holds, not only what [`Bucket::put`] makes. A body comes in the
//! portions in which it arrives, so that an object of any size takes little memory.

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use object_store::path::Path;

use super::transport::{Note, Seen};
use super::{Bucket, put};
use crate::chain;

/// Keys that one listing may return: they are kept in memory.
pub const KEYS_MAX: usize = 1_000_000;

/// An object, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its whole key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
}

/// Why a bucket cannot be read, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(String);

impl Bucket {
    /// The objects whose keys begin with `prefix`, in the order of the keys.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, ReadError> {
        let place = self.place();
        // `object_store` lists whole path segments only; the rest of the prefix is compared here.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::parse(folder)
            .map_err(|error| ReadError(format!("prefix {prefix:?}: {}", chain(&error))))?;
        let parent = Some(&folder).filter(|folder| !folder.as_ref().is_empty());
        let mut found = self.store.list(parent);
        let mut listed = Vec::new();
        loop {
            let next = found.try_next().await.map_err(|error| {
                ReadError(format!(
                    "cannot list {place}: {}; it takes the right s3:ListBucket",
                    chain(&error)
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
        listed.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(listed)
    }

    /// The body of an object, in portions.
    pub async fn read(
        &self,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, ReadError>>, ReadError> {
        let place = self.place();
        let path = Path::parse(key)
            .map_err(|error| ReadError(format!("key {key:?}: {}", chain(&error))))?;
        let mut found = self.open_body(&path).await;
        if let Err(seen) = &found
            && self.can_renew(seen).await
        {
            found = self.open_body(&path).await;
        }
        let body = found.map_err(|seen| unreadable(key, &place, &seen))?;
        let key = key.to_owned();
        let broken = move |error: object_store::Error| {
            ReadError(format!("reading {key} in {place} broke off: {}", chain(&error)))
        };
        Ok(body.map_err(broken).boxed())
    }

    async fn open_body(
        &self,
        path: &Path,
    ) -> Result<BoxStream<'static, object_store::Result<Bytes>>, Seen> {
        let note = Note::default();
        let options = object_store::GetOptions::default().with_extensions(put::extensions(&note));
        match self.store.get_opts(path, options).await {
            Ok(found) => Ok(found.into_stream()),
            Err(error) => Err(put::seen(&note, &error)),
        }
    }
}

fn unreadable(key: &str, place: &str, seen: &Seen) -> ReadError {
    let advice = match seen.status {
        Some(StatusCode::FORBIDDEN) => "; it takes the right s3:GetObject",
        Some(StatusCode::UNAUTHORIZED) => "; check the credentials",
        _ => "",
    };
    ReadError(format!("cannot read {key} in {place}: {}{advice}", put::refused(seen)))
}
