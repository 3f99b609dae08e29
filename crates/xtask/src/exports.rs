//! Exported rules, read by programs of those who will take them.
//!
//! What is read are the kept files, which a test of the crate `detect` compares with what the program
//! writes. A target that something can read has a script here and a line in [`READERS`].

use std::process::Command;

use anyhow::{Context, ensure};

use crate::root;

/// Target, and the script that reads its folder.
const READERS: [(&str, &str); 2] = [("datadog", "read_datadog.py"), ("sigma", "read_sigma.py")];
/// Where the kept files are.
const GOLDEN: &str = "crates/detect/tests/golden";
/// Where the scripts are.
const SCRIPTS: &str = "crates/xtask/src/exports";

/// Reads every target's files; a missing Python is an error.
pub(crate) fn read_all() -> anyhow::Result<()> {
    let packages = assets::packages::readers()?;
    for (target, script) in READERS {
        let script = root().join(SCRIPTS).join(script);
        let status = Command::new(assets::packages::python())
            .env("PYTHONPATH", &packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(&script)
            .arg(root().join(GOLDEN).join(target))
            .status()
            .with_context(|| format!("cannot start Python for {}", script.display()))?;
        ensure!(status.success(), "{}: {status}; its messages stand above", script.display());
    }
    Ok(())
}
