//! Writes generated files into a folder, or to standard output.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use detect::export::File;

use crate::printable::plain;
use crate::usage_error::UsageError;

/// The error for a flag with an unknown value.
pub(super) fn unknown(flag: &str, value: &str, known: &[&str]) -> UsageError {
    UsageError(vec![format!("--{flag}={value:?} is not known: one of {}", known.join(", "))])
}

/// Writes the files into the folder, or to standard output, where each of several files is preceded
/// by a line with its name.
pub(super) fn write(files: &[File], folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder else {
        let mut out = io::stdout().lock();
        for file in files {
            if files.len() > 1 {
                writeln!(out, "==> {} <==", plain(&file.name))?;
            }
            out.write_all(file.text.as_bytes())?;
        }
        return Ok(());
    };
    for file in files {
        let path = folder.join(&file.name);
        if let Some(parent) = path.parent() {
            let why = || format!("cannot create {}", parent.display());
            fs::create_dir_all(parent).with_context(why)?;
        }
        fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
