//! The provider Google Cloud Storage.

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

/// Google Cloud Storage.
#[derive(Clone, Debug)]
pub struct Gcs {
    /// URL of the server; Google if `None`.
    pub endpoint: Option<String>,
}

impl StoreProvider for Gcs {
    fn open(&self, destination: &Destination, config: &BucketConfig) -> OpenResult {
        builder::open(self, destination, config)
    }

    fn describe(&self, bucket: &str) -> String {
        format!("gcs bucket `{bucket}`")
    }

    fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    fn default_endpoint(&self) -> Option<&'static str> {
        Some("of Google")
    }

    fn advice(&self) -> &'static [Advice] {
        ADVICE
    }

    fn permission(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Write => "storage.objects.create",
            Operation::Read => "storage.objects.get",
        }
    }

    fn list_permission(&self) -> &'static str {
        "storage.objects.list"
    }

    fn diagnose_other(&self, destination: &Destination, response: &ResponseInfo) -> Option<String> {
        (response.status? == StatusCode::UNAUTHORIZED).then(|| {
            let (code, origin) = (code_suffix(&response.code), destination.credentials.origin());
            format!("the service account's key is not accepted{code}: check {origin}")
        })
    }
}
