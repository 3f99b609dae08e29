//! Signs the requests to one S3 destination, with credentials that expire and a clock that is
//! corrected.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ::http::{HeaderValue, Method};
use async_trait::async_trait;
use event::Timestamp;
use object_store::client::HttpRequest;
use sink::BoxError;

use super::credentials::AwsCredentials;
use super::keys::CredentialsError;
use super::sigv4::sign;
use crate::config::Clock;
use crate::destination::Retention;
use crate::signing::RequestSigner;

/// The suffix of objects with events. Only they are retained.
const RETAINED_SUFFIX: &str = ".json.gz";
/// Microseconds in a second.
const SECOND_MICROS: i64 = 1_000_000;

/// Signs requests by AWS Signature Version 4, and adds the retention headers of uploads.
pub(super) struct SigV4Signer {
    credentials: AwsCredentials,
    region: String,
    clock: Clock,
    /// Clock skew: seconds that the store's clock is ahead of the server's.
    skew: AtomicI64,
    retention: Option<Retention>,
}

impl fmt::Debug for SigV4Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigV4Signer").field("region", &self.region).finish_non_exhaustive()
    }
}

impl SigV4Signer {
    pub(super) fn new(
        credentials: AwsCredentials,
        region: String,
        clock: Clock,
        retention: Option<Retention>,
    ) -> Self {
        Self { credentials, region, clock, skew: AtomicI64::new(0), retention }
    }

    fn now(&self) -> Timestamp {
        let skew = self.skew.load(Ordering::Relaxed).saturating_mul(SECOND_MICROS);
        Timestamp::from_micros((self.clock)().as_micros().saturating_add(skew))
    }
}

#[async_trait]
impl RequestSigner for SigV4Signer {
    async fn sign(&self, request: &mut HttpRequest) -> Result<(), BoxError> {
        let credential = self.credentials.get().await?;
        let now = self.now();
        if let Some(retention) = self.retention
            && request.method() == Method::PUT
            && request.uri().path().ends_with(RETAINED_SUFFIX)
        {
            let retain_until = later(now, retention.period).to_string();
            let retain_until =
                HeaderValue::from_str(&retain_until).map_err(|_| CredentialsError::Malformed)?;
            let mode = HeaderValue::from_static(retention.mode.as_str());
            let headers = request.headers_mut();
            headers.insert("x-amz-object-lock-mode", mode);
            headers.insert("x-amz-object-lock-retain-until-date", retain_until);
        }
        let signed = sign(request, &credential, now, &self.region, "s3");
        Ok(signed.ok_or(CredentialsError::Malformed)?)
    }

    async fn refresh(&self) -> bool {
        self.credentials.refresh().await
    }

    fn observe_clock_skew(&self, code: &str, server_time: Option<i64>) {
        if let Some(server_seconds) = server_time.filter(|_| code == "RequestTimeTooSkewed") {
            let local_seconds = (self.clock)().as_micros().div_euclid(SECOND_MICROS);
            self.skew.store(server_seconds.saturating_sub(local_seconds), Ordering::Relaxed);
        }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(time.as_micros().saturating_add(by))
}
