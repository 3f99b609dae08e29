//! The RBAC manifests of a standalone server: shipped once, then the owner's to change.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use apiserver::authz::rbac::Rbac;

use super::pki::write_private;

/// Who acts for the server itself.
const OWN: (&str, &str) = ("keepwatch.yaml", include_str!("rbac/keepwatch.yaml"));

/// Reads every manifest in `folder`; the shipped ones are put there if it is empty.
pub(crate) fn open(folder: &Path) -> Result<Rbac> {
    let mut texts = read(folder)?;
    if texts.is_empty() {
        for (name, text) in kasten::ROLES.iter().copied().chain([OWN]) {
            write_private(&folder.join(name), text)?;
        }
        texts = read(folder)?;
    }
    let texts = texts.iter().map(|(origin, text)| (origin.as_str(), text.as_str()));
    Rbac::of_manifests(texts).with_context(|| format!("cannot use {}", folder.display()))
}

/// Names and contents, in the order of the names.
fn read(folder: &Path) -> Result<Vec<(String, String)>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let is_manifest = path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|one| extension == *one));
        if is_manifest {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            texts.push((path.display().to_string(), text));
        }
    }
    texts.sort();
    Ok(texts)
}
