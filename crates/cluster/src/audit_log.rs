//! An audit log that another process is writing: JSON, one event a line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::wait::until;

/// A file of audit events.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

impl AuditLog {
    /// The log at `path`, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every event written so far. A last line without its end is still being written.
    pub fn events(&self) -> anyhow::Result<Vec<Value>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", self.path.display()));
            }
        };
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).with_context(|| format!("no event: {line}")))
            .collect()
    }

    /// The events for which `wanted` holds.
    pub fn matching(&self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Vec<Value>> {
        Ok(self.events()?.into_iter().filter(|event| wanted(event)).collect())
    }

    /// Waits for the first event for which `wanted` holds.
    pub fn find(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        until(&format!("event: {what}"), || Ok(self.events()?.into_iter().find(&wanted)))
    }
}
