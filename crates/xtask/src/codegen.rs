//! References that are generated, so that they cannot go stale.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::{cargo, root, target};

/// Each generated page and the hidden command of the binary that prints it.
const PAGES: [(&str, &str); 3] = [
    ("docs/reference/kinds.md", "kinds"),
    ("docs/reference/cli.md", "cli"),
    ("docs/reference/limits.md", "limits"),
];

/// Writes the pages; with `check` only compares them.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    cargo(&["build", "--workspace", "--bin", "keepwatch"])?;
    let keepwatch = target()?.join("debug/keepwatch");
    for (page, name) in PAGES {
        let fresh = print(&keepwatch, name)?;
        let path = root().join(page);
        let kept = fs::read_to_string(&path).unwrap_or_default();
        if kept == fresh {
            continue;
        }
        if check {
            bail!("{page} is out of date: run `cargo xtask codegen` and commit the result");
        }
        fs::create_dir_all(root().join("docs/reference"))?;
        fs::write(&path, fresh).with_context(|| format!("cannot write {page}"))?;
        println!("wrote {page}");
    }
    Ok(())
}

fn print(keepwatch: &Path, name: &str) -> anyhow::Result<String> {
    let output = Command::new(keepwatch)
        .args(["reference", name])
        .output()
        .context("cannot start keepwatch")?;
    if !output.status.success() {
        bail!("`keepwatch reference {name}`: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
