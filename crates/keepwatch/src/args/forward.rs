//! Flags of `keepwatch forward`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::values::bytes;
use crate::log::LogFormat;

/// What is read, and where it goes.
#[derive(Clone, Debug, Args)]
pub(crate) struct ForwardArgs {
    /// Kubeconfig of the receiver's audit webhook, as `keepwatch source webhook-config` prints it
    ///
    /// It is read again after each failed request, so that credentials can be replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) webhook_config: PathBuf,
    /// Audit log of a kube-apiserver (its --audit-log-path); can be repeated [default: those
    /// at the paths of kubeadm, RKE2, k3s and other distributions]
    ///
    /// Reads also rotated files, plain and gzip, and continues after a restart where it ended. At
    /// the first start it begins with the current file, not with older ones.
    #[arg(long, value_name = "PATH")]
    pub(crate) audit_log_path: Vec<PathBuf>,
    /// Folder for the buffer and for how far each file was read
    #[arg(long, value_name = "DIR", default_value = "/var/lib/keepwatch-forward")]
    pub(crate) data_dir: PathBuf,
    /// Size of the buffer; while it is full, the logs are not read
    #[arg(long, value_name = "SIZE", default_value = "1Gi", value_parser = bytes)]
    pub(crate) buffer_size: u64,
    /// Address of /healthz, /readyz and /metrics, which are served by plain HTTP to everyone
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:10252")]
    pub(crate) health_address: SocketAddr,
    /// Format of the log
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: LogFormat,
}
