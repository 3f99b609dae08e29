//! Flags of the buckets whose objects are recorded.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use source::buckets::{self, BucketSourceConfig};
use source::limits::{BUCKETS_MAX, BUCKETS_READS_MAX};
use tokio::sync::Semaphore;

use super::input::S3Args;
use super::listener::cluster_name;
use super::values::duration;
use crate::bucket_url::BucketUrl;

/// The shortest pause between two listings.
const POLL_PERIOD_MIN: Duration = Duration::from_secs(1);

/// Which buckets are read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Buckets of other servers")]
#[expect(clippy::struct_field_names, reason = "the names of the flags, which other flags resemble")]
pub(crate) struct BucketArgs {
    /// Prefix of a bucket, or folder, with audit events that are recorded, and the name of their
    /// cluster; can be repeated
    ///
    /// `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`,
    /// `https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX` or an absolute path. Reads the logs of
    /// EKS, GKE and AKS, K10's `k10audit/`, and the archive of another Keepwatch, plain, gzip and zstd.
    /// Credentials come from the usual variables of the provider, or are those of the pod.
    #[arg(long, value_name = "CLUSTER=URL", value_delimiter = ',', value_parser = source)]
    pub(crate) bucket_source: Vec<(String, BucketUrl)>,
    /// Time between two listings of a bucket
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub(crate) bucket_source_poll_period: Duration,
    /// Time in which it is normal that a bucket has no new object
    ///
    /// The rule keepwatch-source-silent raises a signal an hour after it.
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = duration)]
    pub(crate) bucket_source_quiet_period: Duration,
    /// Endpoint of the S3 buckets that are read, if it is not AWS [default: `AWS_ENDPOINT_URL_S3` or
    /// `AWS_ENDPOINT_URL`]
    ///
    /// It gets a key of the environment, never the pod's own cloud credentials.
    #[arg(long, value_name = "URL")]
    pub(crate) bucket_source_s3_endpoint: Option<String>,
    /// Region of these buckets [default: `AWS_REGION`, `AWS_DEFAULT_REGION` or us-east-1]
    #[arg(long, value_name = "REGION")]
    pub(crate) bucket_source_s3_region: Option<String>,
    /// Additional CA certificates for the buckets that are read, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) bucket_source_ca_file: Option<PathBuf>,
}

impl BucketArgs {
    /// Adds errors about the flags together.
    pub(crate) fn check(&self, errors: &mut Vec<String>) {
        if self.bucket_source.len() > BUCKETS_MAX {
            errors.push(format!("--bucket-source names more than {BUCKETS_MAX} prefixes"));
        }
        if self.bucket_source_poll_period < POLL_PERIOD_MIN {
            errors.push("--bucket-source-poll-period must be at least 1s".to_owned());
        }
        for (index, (cluster, url)) in self.bucket_source.iter().enumerate() {
            let earlier = self.bucket_source.iter().take(index);
            if earlier.into_iter().any(|(_, other)| other == url) {
                errors.push(format!("--bucket-source names {} twice", url.url()));
            }
            if let Some(denial) = url.denial(&self.access()) {
                errors.push(format!("--bucket-source={cluster}=…: {denial}"));
            }
        }
    }

    /// The configurations of the sources.
    pub(crate) fn configs(&self) -> Result<Vec<BucketSourceConfig>> {
        let reads = Arc::new(Semaphore::new(BUCKETS_READS_MAX));
        let clusters = self.bucket_source.iter().map(|(cluster, _)| cluster.as_str());
        let config = |(name, (cluster, url)): (String, &(String, BucketUrl))| {
            Ok(BucketSourceConfig {
                name,
                cluster: cluster.clone(),
                url: url.url(),
                bucket: Arc::new(url.open(&self.access())?),
                prefix: url.prefix.clone(),
                poll_period: self.bucket_source_poll_period,
                quiet_period: self.bucket_source_quiet_period,
                reads: Arc::clone(&reads),
            })
        };
        buckets::names(clusters).into_iter().zip(&self.bucket_source).map(config).collect()
    }

    fn access(&self) -> S3Args {
        S3Args {
            endpoint: self.bucket_source_s3_endpoint.clone(),
            region: self.bucket_source_s3_region.clone(),
            ca_file: self.bucket_source_ca_file.clone(),
            anonymous: false,
        }
    }
}

/// `prod=s3://audit/eks/`
fn source(text: &str) -> Result<(String, BucketUrl), String> {
    let Some((cluster, url)) =
        text.split_once('=').and_then(|(cluster, url)| Some((cluster, BucketUrl::parse(url)?)))
    else {
        return Err(format!(
            "{text:?} is not the name of a cluster and a URL, such as prod=s3://audit/eks/, \
             prod=gs://audit/cloudaudit.googleapis.com/, \
             prod=https://ACCOUNT.blob.core.windows.net/insights-logs-kube-audit/ or prod=/mnt/audit"
        ));
    };
    Ok((cluster_name(cluster)?, url))
}
