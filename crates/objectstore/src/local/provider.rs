//! The provider for a folder.

use std::path::PathBuf;
use std::sync::Arc;

use sink::error_chain;

use super::Folder;
use crate::config::{BucketConfig, OpenError};
use crate::destination::Destination;
use crate::provider::StoreProvider;
use crate::signing::{Client, OpenResult};
use crate::upload_mode::Checksum;

/// A folder, usually on a mounted volume.
#[derive(Clone, Debug)]
pub struct FileStore {
    /// The mount point of the volume.
    pub root: PathBuf,
    /// The folder in the volume. Symbolic links in it are not followed.
    pub path: PathBuf,
}

impl StoreProvider for FileStore {
    /// Creates the folder; the volume has to exist.
    fn open(&self, _: &Destination, _: &BucketConfig) -> OpenResult {
        let folder = Folder::new(&self.root, &self.path);
        folder.create().map_err(|error| OpenError::Value {
            reason: format!("{folder} cannot be used: {}", error_chain(&error)),
        })?;
        Ok(Client { store: Arc::new(folder), signer: None })
    }

    fn describe(&self, _: &str) -> String {
        Folder::new(&self.root, &self.path).to_string()
    }

    fn endpoint(&self) -> Option<&str> {
        None
    }

    fn default_endpoint(&self) -> Option<&'static str> {
        None
    }

    fn checksum(&self, _: Checksum) -> Checksum {
        // The default of `object_store`, which sends no checksum to a folder.
        Checksum::Sha256
    }
}
