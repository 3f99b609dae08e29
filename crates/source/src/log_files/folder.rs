//! The files of a log: the one with its path, and the rotated ones beside it.
//!
//! Rotated files are known by their names: those that kube-apiserver gives (`audit-<time>.log`),
//! and those of logrotate (`audit.log.1`, `audit.log-20261130`), each also with `.gz`. Other files
//! in the folder are ignored.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::limits::LOG_FILES_MAX;

/// The files of a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// The one with the path; `None` if it does not exist.
    pub(super) current: Option<PathBuf>,
    /// The rotated ones, without an order.
    pub(super) rotated: Vec<PathBuf>,
    /// There are more than [`LOG_FILES_MAX`].
    pub(super) has_more: bool,
}

/// Lists the files of a log. A folder that does not exist has none.
pub(super) fn list(path: &Path) -> io::Result<Files> {
    // A link may lead to the folder in which the file is rotated.
    let real = path.canonicalize().ok();
    let resolved = real.as_deref().unwrap_or(path);
    let (Some(folder), Some(name)) = (resolved.parent(), resolved.file_name()) else {
        return Err(io::Error::other("it is not the path of a file"));
    };
    let mut files = Files::default();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry_name = entry?.file_name();
        if entry_name == name {
            files.current = Some(folder.join(entry_name));
        } else if is_rotated(name, &entry_name) {
            if files.rotated.len() >= LOG_FILES_MAX {
                files.has_more = true;
                continue;
            }
            files.rotated.push(folder.join(entry_name));
        }
    }
    remove_copies(&mut files.rotated);
    Ok(files)
}

/// Removes compressed files whose original still exists: they may be incomplete.
fn remove_copies(rotated: &mut Vec<PathBuf>) {
    rotated.sort();
    let originals: Vec<PathBuf> = rotated.clone();
    rotated.retain(|path| {
        let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
        !is_gzip || originals.binary_search(&path.with_extension("")).is_err()
    });
}

/// Whether a file with this name was the log, or is a copy of it.
fn is_rotated(log: &OsStr, name: &OsStr) -> bool {
    let (log, name) = (log.as_bytes(), name.as_bytes());
    let name = name.strip_suffix(b".gz").unwrap_or(name);
    let starts_with_digit = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_digit);
    let after_name = |rest: &[u8]| match rest.split_first() {
        Some((b'.' | b'-', rest)) => starts_with_digit(rest),
        _ => false,
    };
    if name.strip_prefix(log).is_some_and(after_name) {
        return true;
    }
    let dot = log.iter().rposition(|byte| *byte == b'.').unwrap_or(log.len());
    let (stem, extension) = log.split_at(dot);
    let between = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(extension));
    between.and_then(|time| time.strip_prefix(b"-")).is_some_and(starts_with_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the rotated files that are read.
    fn check(names: &[&str], expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let files = list(&folder.path().join("audit.log")).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let entry_name: Vec<String> = files.rotated.iter().map(name).collect();
        assert_eq!(entry_name, expected, "{names:?}");
        assert_eq!(files.current.is_some(), names.contains(&"audit.log"), "{names:?}");
    }

    #[test]
    fn rotated_files_are_known_by_their_names() {
        check(&[], &[]);
        check(
            &[
                "audit.log",
                "audit-2026-11-30T20-40-40.123.log",
                "audit-2026-11-30T19-40-40.123.log.gz",
                "audit.log.1",
                "audit.log.2.gz",
                "audit.log-20261129",
                "audit.log-20261128.gz",
                "audit-policy.log",
                "audit.log.swp",
                "audit.log.gz",
                "audit.yaml",
                "audit.logs",
                "other.log.1",
            ],
            &[
                "audit-2026-11-30T19-40-40.123.log.gz",
                "audit-2026-11-30T20-40-40.123.log",
                "audit.log-20261128.gz",
                "audit.log-20261129",
                "audit.log.1",
                "audit.log.2.gz",
            ],
        );
    }

    #[test]
    fn a_compressed_file_is_read_when_its_original_is_gone() {
        check(
            &["audit.log.1", "audit.log.1.gz", "audit.log.2.gz"],
            &["audit.log.1", "audit.log.2.gz"],
        );
        check(&["audit.log.1.gz"], &["audit.log.1.gz"]);
    }

    #[test]
    fn a_link_leads_to_the_folder_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        for name in ["real.log", "real.log.1"] {
            std::fs::write(logs.join(name), "").unwrap();
        }
        let link = folder.path().join("audit.log");
        std::os::unix::fs::symlink(logs.join("real.log"), &link).unwrap();
        let files = list(&link).unwrap();
        assert_eq!((files.current.is_some(), files.rotated.len()), (true, 1));
        assert_eq!(list(&folder.path().join("no/audit.log")).unwrap(), Files::default());
    }
}
