//! Objects of a bucket, read like files.

use std::io::{self, Read};
use std::sync::Arc;

use ::bytes::{Buf as _, Bytes};
use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use objectstore::{Bucket, ObjectEntry, ReadError};
use source::limits::BUCKET_PAUSE_MAX;
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

/// The next bytes of a body; `None` at its end. Fails if the store sends nothing for too long.
async fn next_portion(
    body: &mut BoxStream<'static, Result<Bytes, ReadError>>,
) -> io::Result<Option<Bytes>> {
    let portion = tokio::time::timeout(BUCKET_PAUSE_MAX, body.next()).await;
    let stalled = |_| {
        let text = format!(
            "the store sent nothing for {} seconds: run it again",
            BUCKET_PAUSE_MAX.as_secs()
        );
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    portion.map_err(stalled)?.transpose().map_err(io::Error::other)
}

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.portion.is_empty() {
            match self.objects.runtime.block_on(next_portion(&mut self.body))? {
                Some(portion) => self.portion = portion,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.portion.len());
        let (to, _) = buffer.split_at_mut(length);
        self.portion.copy_to_slice(to);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: `keepwatch detect s3://…` waited for ever.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_sends_nothing_more_does_not_stop_a_command_for_ever() {
        let sent = futures::stream::iter([Ok(Bytes::from_static(b"a"))]);
        let mut body = sent.chain(futures::stream::pending()).boxed();
        assert_eq!(next_portion(&mut body).await.unwrap().unwrap(), "a");
        let error = next_portion(&mut body).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("sent nothing for 60 seconds"), "{error}");
    }
}
