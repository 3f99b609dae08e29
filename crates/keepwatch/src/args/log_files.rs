//! Flags of the logs of other servers.

use std::path::{Path, PathBuf};

use clap::Args;
use source::limits::LOGS_MAX;
use source::log_files::{self, LogFilesConfig};

use super::listener::cluster_name;

/// Which logs are read.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Audit logs")]
pub(crate) struct LogFilesArgs {
    /// Audit log of a kube-apiserver (its --audit-log-path) whose events are recorded, and the name
    /// of its cluster; can be repeated
    ///
    /// Reads also rotated files, plain and gzip, and continues after a restart where it ended. At
    /// the first start it begins with the current file, not with older ones.
    #[arg(long, value_name = "CLUSTER=PATH", value_parser = log)]
    pub(crate) audit_log_source: Vec<(String, PathBuf)>,
}

impl LogFilesArgs {
    /// Adds errors about the flags together.
    pub(crate) fn check(&self, errors: &mut Vec<String>) {
        if self.audit_log_source.len() > LOGS_MAX {
            errors.push(format!("--audit-log-source is given more than {LOGS_MAX} times"));
        }
    }

    /// Adds that the server would read its own output.
    pub(crate) fn check_output(&self, output: &Path, errors: &mut Vec<String>) {
        if self.audit_log_source.iter().any(|(_, path)| path == output) {
            errors.push(format!(
                "--audit-log-source and --audit-log-file are both {}: the server would record its \
                 own output",
                output.display()
            ));
        }
    }

    /// The configurations of the sources.
    pub(crate) fn configs(&self) -> Vec<LogFilesConfig> {
        log_files::configs(&self.audit_log_source)
    }
}

/// `prod=/var/log/kubernetes/audit/audit.log`
fn log(text: &str) -> Result<(String, PathBuf), String> {
    let Some((cluster, path)) = text.split_once('=').filter(|(_, path)| path.starts_with('/'))
    else {
        return Err(format!(
            "{text:?} is not the name of a cluster and an absolute path, such as \
             prod=/var/log/kubernetes/audit/audit.log"
        ));
    };
    if path.ends_with('/') {
        return Err(format!("{path:?} is a folder: give the path of the log"));
    }
    Ok((cluster_name(cluster)?, PathBuf::from(path)))
}
