//! The RBAC manifests of a standalone server: written at the first start; afterwards the operator
//! may change them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use apiserver::authz::rbac::Rbac;

use super::pki::write_private;

/// The roles of the server's own clients, and the permissions of every user. The folder of an
/// earlier release may lack some.
const OWN: [(&str, &str); 3] = [
    ("basic-user.yaml", include_str!("rbac/basic-user.yaml")),
    ("keepwatch.yaml", include_str!("rbac/keepwatch.yaml")),
    ("keepwatch-controller.yaml", include_str!("rbac/keepwatch-controller.yaml")),
];

/// Reads every manifest in `folder`. Writes the shipped ones first if it is empty, and those of the
/// server itself, with the roles for its own kinds, if they are missing.
pub(crate) fn open(folder: &Path) -> Result<Rbac> {
    let shipped = if read(folder)?.is_empty() { kasten::ROLES } else { &[] };
    for (name, text) in shipped.iter().chain(siem::ROLES).copied().chain(OWN) {
        let path = folder.join(name);
        if !path.exists() {
            write_private(&path, text)?;
        }
    }
    let texts = read(folder)?;
    let texts = texts.iter().map(|(origin, text)| (origin.as_str(), text.as_str()));
    Rbac::from_manifests(texts).with_context(|| format!("cannot use {}", folder.display()))
}

/// Names and contents, sorted by name.
fn read(folder: &Path) -> Result<Vec<(String, String)>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let is_manifest = path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"].iter().any(|known| extension == *known)
        });
        if is_manifest {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            texts.push((path.display().to_string(), text));
        }
    }
    texts.sort();
    Ok(texts)
}
