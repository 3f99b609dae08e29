//! Rules in files and folders, and the built-in ones.
//!
//! A mistake in a rule is an error with file, line and column; no other rules are used then.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use detect::{Document, LoadOptions, RuleError, RuleSet, builtin};
use kasten::Installation;

use crate::args::input::RuleArgs;
use crate::usage_error::installation;

/// Maximum number of bytes of a file with rules.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Maximum number of files with rules.
const FILES_MAX: usize = 10_000;
/// Maximum number of levels of nested folders.
const DEPTH_MAX: usize = 16;

/// The values of placeholders in rules, by the flags about K10.
pub(crate) fn options(args: &RuleArgs) -> Result<LoadOptions> {
    Ok(load_options(&installation(&args.k10_api_domain, &args.k10_namespace)?))
}

/// The values of placeholders in rules, by the installation of K10.
pub(crate) fn load_options(installation: &Installation) -> LoadOptions {
    LoadOptions {
        k10_namespace: installation.namespace().to_owned(),
        k10_domain: installation.domain().to_owned(),
    }
}

/// The rules that the flags name.
pub(crate) fn load(args: &RuleArgs) -> Result<Arc<RuleSet>> {
    let mut documents = read_all(&args.rules)?;
    if !args.no_builtin {
        documents.splice(0..0, builtin::documents().iter().cloned());
    }
    let rules = RuleSet::load(&documents, &options(args)?).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(RuleError::to_string).collect();
        anyhow::anyhow!("rules cannot be used:\n{}", lines.join("\n"))
    })?;
    if rules.rules().is_empty() {
        bail!("there are no rules: specify some with --rules, or do not set --no-builtin");
    }
    Ok(Arc::new(rules))
}

/// Every rule file in these files and folders, sorted by name.
pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Vec<Document>> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        find(path, &mut files, 0)?;
        if files.len() == before {
            bail!("{}: it contains no rule (*.yaml, *.yml)", path.display());
        }
    }
    files.iter().map(|path| read(path)).collect()
}

/// One rule file.
pub(crate) fn read(path: &Path) -> Result<Document> {
    Ok(Document::new(path.display().to_string(), text(path)?))
}

/// The text of a file, if it is not too long.
pub(crate) fn text(path: &Path) -> Result<String> {
    let unreadable = || format!("cannot read {}", path.display());
    let length = fs::metadata(path).with_context(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        bail!("{}: it has {length} bytes, and a file has at most {FILE_BYTES_MAX}", path.display());
    }
    fs::read_to_string(path).with_context(unreadable)
}

fn find(path: &Path, files: &mut Vec<PathBuf>, depth: usize) -> Result<()> {
    let unreadable = || format!("cannot read {}", path.display());
    if !fs::metadata(path).with_context(unreadable)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > DEPTH_MAX || files.len() > FILES_MAX {
        bail!("{}: too many files, or too many levels of nested folders", path.display());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).with_context(unreadable)? {
        entries.push(entry.with_context(unreadable)?);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_folder = entry.file_type().with_context(unreadable)?.is_dir();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let is_rule =
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !is_hidden && (is_folder || is_rule) {
            find(&path, files, depth + 1)?;
        }
    }
    Ok(())
}
