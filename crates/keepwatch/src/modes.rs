//! Who may read the files that the server keeps: mended at the start where others may, with a word.
//!
//! Only files that the server makes itself are looked at. Certificates and keys that an operator gives
//! it are his.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// What others than the owner may not do with a file.
const FILE_BITS: u32 = 0o077;
/// What others may not do with a folder. A volume's group is the cluster's to say.
const FOLDER_BITS: u32 = 0o007;
/// Folders below a data folder that hold files of the server.
const BELOW: [&str; 1] = ["pki"];

/// Mends a data folder and the files in it. A file that cannot be mended is refused: it holds keys, or
/// what was recorded.
pub(crate) fn tighten(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let mode = fs::metadata(folder).map(|found| found.permissions().mode()).unwrap_or_default();
    if mode & FOLDER_BITS != 0 {
        match set(folder, mode & !FOLDER_BITS) {
            Ok(()) => said(folder, mode),
            // The mount point of a volume may be another's. The files in it count.
            Err(error) => tracing::warn!(
                folder = %folder.display(),
                mode = format!("{:o}", mode & 0o7777),
                %error,
                "others may look into the data folder, and this cannot be mended"
            ),
        }
    }
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let found = entry.metadata()?;
        let mode = found.permissions().mode();
        if found.is_file() && mode & FILE_BITS != 0 {
            let path = entry.path();
            set(&path, mode & !FILE_BITS).with_context(|| {
                format!(
                    "others may read or write {} (mode {:o}), and this cannot be mended: run \
                     `chmod 600` on it as its owner",
                    path.display(),
                    mode & 0o7777
                )
            })?;
            said(&path, mode);
        }
    }
    for below in BELOW {
        tighten(&folder.join(below))?;
    }
    Ok(())
}

fn set(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))
}

fn said(path: &Path, before: u32) {
    tracing::warn!(
        path = %path.display(),
        before = format!("{:o}", before & 0o7777),
        "others could read or write this: its mode was mended; if they did, replace the keys in it"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// A folder of mode 0777 with keys of mode 0666 was accepted without a word.
    #[test]
    fn loose_modes_of_folder_store_and_keys_are_mended() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path().join("home");
        fs::create_dir_all(home.join("pki")).unwrap();
        fs::create_dir_all(home.join("volumes")).unwrap();
        for (name, loose) in
            [("secrets.key", 0o666), ("keepwatch.db", 0o664), ("pki/ca.key", 0o644)]
        {
            fs::write(home.join(name), "x").unwrap();
            set(&home.join(name), loose).unwrap();
        }
        let outside = place.path().join("outside");
        fs::write(&outside, "x").unwrap();
        set(&outside, 0o644).unwrap();
        std::os::unix::fs::symlink(&outside, home.join("link")).unwrap();
        set(&home, 0o777).unwrap();
        tighten(&home).unwrap();
        assert_eq!(mode(&home), 0o770);
        for name in ["secrets.key", "keepwatch.db", "pki/ca.key"] {
            assert_eq!(mode(&home.join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&outside), 0o644, "what a link leads to is not ours");
        tighten(&place.path().join("absent")).unwrap();
    }
}
