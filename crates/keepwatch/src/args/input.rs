//! Flags of the commands that read audit lines: the source of the lines, and the rules to use.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::duration;

/// Where audit lines come from.
#[derive(Clone, Debug, Args)]
pub(crate) struct InputArgs {
    /// Audit logs, plain, gzip or zstd: files, folders, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`,
    /// `https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`, or - for standard input
    ///
    /// Lines of K10, Keepwatch, kube-apiserver, EKS, GKE, AKS and OpenShift can be mixed. Several inputs, such as the logs of
    /// several API servers, are merged by time.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    /// Name of the cluster, for lines without one
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) cluster_name: String,
    #[command(flatten)]
    pub(crate) s3: S3Args,
}

/// How buckets are accessed. Credentials come from the standard AWS environment variables.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Buckets")]
pub(crate) struct S3Args {
    /// Endpoint of the bucket, if it is not AWS [default: `AWS_ENDPOINT_URL_S3` or
    /// `AWS_ENDPOINT_URL`]
    #[arg(long = "s3-endpoint", value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Region of the bucket [default: `AWS_REGION`, `AWS_DEFAULT_REGION` or us-east-1]
    #[arg(long = "s3-region", value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Additional CA certificates for the endpoint, PEM
    #[arg(long = "s3-ca-file", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Read without credentials, for a public bucket
    #[arg(long = "s3-anonymous")]
    pub(crate) anonymous: bool,
}

/// The rules to use.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rules")]
pub(crate) struct RuleArgs {
    /// File or folder with additional rules (*.yaml, *.yml); can be repeated
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Do not use the built-in rules
    #[arg(long)]
    pub(crate) no_builtin: bool,
    /// K10's namespace, whose service accounts are K10's own
    #[arg(long, value_name = "NAMESPACE", default_value = kasten::names::K10_NAMESPACE)]
    pub(crate) k10_namespace: String,
    /// Domain of K10's API groups
    #[arg(long, value_name = "DOMAIN", default_value = kasten::names::DOMAIN)]
    pub(crate) k10_api_domain: String,
    /// How late a line may arrive and still be counted in order
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub(crate) lateness: Duration,
}
