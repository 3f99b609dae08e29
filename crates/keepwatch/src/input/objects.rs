//! Objects of a bucket, read like files.

use std::io::{self, Read};
use std::sync::Arc;

use ::bytes::{Buf as _, Bytes};
use anyhow::{Context as _, Result, bail};
use apiserver::Clock as _;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use objectstore::{
    Bucket, BucketConfig, Credentials, Destination, Limits, ObjectEntry, Prefix, Provider,
    ReadError, S3,
};
use sink::Encoding;
use sink::http::{EgressPolicy, Network};
use tokio::runtime::Runtime;

use crate::args::input::S3Args;
use crate::aws;
use crate::clock::SystemClock;

/// The scheme of a bucket's URL.
const SCHEME: &str = "s3://";

/// An open bucket, and the runtime that its requests run on.
pub(super) struct Objects {
    bucket: Bucket,
    runtime: Runtime,
}

/// Bucket and prefix of an input, if it is a bucket.
pub(super) fn address(input: &str) -> Option<(&str, &str)> {
    let rest = input.strip_prefix(SCHEME)?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

impl Objects {
    /// Prepares to read a bucket, without a request.
    pub(super) fn open(bucket: &str, args: &S3Args) -> Result<Arc<Self>> {
        if bucket.is_empty() {
            bail!("there is no bucket name after {SCHEME}");
        }
        let endpoint = args.endpoint.clone().or_else(aws::s3_endpoint);
        let ca_pem = args.ca_file.as_ref().map(|file| {
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
        });
        let destination = Destination {
            provider: Provider::S3(S3 {
                region: args.region.clone().or_else(aws::region).unwrap_or_default(),
                path_style: endpoint.is_some(),
                endpoint,
            }),
            bucket: bucket.to_owned(),
            prefix: Prefix::default(),
            skip_tls_verify: false,
            ca_pem: ca_pem.transpose()?,
            credentials: if args.anonymous { Credentials::None } else { aws::credentials() },
            retention: None,
            limits: Limits::default(),
        };
        // The user of this command names the endpoint on their own machine, so no egress policy applies.
        let egress = EgressPolicy {
            allowed: Network::ALL.to_vec(),
            plain_http: true,
            ..EgressPolicy::default()
        };
        let parts = BucketConfig {
            cluster: String::new(),
            encoding: Encoding::V1,
            egress,
            workload_identity: aws::workload_identity(None),
            clock: Arc::new(|| SystemClock.now()),
        };
        let bucket = Bucket::open(&destination, parts)
            .with_context(|| format!("cannot use bucket {bucket}"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_files_are_distinguished_by_scheme() {
        for (input, expected) in [
            ("s3://audit/k10audit/date=2026", Some(("audit", "k10audit/date=2026"))),
            ("s3://audit/", Some(("audit", ""))),
            ("s3://audit", Some(("audit", ""))),
            ("audit.log", None),
            ("./s3://x", None),
        ] {
            assert_eq!(address(input), expected, "{input}");
        }
    }
}
