//! Validates exported rules and dashboards with the parsers and schemas of their targets.
//!
//! It reads the golden files, which a test of the crate `detect` compares with the exports.
//! [`VALIDATORS`] lists the validators. A validator that is a library is called by a script in the
//! folder `exports`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::root;

/// The validator of a folder.
enum Validator {
    /// A Python script.
    Python(&'static str),
    /// A Node script, and the function that installs its packages and returns their folder.
    Node(&'static str, fn() -> anyhow::Result<PathBuf>),
    /// A Go program that checks dashboards against Grafana's schema.
    Dashboards,
}

/// The folders below [`GOLDEN`], and their validators.
const VALIDATORS: [(&str, Validator); 8] = [
    ("datadog", Validator::Python("read_datadog.py")),
    ("sentinel", Validator::Node("read_sentinel.js", assets::packages::kusto)),
    ("sigma", Validator::Python("read_sigma.py")),
    ("falco", Validator::Python("read_falco.py")),
    ("loki", Validator::Node("read_grafana.js", assets::packages::grammars)),
    ("dashboards/datadog", Validator::Python("read_datadog_dashboards.py")),
    ("dashboards/grafana", Validator::Node("read_grafana.js", assets::packages::grammars)),
    ("dashboards/grafana", Validator::Dashboards),
];
/// The folder of the golden files.
const GOLDEN: &str = "crates/detect/tests/golden";
/// The folder of the scripts.
const SCRIPTS: &str = "crates/xtask/src/exports";

/// Validates every folder. A missing Python, Node or Go is an error.
pub(crate) fn validate_all() -> anyhow::Result<()> {
    for (name, validator) in VALIDATORS {
        let mut command = validator.command(&root().join(GOLDEN).join(name))?;
        let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
        ensure!(status.success(), "{name}: {status}; see the messages of its validator above");
    }
    Ok(())
}

impl Validator {
    /// The command that validates the folder.
    fn command(&self, folder: &Path) -> anyhow::Result<Command> {
        let script = |name| root().join(SCRIPTS).join(name);
        Ok(match self {
            Self::Python(name) => {
                let mut python = Command::new(assets::packages::python());
                python
                    .env("PYTHONPATH", assets::packages::readers()?)
                    .env("PYTHONDONTWRITEBYTECODE", "1")
                    .arg(script(name))
                    .arg(folder);
                python
            }
            Self::Node(name, packages) => {
                let mut node = Command::new(assets::packages::node());
                let packages = packages()?.join("node_modules");
                node.env("NODE_PATH", packages).arg(script(name)).arg(folder);
                node
            }
            Self::Dashboards => {
                let mut validator = Command::new(assets::dashboard_reader()?);
                validator.args(files_in(folder)?);
                validator
            }
        })
    }
}

/// The files of a folder and its subfolders.
fn files_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()));
    for entry in entries? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_in(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
