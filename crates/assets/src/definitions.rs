//! The `CustomResourceDefinitions` of real backup tools, from their Go modules. Nothing is built.
//!
//! The module `definitions` beside this crate pins their versions and checksums.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::required;

/// A Go module with definitions, and their folder in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Definitions {
    /// Velero: 11 kinds.
    Velero,
    /// CSI snapshots and groups of them: 6 kinds.
    CsiSnapshots,
}

impl Definitions {
    /// The folder with one YAML file for each kind, downloaded if missing.
    pub fn folder(self) -> anyhow::Result<PathBuf> {
        let folder = match self {
            Self::Velero => "config/crd/v1/bases",
            Self::CsiSnapshots => "config/crd",
        };
        Ok(downloaded(self.module())?.join(folder))
    }

    /// The version of the module.
    pub fn version(self) -> anyhow::Result<String> {
        required(&manifest(), self.module())
    }

    fn module(self) -> &'static str {
        match self {
            Self::Velero => "github.com/vmware-tanzu/velero",
            Self::CsiSnapshots => "github.com/kubernetes-csi/external-snapshotter/client/v8",
        }
    }
}

fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions")
}

/// The folder of a module in Go's cache. Go checks it against `go.sum`.
fn downloaded(module: &str) -> anyhow::Result<PathBuf> {
    let version = required(&manifest(), module)?;
    let output = Command::new("go")
        .args(["mod", "download", "-json"])
        .arg(format!("{module}@{version}"))
        .current_dir(manifest())
        .output()
        .context("definitions are downloaded with Go, which cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{module} cannot be downloaded: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let folder = text.lines().find_map(|line| line.trim().strip_prefix("\"Dir\": \""));
    let folder = folder.and_then(|rest| rest.split('"').next());
    Ok(PathBuf::from(folder.with_context(|| format!("go does not tell where {module} is"))?))
}
