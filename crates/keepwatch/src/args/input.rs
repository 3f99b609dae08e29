//! Flags of the commands that read audit lines: where the lines come from, and which rules count.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::duration;

/// Where audit lines come from.
#[derive(Clone, Debug, Args)]
pub(crate) struct InputArgs {
    /// Audit lines, plain or gzip: files, folders, `s3://BUCKET/PREFIX`, - for standard input
    ///
    /// Lines of K10, of Keepwatch and of kube-apiserver may be mixed. Several inputs are merged by
    /// time, such as the logs of several API servers.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    /// Name of the cluster, for lines that do not carry one
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) cluster_name: String,
    #[command(flatten)]
    pub(crate) s3: S3Args,
}

/// How buckets are reached. Keys come from the usual variables of AWS.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Buckets")]
pub(crate) struct S3Args {
    /// Where the bucket is, if not at AWS; else `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`
    #[arg(long = "s3-endpoint", value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Region of the bucket; else `AWS_REGION` or `AWS_DEFAULT_REGION`, else us-east-1
    #[arg(long = "s3-region", value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Certificates that the endpoint may be signed by beside the system's, PEM
    #[arg(long = "s3-ca-file", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Read without credentials, as for a public bucket
    #[arg(long = "s3-anonymous")]
    pub(crate) anonymous: bool,
}

/// Which rules count.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rules")]
pub(crate) struct RuleArgs {
    /// File or folder with rules (*.yaml, *.yml) beside the built-in ones; can be repeated
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Leave the built-in rules out
    #[arg(long)]
    pub(crate) no_builtin: bool,
    /// Namespace of K10, whose service accounts are K10's own
    #[arg(long, value_name = "NAMESPACE", default_value = kasten::domain::K10_NAMESPACE)]
    pub(crate) k10_namespace: String,
    /// Domain that K10's API groups end in
    #[arg(long, value_name = "DOMAIN", default_value = kasten::domain::DOMAIN)]
    pub(crate) k10_api_domain: String,
    /// How much later than others a line may come and still be in order
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub(crate) lateness: Duration,
}
