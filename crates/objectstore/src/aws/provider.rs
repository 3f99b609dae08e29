//! The provider S3.

use ::http::StatusCode;

use super::advice::ADVICE;
use super::builder;
use crate::advice::{Advice, code_suffix};
use crate::config::BucketConfig;
use crate::destination::Destination;
use crate::diagnose::Operation;
use crate::http::ResponseInfo;
use crate::provider::StoreProvider;
use crate::signing::OpenResult;
use crate::upload_mode::{Checksum, may_reject_header};

/// The region in signatures for stores without regions.
const REGION_DEFAULT: &str = "us-east-1";

/// AWS S3, or a store that speaks its protocol.
#[derive(Clone, Debug)]
pub struct S3 {
    /// URL such as `https://minio.example.com:9000`; AWS if `None`.
    pub endpoint: Option<String>,
    /// The region in signatures; `us-east-1` if empty.
    pub region: String,
    /// The bucket is a part of the path instead of the host name.
    pub path_style: bool,
}

impl S3 {
    /// The region in signatures.
    pub(super) fn signing_region(&self) -> &str {
        if self.region.is_empty() { REGION_DEFAULT } else { &self.region }
    }
}

impl StoreProvider for S3 {
    fn open(&self, destination: &Destination, config: &BucketConfig) -> OpenResult {
        builder::open(self, destination, config)
    }

    fn describe(&self, bucket: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("s3 bucket `{bucket}` at {endpoint}"),
            None => format!("s3 bucket `{bucket}` in region `{}`", self.region),
        }
    }

    fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    fn default_endpoint(&self) -> Option<&'static str> {
        Some("of AWS")
    }

    fn advice(&self) -> &'static [Advice] {
        ADVICE
    }

    fn permission(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Write => "s3:PutObject",
            Operation::Read => "s3:GetObject",
        }
    }

    fn list_permission(&self) -> &'static str {
        "s3:ListBucket"
    }

    fn implied_code(&self, response: &ResponseInfo) -> Option<&'static str> {
        let is_redirect = matches!(
            response.status,
            Some(StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT)
        );
        is_redirect.then_some("PermanentRedirect")
    }

    fn bucket_text(&self) -> &'static str {
        "bucket `{bucket}` in region `{region}`"
    }

    fn region(&self) -> Option<&str> {
        Some(self.signing_region())
    }

    fn diagnose_other(&self, destination: &Destination, response: &ResponseInfo) -> Option<String> {
        may_reject_header(response).then(|| {
            let lock = match destination.retention {
                Some(_) => ", and Object Lock, which the bucket must have",
                None => "",
            };
            let code = code_suffix(&response.code);
            format!(
                "the store at {destination} accepts no form of an upload{code}: with \
                 x-amz-checksum-sha256, with Content-MD5 and without a checksum, with \
                 If-None-Match and without it{lock}; use another store"
            )
        })
    }

    fn negotiates_headers(&self) -> bool {
        true
    }

    fn checksum(&self, detected: Checksum) -> Checksum {
        detected
    }
}
