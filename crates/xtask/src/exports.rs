//! Validates exported rules and dashboards with the parsers and schemas of their targets.
//!
//! It reads the golden files, which a test of the crate `detect` compares with the exports.
//! [`READERS`] lists the validators. A validator that is a library is called by a script in the
//! folder `exports`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::root;

/// The validator of a folder.
enum Reader {
    /// A Python script.
    Python(&'static str),
    /// A Node script, and the function that installs its packages and returns their folder.
    Node(&'static str, fn() -> anyhow::Result<PathBuf>),
    /// A Go program that checks dashboards against Grafana's schema.
    Dashboards,
}

/// The folders below [`GOLDEN`], and their validators.
const READERS: [(&str, Reader); 8] = [
    ("datadog", Reader::Python("read_datadog.py")),
    ("sentinel", Reader::Node("read_sentinel.js", assets::packages::kusto)),
    ("sigma", Reader::Python("read_sigma.py")),
    ("falco", Reader::Python("read_falco.py")),
    ("loki", Reader::Node("read_grafana.js", assets::packages::grammars)),
    ("dashboards/datadog", Reader::Python("read_datadog_dashboards.py")),
    ("dashboards/grafana", Reader::Node("read_grafana.js", assets::packages::grammars)),
    ("dashboards/grafana", Reader::Dashboards),
];
/// The folder of the golden files.
const GOLDEN: &str = "crates/detect/tests/golden";
/// The folder of the scripts.
const SCRIPTS: &str = "crates/xtask/src/exports";

/// Validates every folder. A missing Python, Node or Go is an error.
pub(crate) fn read_all() -> anyhow::Result<()> {
    for (name, reader) in READERS {
        let mut command = reader.command(&root().join(GOLDEN).join(name))?;
        let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
        ensure!(status.success(), "{name}: {status}; see the messages of its reader above");
    }
    Ok(())
}

impl Reader {
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
                let mut reader = Command::new(assets::dashboard_reader()?);
                reader.args(files_in(folder)?);
                reader
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
