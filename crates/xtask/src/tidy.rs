//! Checks rules of this repository that the compiler does not check. It also runs as a test.
//!
//! Deliberately simple: it reads lines, relies on rustfmt, and parses no Rust.

mod crates;
mod lines;
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Runs all checks, prints every violation, and fails if there is any.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut violations = Vec::new();
    for path in tracked(root)? {
        let text = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        violations.extend(lines::violations(&path, &text));
        violations.extend(words::violations(&path, &text));
    }
    violations.extend(crates::violations(root)?);
    if violations.is_empty() {
        return Ok(());
    }
    for violation in &violations {
        eprintln!("tidy: {violation}");
    }
    bail!("{} faults", violations.len());
}

/// The files that git tracks or would add.
fn tracked(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    if !output.status.success() {
        bail!("git ls-files failed");
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names
        .split('\0')
        .filter(|name| !name.is_empty() && root.join(name).is_file())
        .map(PathBuf::from)
        .collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_tidy() {
        super::run(&crate::root()).unwrap();
    }
}
