//! File modes: restricts access to the server's files at start-up, and logs each change.
//!
//! Only files that the server itself creates are changed. A data folder may hold other files, and
//! certificates and keys that an operator provides are the operator's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Permission bits that others than the owner may not have on a file of the server.
const FILE_BITS: u32 = 0o077;
/// Permission bits that others may not have on a folder, or on a file that is not the server's to change.
/// The cluster decides about a volume's group.
const OTHERS_BITS: u32 = 0o007;
/// Others may write.
const OTHERS_WRITE: u32 = 0o002;
/// The sticky bit: only the owner of a file may replace it.
const STICKY: u32 = 0o1000;
/// Prefixes of the names of the server's files.
const OWN_PREFIX: &str = "keepwatch.";
/// Other files that the server creates, beside keys in its key folders.
const OWN_NAMES: [&str; 3] = ["secrets.key", "kubeconfig", "apiserver.key"];
/// Suffix of the names of keys.
const KEY_SUFFIX: &str = ".key";
/// Folders below a data folder with files of the server.
const BELOW: [&str; 1] = ["pki"];

/// Restricts the modes of a data folder and of the files in it. Fails if a file's mode cannot be changed,
/// because the files hold keys and audit records.
pub(crate) fn tighten(folder: &Path) -> Result<()> {
    let is_own = |name: &str| name.starts_with(OWN_PREFIX) || OWN_NAMES.contains(&name);
    tighten_files(folder, is_own)?;
    for below in BELOW {
        tighten_files(&folder.join(below), |name| name.ends_with(KEY_SUFFIX))?;
    }
    Ok(())
}

fn tighten_files(folder: &Path, is_own: impl Fn(&str) -> bool) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    tighten_folder(folder);
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let (path, found) = (entry.path(), entry.metadata()?);
        let mode = found.permissions().mode();
        let is_loose = found.is_file() && mode & FILE_BITS != 0;
        if !is_loose || !entry.file_name().to_str().is_some_and(&is_own) {
            continue;
        }
        match set(&path, mode & !FILE_BITS) {
            Ok(()) => said(&path, mode),
            // The file may belong to an earlier user of the volume, and its group is the volume's.
            Err(error) if mode & OTHERS_BITS == 0 => unmended(&path, mode, &error),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "others may read or write {} (mode {:o}), and this cannot be mended: run \
                         `chmod 600` on it as its owner",
                        path.display(),
                        mode & 0o7777
                    )
                });
            }
        }
    }
    Ok(())
}

/// Restricts the mode of a folder that only the server uses. The modes of its files matter more.
fn tighten_folder(folder: &Path) {
    let mode = fs::metadata(folder).map(|found| found.permissions().mode()).unwrap_or_default();
    if mode & OTHERS_BITS == 0 || mode & STICKY != 0 {
        return;
    }
    match set(folder, mode & !OTHERS_BITS) {
        Ok(()) => said(folder, mode),
        // The mount point of a volume may belong to another user.
        Err(error) if mode & OTHERS_WRITE != 0 => unmended(folder, mode, &error),
        Err(error) => {
            tracing::debug!(folder = %folder.display(), %error, "others may list the data folder");
        }
    }
}

fn set(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))
}

fn unmended(path: &Path, mode: u32, error: &std::io::Error) {
    tracing::warn!(
        path = %path.display(),
        mode = format!("{:o}", mode & 0o7777),
        %error,
        "others than the server may use this, and its mode cannot be mended"
    );
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
    fn too_permissive_modes_of_folder_store_and_keys_are_corrected() {
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
        for (name, loose) in [("notes.txt", 0o644), ("tool", 0o755), ("pki/ca.crt", 0o644)] {
            fs::write(home.join(name), "x").unwrap();
            set(&home.join(name), loose).unwrap();
        }
        set(&home, 0o777).unwrap();
        tighten(&home).unwrap();
        assert_eq!(mode(&home), 0o770);
        for name in ["secrets.key", "keepwatch.db", "pki/ca.key"] {
            assert_eq!(mode(&home.join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&home.join("notes.txt")), 0o644, "another file is not ours");
        assert_eq!(mode(&home.join("tool")), 0o755, "another file is not ours");
        assert_eq!(mode(&home.join("pki/ca.crt")), 0o644, "a certificate is no secret");
        assert_eq!(mode(&outside), 0o644, "what a link leads to is not ours");
        tighten(&place.path().join("absent")).unwrap();
        let shared = place.path().join("shared");
        fs::create_dir(&shared).unwrap();
        set(&shared, 0o1777).unwrap();
        tighten(&shared).unwrap();
        assert_eq!(mode(&shared), 0o1777, "a folder such as /tmp is meant to be shared");
    }
}
