//! Custom resource definitions of backup tools, from the tools' own Go modules.
//!
//! Deliberately absent: copies of the files. Modules of other tools are not in the proxy.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

/// A module, its version, the digest of its content, and the folder of its definitions.
const MODULES: [(&str, &str, &str, &str); 3] = [
    (
        "github.com/vmware-tanzu/velero",
        "v1.18.3",
        "h1:9uwN5yxTWQl9PsF5ljX4xiG+7VIq3I9mxOQ0DyyZ31A=",
        "config/crd/v1/bases",
    ),
    (
        "github.com/kubernetes-csi/external-snapshotter/client/v8",
        "v8.7.0",
        "h1:HVaSUeRRHPu49aSiL8eXOjS9Re9G6pM0NzdTGI7mM14=",
        "config/crd",
    ),
    (
        "github.com/k3s-io/api",
        "v0.2.1",
        "h1:ZYFsqUOgTlM1Se3vpX7cBDQWTE8eDD+9320rIqQOV50=",
        "pkg/crds/yaml/generated",
    ),
];

/// Returns the definitions of Velero, CSI snapshots and k3s as YAML files named `GROUP_PLURAL.yaml`,
/// downloaded if missing.
pub fn definitions() -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (module, version, sum, folder) in MODULES {
        let output = Command::new("go")
            .args(["mod", "download", "-json", &format!("{module}@{version}")])
            // Outside of a module, so that no go.sum of other modules is needed.
            .current_dir(std::env::temp_dir())
            .output()
            .context("definitions are downloaded with Go, which cannot be started")?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("go mod download printed no JSON for {module}"))?;
        if report["Sum"] != sum {
            bail!("{module}@{version} cannot be used: {report}; its digest must be {sum}");
        }
        let root = report["Dir"].as_str().context("go mod download names no folder")?;
        for entry in fs::read_dir(PathBuf::from(root).join(folder))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.contains('_') {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
