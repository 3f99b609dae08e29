//! The provider Azure Blob Storage.

use super::advice::ADVICE;
use super::builder;
use crate::advice::Advice;
use crate::config::BucketConfig;
use crate::destination::Destination;
use crate::diagnose::Operation;
use crate::provider::StoreProvider;
use crate::signing::OpenResult;

/// Azure Blob Storage.
#[derive(Clone, Debug)]
pub struct Azure {
    /// URL of the server; Azure's public cloud if `None`.
    pub endpoint: Option<String>,
}

impl StoreProvider for Azure {
    fn open(&self, destination: &Destination, config: &BucketConfig) -> OpenResult {
        builder::open(self, destination, config)
    }

    fn describe(&self, bucket: &str) -> String {
        format!("azure container `{bucket}`")
    }

    fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    fn default_endpoint(&self) -> Option<&'static str> {
        Some("of Azure")
    }

    fn advice(&self) -> &'static [Advice] {
        ADVICE
    }

    fn permission(&self, _: Operation) -> &'static str {
        "Storage Blob Data Contributor"
    }

    fn list_permission(&self) -> &'static str {
        "Storage Blob Data Reader"
    }

    fn bucket_text(&self) -> &'static str {
        "container `{bucket}` in the storage account of {identity}"
    }
}
