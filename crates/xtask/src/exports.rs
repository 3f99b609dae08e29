//! Exported rules, read by programs of those who will take them.
//!
//! What is read are the kept files, which a test of the crate `detect` compares with what the program
//! writes. A target that something can read has a script here and a line in [`READERS`].

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::root;

/// Target, and the script that reads its folder: of Python or of Node.
const READERS: [(&str, &str); 3] =
    [("datadog", "read_datadog.py"), ("sentinel", "read_sentinel.js"), ("sigma", "read_sigma.py")];
/// Where the kept files are.
const GOLDEN: &str = "crates/detect/tests/golden";
/// Where the scripts are.
const SCRIPTS: &str = "crates/xtask/src/exports";

/// Reads every target's files; a missing Python or Node is an error.
pub(crate) fn read_all() -> anyhow::Result<()> {
    for (target, script) in READERS {
        let script = root().join(SCRIPTS).join(script);
        let mut reader = reader(&script)?;
        let status = reader
            .arg(&script)
            .arg(root().join(GOLDEN).join(target))
            .status()
            .with_context(|| format!("cannot start the reader {}", script.display()))?;
        ensure!(status.success(), "{}: {status}; its messages stand above", script.display());
    }
    Ok(())
}

/// What runs a script, with the packages that it needs.
fn reader(script: &Path) -> anyhow::Result<Command> {
    if script.extension().is_some_and(|it| it == "js") {
        let mut node = Command::new(assets::packages::node());
        node.env("NODE_PATH", assets::packages::kusto()?.join("node_modules"));
        return Ok(node);
    }
    let mut python = Command::new(assets::packages::python());
    python.env("PYTHONPATH", assets::packages::readers()?).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(python)
}
