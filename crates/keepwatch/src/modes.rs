//! File modes: restricts access to the server's files at start-up, and logs each change.
//!
//! Only files that the server itself creates are changed. A data folder may contain other files,
//! and the operator owns the provided certificates and keys: their modes are only reported.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Permission bits that others than the owner may not have on a file with secrets.
const SECRET_BITS: u32 = 0o077;
/// Permission bits that others than the owner may not have on a file that the server trusts.
const WRITE_BITS: u32 = 0o022;
/// Permission bits that others may not have on a folder, or on a file whose mode the server cannot
/// change.
const OTHERS_BITS: u32 = 0o007;
/// The group may write. The cluster decides about a volume's group.
const GROUP_WRITE: u32 = 0o020;
/// Others may write.
const OTHERS_WRITE: u32 = 0o002;
/// The sticky bit: only the owner of a file may replace it.
const STICKY: u32 = 0o1000;
/// Prefixes of the names of the server's files.
const OWN_PREFIX: &str = "keepwatch.";
/// Other files that the server creates, besides the keys in its key folders.
const OWN_NAMES: [&str; 3] = ["secrets.key", "kubeconfig", "apiserver.key"];
/// Suffix of the names of keys.
const KEY_SUFFIX: &str = ".key";
/// Files of a provided folder that are checked.
const PROVIDED_FILES_MAX: usize = 1024;
/// Folder below a data folder with the server's keys and certificates.
const PKI: &str = "pki";
/// Folder below a data folder with the roles and bindings that the server enforces.
const RBAC: &str = "rbac";

/// A file that an operator provides, or a folder of files.
pub(crate) struct ProvidedFile<'a> {
    /// The flag that names it.
    pub(crate) flag: &'static str,
    pub(crate) path: &'a Path,
    /// It contains a key or a token, so that others may not read it either.
    pub(crate) is_secret: bool,
}

impl<'a> ProvidedFile<'a> {
    /// The files that flags name: the flag, its value, and whether the file is secret.
    pub(crate) fn of_flags(
        flags: impl IntoIterator<Item = (&'static str, &'a Option<PathBuf>, bool)>,
    ) -> impl Iterator<Item = Self> {
        flags.into_iter().filter_map(|(flag, path, is_secret)| {
            path.as_deref().map(|path| Self { flag, path, is_secret })
        })
    }
}

/// Logs each provided file that others may change, or read if it is secret. The group is not
/// considered: that of a volume is the cluster's.
pub(crate) fn warn_of_provided<'a>(files: impl IntoIterator<Item = ProvidedFile<'a>>) {
    for ProvidedFile { flag, path, is_secret } in files {
        for (path, mode) in permissive_modes(path, is_secret) {
            let path = path.display();
            let mode = format!("{mode:o}");
            let risk = if is_secret { "read or write" } else { "write" };
            tracing::warn!(flag, %path, mode, "others may {risk} this: run `chmod o-rwx` on it");
        }
    }
}

/// The paths with too many permissions, with their modes. The files of a folder are included.
/// Others may list a folder, unless they may also write to it. Links are followed.
fn permissive_modes(path: &Path, is_secret: bool) -> Vec<(PathBuf, u32)> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let below = entries.map(|entry| entry.path()).filter(|path| path.is_file());
    let below = below.take(PROVIDED_FILES_MAX);
    let paths = std::iter::once(path.to_owned()).chain(below);
    paths.filter_map(|path| permissive_mode(&path, is_secret).map(|mode| (path, mode))).collect()
}

fn permissive_mode(path: &Path, is_secret: bool) -> Option<u32> {
    let metadata = fs::metadata(path).ok()?;
    let bits = if is_secret && metadata.is_file() { OTHERS_BITS } else { OTHERS_WRITE };
    let mode = metadata.permissions().mode() & 0o7777;
    let is_shared = metadata.is_dir() && mode & STICKY != 0;
    Some(mode).filter(|mode| mode & bits != 0 && !is_shared)
}

/// Removes the permission of others to write to an existing log. The operator decides whether a log
/// agent may read it.
pub(crate) fn tighten_log(path: &Path) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let mode = metadata.permissions().mode();
    if !metadata.is_file() || mode & WRITE_BITS == 0 {
        return;
    }
    match set(path, mode & !WRITE_BITS) {
        Ok(()) => tracing::warn!(
            path = %path.display(),
            before = format!("{:o}", mode & 0o7777),
            "others could write to this log: its mode was corrected; if they did, its lines prove nothing"
        ),
        Err(error) => warn_unchanged(path, mode, &error),
    }
}

/// The use of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolderUse {
    /// A volume, whose group the cluster sets.
    Volume,
    /// A folder of one user.
    Private,
}

/// Restricts the modes of a data folder and of the files in it. Fails if a file's mode cannot be
/// changed, because the files contain keys and audit records, and if a link refers to a file that
/// others may use.
pub(crate) fn tighten(folder: &Path, folder_use: FolderUse) -> Result<()> {
    let is_own = |name: &str| name.starts_with(OWN_PREFIX) || OWN_NAMES.contains(&name);
    tighten_files(folder, folder_use, |name| if is_own(name) { SECRET_BITS } else { 0 })?;
    let of_pki = |name: &str| if name.ends_with(KEY_SUFFIX) { SECRET_BITS } else { WRITE_BITS };
    tighten_files(&folder.join(PKI), folder_use, of_pki)?;
    tighten_files(&folder.join(RBAC), folder_use, |_| WRITE_BITS)
}

