//! The data directory of a standalone server. A directory that contains other files, or that is not
//! writable, is rejected.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::pki::write_private;
use crate::store_file::STORE_FILE;

/// The file that marks a directory as a data directory.
const MARKER: &str = "keepwatch.txt";
const MARKER_TEXT: &str = "Keepwatch stores its data, certificates and kubeconfig in this folder.\n\
                           Removing the folder deletes all of it.\n";

/// The path of an opened data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Opens or creates the directory. A directory with other files is rejected and not changed.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let unusable = || {
            let path = path.display();
            format!("cannot use folder {path}: choose another one with --dir, or make it writable")
        };
        let marker = path.join(MARKER);
        let is_new = match fs::read_dir(path) {
            Ok(mut entries) => !marker.exists() && entries.next().is_none(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(path)
                    .with_context(unusable)?;
                true
            }
            Err(error) => return Err(error).with_context(unusable),
        };
        if !is_new && !marker.exists() {
            let path = path.display();
            bail!(
                "folder {path} contains other files than those of a Keepwatch server: \
                 choose an empty or new one with --dir"
            );
        }
        // The marker is written first, so that a directory that was created only in part is
        // recognized. The write also checks the permissions.
        write_private(&marker, MARKER_TEXT).with_context(unusable)?;
        write_private(&path.join(".gitignore"), "*\n").with_context(unusable)?;
        for folder in ["pki", "rbac"] {
            let folder = path.join(folder);
            DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(unusable)?;
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The file of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join(STORE_FILE)
    }

    /// The directory of certificates and keys.
    pub(crate) fn pki(&self) -> PathBuf {
        self.path.join("pki")
    }

    /// The directory of RBAC manifests.
    pub(crate) fn rbac(&self) -> PathBuf {
        self.path.join("rbac")
    }

    /// The directory that replaces mounted volumes for profiles of type `FileStore`.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.path.join("volumes")
    }

    /// The file with the key that encrypts Secrets.
    pub(crate) fn secrets_key(&self) -> PathBuf {
        self.path.join("secrets.key")
    }

    /// The kubeconfig file.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }
}
