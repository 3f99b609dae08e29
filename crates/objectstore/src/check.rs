//! Checks a destination: writes one small object and reads it back.
//!
//! The object holds an empty line, so that consumers of the bucket ignore it. Its key depends on
//! the day and the credentials: a repeated check reuses the object, a check with other credentials
//! writes another. A missing response is reported after the same time and with the same text for
//! every cause.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use object_store::{GetOptions, PutPayload};
use sink::hex;
use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::diagnose::Operation;
use crate::http::{NO_RESPONSE, ResponseInfo, ResponseSlot, extensions, response_info};
use crate::key::{Stream, folder};
use crate::put::path;
use crate::upload_mode::Checksum;

/// Time for a check, and the time after which a missing response is reported.
const CHECK_TIME_MAX: Duration = Duration::from_secs(10);
/// An empty line.
const CONTENT: &[u8] = b"\n";

/// Why a destination does not work, and what its owner can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckError(String);

/// The capabilities of a working destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The store supports `If-None-Match`: it does not overwrite an object.
    pub supports_conditional_put: bool,
    /// The checksum that it accepts with an upload.
    pub checksum: Checksum,
}

/// The remark about a store that does not support `If-None-Match`.
const NO_CONDITION: &str = "this store cannot refuse to write over an object (it refuses \
    If-None-Match), so each object is asked for before it is written";
/// The remark about a store that does not support SHA-256 checksums.
const MD5: &str = "this store refuses x-amz-checksum-sha256, so uploads carry Content-MD5";
/// The remark about a store that supports no checksum.
const NO_CHECKSUM: &str = "this store refuses x-amz-checksum-sha256 and Content-MD5, so uploads carry \
    no checksum but that of their signature";

impl Capabilities {
    /// A remark about missing capabilities for the owner; empty if all are supported.
    pub fn remark(&self) -> String {
        let condition = (!self.supports_conditional_put).then_some(NO_CONDITION);
        let checksum = match self.checksum {
            Checksum::Sha256 => None,
            Checksum::Md5 => Some(MD5),
            Checksum::None => Some(NO_CHECKSUM),
        };
        checksum.into_iter().chain(condition).collect::<Vec<_>>().join("; ")
    }
}

/// Why a check failed.
struct Failure {
    error: CheckError,
    /// The store did not respond.
    is_no_response: bool,
}

impl Failure {
    fn new(error: String) -> Self {
        Self { error: CheckError(error), is_no_response: false }
    }
}

impl Bucket {
    /// Writes an object and reads it back.
    ///
    /// # Errors
    ///
    /// The text names the problem and what to change. It contains no secret, and only status and
    /// code of a response.
    pub async fn check(&self) -> Result<Capabilities, CheckError> {
        let end = Instant::now() + CHECK_TIME_MAX.min(self.config.egress.response_timeout);
        let on_timeout = |_| {
            let (destination, limit) = (self.destination.to_string(), CHECK_TIME_MAX.as_secs());
            tracing::warn!(destination, "no response from a destination within {limit} s");
            let failure = NO_RESPONSE.to_owned();
            Err(self
                .failure(&ResponseInfo { failure, ..ResponseInfo::default() }, Operation::Write))
        };
        let checked =
            tokio::time::timeout_at(end, self.write_and_read()).await.unwrap_or_else(on_timeout);
        match checked {
            Ok(()) => Ok(Capabilities {
                supports_conditional_put: !self.lacks_conditional_put(),
                checksum: self.mode.get().checksum,
            }),
            Err(Failure { error, is_no_response }) => {
                if is_no_response {
                    // A closed port and a filtered one must not be distinguished by timing.
                    tokio::time::sleep_until(end).await;
                }
                Err(error)
            }
        }
    }

    async fn write_and_read(&self) -> Result<(), Failure> {
        let key = self.check_key();
        self.mode.set_exhausted(false);
        let mut written = self.put_once(&key, PutPayload::from_static(CONTENT)).await;
        if let Err(response) = &written
            && self.can_refresh(response).await
        {
            written = self.put_once(&key, PutPayload::from_static(CONTENT)).await;
        }
        written.map_err(|response| self.failure(&response, Operation::Write))?;
        let slot = ResponseSlot::default();
        let options = GetOptions::default().with_extensions(extensions(&slot));
        let read_failure = |error: &object_store::Error| {
            self.failure(&response_info(&slot, error), Operation::Read)
        };
        let path = path(&key).map_err(|error| Failure::new(error.to_string()))?;
        let content =
            self.store.get_opts(&path, options).await.map_err(|error| read_failure(&error))?;
        let content = content.bytes().await.map_err(|error| read_failure(&error))?;
        if content == CONTENT {
            return Ok(());
        }
        let destination = &self.destination;
        Err(Failure::new(format!("{destination} does not return the data that was written to it")))
    }

    fn failure(&self, response: &ResponseInfo, operation: Operation) -> Failure {
        let error = CheckError(self.diagnose(response, operation));
        Failure { error, is_no_response: response.is_no_response() }
    }

    fn check_key(&self) -> String {
        let credentials = &self.destination.credentials;
        let identity = credentials.public_part();
        let folder = folder(&self.destination.prefix, &Stream::new(&self.config.cluster, "check"));
        let time = self.now().to_string();
        let day = time.get(..10).unwrap_or_default();
        // Hashed piece by piece, so that no copy of the secret is made.
        let mut hash = Context::new(&SHA256);
        let secret = credentials.secrets().into_iter().next().unwrap_or_default();
        for part in [day, &identity, secret] {
            hash.update(part.as_bytes());
            hash.update(b"\n");
        }
        let hash = hex(hash.finish().as_ref());
        format!("{folder}{day}-{}.txt", hash.get(..16).unwrap_or_default())
    }
}
