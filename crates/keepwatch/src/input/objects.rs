//! Objects of a bucket, read like files.

use std::io::{self, Read};
use std::sync::Arc;

use ::bytes::{Buf as _, Bytes};
use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use objectstore::{Bucket, ObjectEntry, ReadError};
use tokio::runtime::Runtime;

use crate::args::input::S3Args;
use crate::bucket_url::BucketUrl;

/// An open bucket, and the runtime that its requests run on.
pub(super) struct Objects {
    bucket: Bucket,
    runtime: Runtime,
}

impl Objects {
    /// Prepares to read a bucket, without a request.
    pub(super) fn open(url: &BucketUrl, args: &S3Args) -> Result<Arc<Self>> {
        let bucket = url.open(args)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot wait for a bucket")?;
        Ok(Arc::new(Self { bucket, runtime }))
    }

    /// Lists the objects.
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, ReadError> {
        self.runtime.block_on(self.bucket.list(prefix))
    }

    /// One object.
    pub(super) fn read(self: &Arc<Self>, key: &str) -> Result<Object, ReadError> {
        let body = self.runtime.block_on(self.bucket.read(key))?;
        Ok(Object { objects: Arc::clone(self), body, portion: Bytes::new() })
    }
}

/// The body of an object.
pub(super) struct Object {
    objects: Arc<Objects>,
    body: BoxStream<'static, Result<Bytes, ReadError>>,
    portion: Bytes,
}

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.portion.is_empty() {
            match self.objects.runtime.block_on(self.body.next()) {
                Some(portion) => self.portion = portion.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.portion.len());
        let (to, _) = buffer.split_at_mut(length);
        self.portion.copy_to_slice(to);
        Ok(length)
    }
}
