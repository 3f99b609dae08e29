//! Selects the logs to forward: those on the command line, or those at the paths of known
//! distributions.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use source::limits::LOGS_MAX;
use source::log_files::{self, LogFilesConfig};

/// Placeholder for the cluster name: the receiver identifies the cluster by the credentials.
const LOCAL: &str = "local";

/// Default paths of the log in distributions, or the paths in their documentation.
pub(crate) const KNOWN: [&str; 9] = [
    // kubeadm, after the example in the documentation of Kubernetes.
    "/var/log/kubernetes/audit/audit.log",
    "/var/log/kubernetes/audit.log",
    "/var/lib/rancher/rke2/server/logs/audit.log",
    "/var/lib/rancher/k3s/server/logs/audit.log",
    // RKE.
    "/var/log/kube-audit/audit-log.json",
    // OpenShift.
    "/var/log/kube-apiserver/audit.log",
    "/var/log/openshift-apiserver/audit.log",
    "/var/log/oauth-apiserver/audit.log",
    "/var/log/oauth-server/audit.log",
];

/// Adds errors about the given paths.
pub(super) fn check(configured: &[PathBuf], errors: &mut Vec<String>) {
    if configured.len() > LOGS_MAX {
        errors.push(format!("--audit-log-path is given more than {LOGS_MAX} times"));
    }
    for path in configured {
        if !path.is_absolute() || path.to_string_lossy().ends_with('/') {
            let path = path.display();
            errors.push(format!("--audit-log-path={path} is not the absolute path of a file"));
        }
    }
}

/// The logs that are forwarded. A log from the command line need not exist yet.
pub(super) fn find(configured: &[PathBuf]) -> Result<Vec<LogFilesConfig>> {
    find_among(configured, &KNOWN.map(PathBuf::from))
}

fn find_among(configured: &[PathBuf], known: &[PathBuf]) -> Result<Vec<LogFilesConfig>> {
    let mut paths = configured.to_vec();
    if paths.is_empty() {
        paths.extend(known.iter().filter(|path| path.is_file()).cloned());
    }
    if paths.is_empty() {
        // A log that stays empty forever is worse than one that is missing for some time.
        let has_folder = |path: &&PathBuf| path.parent().is_some_and(Path::is_dir);
        paths.extend(known.iter().filter(has_folder).cloned());
    }
    if paths.is_empty() {
        let known: Vec<String> = known.iter().map(|path| path.display().to_string()).collect();
        return Err(anyhow!(
            "no audit log was found at {}: give the value of kube-apiserver's --audit-log-path as \
             --audit-log-path, and mount its folder if this runs in a container",
            known.join(", ")
        ));
    }
    let logs: Vec<(String, PathBuf)> =
        paths.into_iter().map(|path| (LOCAL.to_owned(), path)).collect();
    Ok(log_files::configs(&logs))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn logs_that_exist_are_found_without_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let known = ["kubeadm/audit.log", "rke2/audit.log", "k3s/audit.log"].map(path);
        let paths = |configured: &[PathBuf]| -> Option<Vec<PathBuf>> {
            let logs = find_among(configured, &known).ok()?;
            Some(logs.into_iter().map(|log| log.path).collect())
        };
        assert_eq!(paths(&[]), None);
        for name in ["kubeadm", "rke2"] {
            fs::create_dir(path(name)).unwrap();
        }
        assert_eq!(paths(&[]).unwrap(), known[..2], "these folders may get logs");
        fs::write(&known[1], "").unwrap();
        assert_eq!(paths(&[]).unwrap(), known[1..2], "only one has a log");
        let configured = [path("other.log")];
        assert_eq!(paths(&configured).unwrap(), configured);
    }
}