/// `bits` returns the permission bits that others may not have on a file with this name.
fn tighten_files(folder: &Path, folder_use: FolderUse, bits: impl Fn(&str) -> u32) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    tighten_folder(folder, folder_use);
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let bits = entry.file_name().to_str().map_or(0, &bits);
        // A link is followed: its target is what the server reads.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if bits != 0 && metadata.is_file() {
            tighten_file(&entry.path(), &metadata, bits, folder_use)?;
        }
    }
    Ok(())
}

fn tighten_file(
    path: &Path,
    metadata: &fs::Metadata,
    bits: u32,
    folder_use: FolderUse,
) -> Result<()> {
    warn_of_owner(path, metadata);
    let mode = metadata.permissions().mode();
    if mode & bits == 0 {
        return Ok(());
    }
    if path.is_symlink() {
        if folder_use == FolderUse::Volume && mode & bits & OTHERS_BITS == 0 {
            // The files of a Secret volume are links, and its group may read them.
            return Ok(());
        }
        bail!(
            "others may read or write the file to which {} links (mode {:o}): run `chmod {:o}` on \
             that file",
            path.display(),
            mode & 0o7777,
            mode & 0o777 & !bits
        );
    }
    match set(path, mode & !bits) {
        Ok(()) => log_change(path, mode),
        // The file may belong to an earlier user of the volume, and its group is the volume's.
        Err(error) if mode & bits & OTHERS_BITS == 0 => warn_unchanged(path, mode, &error),
        Err(error) => {
            return Err(error).with_context(|| {
                format!(
                    "others may read or write {} (mode {:o}), and this cannot be corrected: run \
                     `chmod {:o}` on it as its owner",
                    path.display(),
                    mode & 0o7777,
                    mode & 0o777 & !bits
                )
            });
        }
    }
    Ok(())
}

/// The owner of a file can change its mode and replace its content.
fn warn_of_owner(path: &Path, metadata: &fs::Metadata) {
    let own = fs::metadata("/proc/self").map(|own| own.uid()).ok();
    if own.is_some_and(|own| metadata.uid() != own && metadata.uid() != 0) {
        tracing::warn!(
            path = %path.display(),
            owner = metadata.uid(),
            "another user owns this and can change it: run `chown` if it was not an earlier user of \
             the server"
        );
    }
}

/// Restricts the mode of a folder that only the server uses. The modes of its files are more
/// important.
fn tighten_folder(folder: &Path, folder_use: FolderUse) {
    let mode =
        fs::metadata(folder).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
    let bits = match folder_use {
        FolderUse::Volume => OTHERS_BITS,
        FolderUse::Private => OTHERS_BITS | GROUP_WRITE,
    };
    if mode & bits == 0 || mode & STICKY != 0 {
        return;
    }
    match set(folder, mode & !bits) {
        Ok(()) => log_change(folder, mode),
        // The mount point of a volume may belong to another user.
        Err(error) if mode & OTHERS_WRITE != 0 => warn_unchanged(folder, mode, &error),
        Err(error) => {
            tracing::debug!(folder = %folder.display(), %error, "others may list the data folder");
        }
    }
}

fn set(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))
}

fn warn_unchanged(path: &Path, mode: u32, error: &std::io::Error) {
    tracing::warn!(
        path = %path.display(),
        mode = format!("{:o}", mode & 0o7777),
        %error,
        "others than the server may use this, and its mode cannot be corrected"
    );
}

