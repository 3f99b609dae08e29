//! Azure Blob Storage: Azurite, which Microsoft publishes.
//!
//! It verifies signatures with the account's key. Its containers are public, so that tests can read
//! them with curl.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use assets::packages;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fixtures::curl::curl;
use crate::fixtures::process::{Process, free_port, output};
use crate::fixtures::wait::until;

/// The account's name.
pub const ACCOUNT: &str = "keepwatch";
/// The account's key before base64.
const SECRET: &str = "canary-of-the-server-of-blobs";

/// A running server.
pub struct Azurite {
    _process: Process,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Azurite {
    /// Starts it with these containers.
    pub fn start(containers: &[&str]) -> anyhow::Result<Self> {
        let program = packages::azurite()?.join("node_modules/azurite/dist/src/blob/main.js");
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let mut arguments = vec![program.display().to_string()];
        arguments.extend(["--blobHost=127.0.0.1".to_owned(), format!("--blobPort={port}")]);
        let quiet = ["--inMemoryPersistence", "--disableTelemetry", "--silent"];
        arguments.extend(quiet.map(str::to_owned));
        let account = [("AZURITE_ACCOUNTS".to_owned(), format!("{ACCOUNT}:{}", Self::key()))];
        let node = packages::node();
        let mut process = Process::start_in("azurite", &node, &arguments, folder.path(), &account)?;
        process.wait_listening((Ipv4Addr::LOCALHOST, port).into())?;
        for container in containers {
            until(&format!("azurite has container {container}"), || {
                process.check()?;
                create_container(port, container)
            })?;
        }
        Ok(Self { _process: process, _folder: folder, port })
    }

    /// The account's key.
    pub fn key() -> String {
        STANDARD.encode(SECRET)
    }

    /// Its endpoint with the account in the host name, as in Azure.
    pub fn endpoint(&self) -> String {
        format!("http://{ACCOUNT}.blob.localhost:{}", self.port)
    }

    /// The objects of a container, by key.
    pub fn objects(&self, container: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let url = format!("http://127.0.0.1:{}/{ACCOUNT}/{container}", self.port);
        let list = curl(&[&format!("{url}?restype=container&comp=list")])?;
        let list = String::from_utf8(list)?;
        ensure!(list.contains("<NextMarker/>"), "too many blobs for one page: {list}");
        let keys =
            list.split("<Name>").skip(1).filter_map(|rest| Some(rest.split_once("</Name>")?.0));
        keys.map(|key| Ok((key.to_owned(), curl(&[&format!("{url}/{key}")])?))).collect()
    }
}

/// Creates a container; `None` if the server does not accept connections yet.
fn create_container(port: u16, container: &str) -> anyhow::Result<Option<()>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("azurite/container.py");
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut python = Command::new(packages::python());
    match output(python.arg(&script).args([&endpoint, ACCOUNT, &Azurite::key(), container])) {
        Ok(_) => Ok(Some(())),
        Err(error) if error.to_string().contains("Connection refused") => Ok(None),
        Err(error) => Err(error),
    }
}
