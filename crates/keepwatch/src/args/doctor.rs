//! Flags of `keepwatch doctor`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::listener::cluster_name;
use super::values::duration;

/// Default time for one request.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Default time for all requests.
pub(crate) const TOTAL_TIME: Duration = Duration::from_mins(1);

/// Flags of `keepwatch doctor`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Kubeconfig of the cluster [default: `KUBECONFIG`, ~/.kube/config, or the pod's service
    /// account]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig [default: the current context]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Format: table, json, yaml, values for the Helm values only, or facts for what was read
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) output: DoctorFormat,
    /// Name of the cluster in the values [default: that of the release, of eksctl's label or of the
    /// kubeconfig]
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    pub(crate) cluster_name: Option<String>,
    /// URL of the bucket to which the provider writes the audit log, for the values
    #[arg(long, value_name = "URL", value_parser = bucket)]
    pub(crate) bucket: Option<String>,
    /// Time limit for one request; what does not answer is reported as not known
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) request_timeout: Duration,
    /// Time limit for all requests
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// Forms of the findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorFormat {
    /// Tables for a terminal.
    #[default]
    Table,
    /// JSON for programs.
    Json,
    /// YAML.
    Yaml,
    /// The Helm values only, as YAML.
    Values,
    /// What was read, as JSON. It contains no secrets.
    Facts,
}

/// A URL that the chart accepts.
fn bucket(text: &str) -> Result<String, String> {
    let is_url = ["s3://", "gs://", "https://", "/"]
        .iter()
        .any(|start| text.strip_prefix(start).is_some_and(|rest| !rest.is_empty()));
    if !is_url || text.contains(|c: char| c == ',' || c.is_whitespace()) {
        return Err(format!("{text:?} is not a URL such as s3://BUCKET/PREFIX/"));
    }
    Ok(text.to_owned())
}