fn log_change(path: &Path, before: u32) {
    tracing::warn!(
        path = %path.display(),
        before = format!("{:o}", before & 0o7777),
        "others could read or write this: its mode was corrected; if they did, replace the keys in it"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// Regression: a folder of mode 0777 with keys of mode 0666 was accepted without a warning.
    #[test]
    fn too_permissive_modes_of_folder_store_and_keys_are_corrected() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("data");
        fs::create_dir_all(data_dir.join("pki")).unwrap();
        fs::create_dir_all(data_dir.join("volumes")).unwrap();
        for (name, permissive) in
            [("secrets.key", 0o666), ("keepwatch.db", 0o664), ("pki/ca.key", 0o644)]
        {
            fs::write(data_dir.join(name), "x").unwrap();
            set(&data_dir.join(name), permissive).unwrap();
        }
        let target = directory.path().join("outside");
        fs::write(&target, "x").unwrap();
        set(&target, 0o644).unwrap();
        std::os::unix::fs::symlink(&target, data_dir.join("link")).unwrap();
        for (name, permissive) in [("notes.txt", 0o644), ("tool", 0o755), ("pki/ca.crt", 0o644)] {
            fs::write(data_dir.join(name), "x").unwrap();
            set(&data_dir.join(name), permissive).unwrap();
        }
        set(&data_dir, 0o777).unwrap();
        tighten(&data_dir, FolderUse::Volume).unwrap();
        assert_eq!(mode(&data_dir), 0o770);
        for name in ["secrets.key", "keepwatch.db", "pki/ca.key"] {
            assert_eq!(mode(&data_dir.join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&data_dir.join("notes.txt")), 0o644, "another file is not ours");
        assert_eq!(mode(&data_dir.join("tool")), 0o755, "another file is not ours");
        assert_eq!(mode(&data_dir.join("pki/ca.crt")), 0o644, "a certificate is not secret");
        assert_eq!(mode(&target), 0o644, "the target of a link is not ours");
        tighten(&directory.path().join("absent"), FolderUse::Private).unwrap();
        let shared = directory.path().join("shared");
        fs::create_dir(&shared).unwrap();
        set(&shared, 0o1777).unwrap();
        tighten(&shared, FolderUse::Private).unwrap();
        assert_eq!(mode(&shared), 0o1777, "a folder such as /tmp is meant to be shared");
    }

    /// Regression: a private key and a kubeconfig that all users could change were used without a
    /// warning.
    #[test]
    fn a_provided_file_that_others_may_change_is_reported_and_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tls.key");
        fs::write(&path, "x").unwrap();
        for (configured, is_secret, is_reported) in [
            (0o666, true, true),
            (0o644, true, true),
            (0o660, true, false),
            (0o440, true, false),
            (0o666, false, true),
            (0o644, false, false),
        ] {
            set(&path, configured).unwrap();
            let reported = permissive_mode(&path, is_secret);
            assert_eq!(reported, is_reported.then_some(configured), "{configured:o} {is_secret}");
            assert_eq!(mode(&path), configured);
        }
        set(&path, 0o666).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(
            permissive_mode(&link, true),
            Some(0o666),
            "the target of a link is what is read"
        );
        assert_eq!(permissive_mode(&directory.path().join("absent"), true), None);
    }

    /// Regression: the files of --audit-webhook-token-dir were not checked.
    #[test]
    fn the_files_of_a_provided_folder_are_checked_too() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("tokens");
        fs::create_dir(&folder).unwrap();
        for (name, mode) in [("prod", 0o644), ("test", 0o440), ("", 0o755)] {
            let path = folder.join(name);
            if !name.is_empty() {
                fs::write(&path, "token").unwrap();
            }
            set(&path, mode).unwrap();
        }
        assert_eq!(permissive_modes(&folder, true), [(folder.join("prod"), 0o644)]);
        set(&folder, 0o777).unwrap();
        let actual: Vec<u32> =
            permissive_modes(&folder, true).into_iter().map(|(_, mode)| mode).collect();
        assert_eq!(actual, [0o777, 0o644]);
    }

    /// Regression: an audit log of mode 0666 stayed writable.
    #[test]
    fn others_may_read_the_audit_log_but_not_write_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        for (configured, expected) in
            [(0o666, 0o644), (0o664, 0o644), (0o640, 0o640), (0o600, 0o600)]
        {
            fs::write(&path, "x").unwrap();
            set(&path, configured).unwrap();
            tighten_log(&path);
            assert_eq!(mode(&path), expected, "{configured:o}");
        }
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        set(&path, 0o666).unwrap();
        tighten_log(&link);
        assert_eq!(mode(&path), 0o666, "the target of a link is not ours");
        tighten_log(&directory.path().join("absent"));
    }

    /// Regression: the roles, the trusted certificates and a link to a key had any mode.
    #[test]
    fn files_that_the_server_trusts_are_not_writable_by_others() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("data");
        for below in [PKI, RBAC] {
            fs::create_dir_all(data_dir.join(below)).unwrap();
            set(&data_dir.join(below), 0o777).unwrap();
        }
        for name in ["rbac/users.yaml", "pki/ca.crt"] {
            fs::write(data_dir.join(name), "x").unwrap();
            set(&data_dir.join(name), 0o666).unwrap();
        }
        set(&data_dir, 0o770).unwrap();
        tighten(&data_dir, FolderUse::Private).unwrap();
        for (name, expected) in [
            ("", 0o750),
            (PKI, 0o750),
            (RBAC, 0o750),
            ("rbac/users.yaml", 0o644),
            ("pki/ca.crt", 0o644),
        ] {
            assert_eq!(mode(&data_dir.join(name)), expected, "{name}");
        }
        let key = directory.path().join("key");
        fs::write(&key, "x").unwrap();
        set(&key, 0o666).unwrap();
        std::os::unix::fs::symlink(&key, data_dir.join("secrets.key")).unwrap();
        let error = tighten(&data_dir, FolderUse::Private).unwrap_err().to_string();
        assert!(error.contains("links (mode 666): run `chmod 600`"), "{error}");
        assert_eq!(mode(&key), 0o666, "the target of a link is not changed");
        set(&key, 0o640).unwrap();
        assert!(tighten(&data_dir, FolderUse::Private).is_err());
        tighten(&data_dir, FolderUse::Volume).unwrap();
        set(&key, 0o600).unwrap();
        tighten(&data_dir, FolderUse::Private).unwrap();
    }
}
